"""SQL of machines."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Label,
    RowMapping,
    ScalarSelect,
    Select,
    Subquery,
    Uuid,
    and_,
    bindparam,
    case,
    delete,
    exists,
    false,
    func,
    insert,
    literal,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.exc import IntegrityError

from functions.compressors.health import Health, Rule, quantities, rules
from shared_code.alarms import Severity
from shared_code.database.tables import (
    alert_history,
    compressor_metadata,
    data_quality_metrics,
    latest_readings,
    maintenance_events,
    ml_predictions,
    organizations,
    sensor_readings_agg,
    station_locations,
)
from shared_code.database.tables.readings import WindowType
from shared_code.database.transactions import Read, Write
from shared_code.errors import ConflictError
from shared_code.identifiers import CompressorId, OrganizationId, StationId

PAST = (sensor_readings_agg, data_quality_metrics, alert_history, maintenance_events, ml_predictions)
"""What is kept about a machine's past."""
NO_LIMIT = 2**31 - 1


def list_compressors(
    connection: Read,
    organization_id: OrganizationId,
    *,
    station_id: StationId | None,
    health: Health | None,
    include_retired: bool,
    after: CompressorId | None,
    limit: int,
) -> Sequence[RowMapping]:
    """Return up to `limit` machines in order of id, those after `after`, of one station and health if given."""
    machines = _machines_table(include_retired=include_retired)
    query = select(machines).order_by(machines.c.compressor_id).limit(limit)
    if station_id is not None:
        query = query.where(machines.c.station_id == station_id)
    if health is not None:
        query = query.where(machines.c.health == health)
    if after is not None:
        query = query.where(machines.c.compressor_id > after)
    return connection.execute(query, {"organization_id": organization_id}).mappings().all()


def find_compressor(
    connection: Read | Write, organization_id: OrganizationId, compressor_id: CompressorId
) -> RowMapping | None:
    """Return one machine as it is listed, with its open alerts counted by severity; None without such a machine."""
    query = _machines(include_retired=True).where(compressor_metadata.c.compressor_id == compressor_id)
    return connection.execute(query, {"organization_id": organization_id}).mappings().one_or_none()


def latest_windows(
    connection: Read,
    organization_id: OrganizationId,
    compressor_id: CompressorId,
    *,
    window_types: Collection[WindowType],
) -> dict[WindowType, RowMapping]:
    """Return the newest window of each of these types that has one."""
    window = latest_readings
    query = select(window).where(
        window.c.organization_id == organization_id,
        window.c.compressor_id == compressor_id,
        window.c.window_type.in_(window_types),
    )
    return {WindowType(row["window_type"]): row for row in connection.execute(query).mappings()}


def count_by_station_and_health(connection: Read, organization_id: OrganizationId) -> Sequence[RowMapping]:
    """Return a row for each station and health with machines in use, and the newest end of their hourly windows."""
    machines = _machines_table(include_retired=False)
    query = (
        select(
            machines.c.station_id,
            machines.c.station_name,
            machines.c.health,
            func.count().label("compressors"),
            func.sum(machines.c.warning_alerts).label("warning_alerts"),
            func.sum(machines.c.critical_alerts).label("critical_alerts"),
            func.max(machines.c.newest_window_end).label("newest_window_end"),
        )
        .group_by(machines.c.station_id, machines.c.station_name, machines.c.health)
        .order_by(machines.c.station_id)
    )
    return connection.execute(query, {"organization_id": organization_id}).mappings().all()


def count_in_use(connection: Write, organization_id: OrganizationId) -> int:
    """Return how many machines the organization has that are not retired."""
    machine = compressor_metadata.c
    query = select(func.count()).where(machine.organization_id == organization_id, machine.retired_at.is_(None))
    return connection.execute(query).scalar_one()


def add_compressor(
    connection: Write, organization_id: OrganizationId, values: Mapping[str, Any], *, now: datetime
) -> None:
    """Add a machine that people created, at a station that is known to exist.

    Raises:
        ConflictError: the id is taken; the transaction is of no more use.
    """
    row = {**values, "organization_id": organization_id, "edited_at": now, "in_files": False}
    try:
        connection.execute(insert(compressor_metadata).values(row))
    except IntegrityError:
        raise ConflictError("there is a compressor with this id") from None


def get_machine(connection: Write, organization_id: OrganizationId, compressor_id: CompressorId) -> RowMapping | None:
    """Return a machine's own row, without what is known of its health; None without such a machine."""
    machine = compressor_metadata
    query = select(machine).where(
        machine.c.organization_id == organization_id, machine.c.compressor_id == compressor_id
    )
    return connection.execute(query).mappings().one_or_none()


def update_compressor(
    connection: Write,
    organization_id: OrganizationId,
    compressor_id: CompressorId,
    values: Mapping[str, Any],
    *,
    now: datetime,
) -> None:
    """Change a machine."""
    machine = compressor_metadata.c
    connection.execute(
        update(compressor_metadata)
        .where(machine.organization_id == organization_id, machine.compressor_id == compressor_id)
        .values(**values, edited_at=now)
    )


def has_past(connection: Write, organization_id: OrganizationId, compressor_id: CompressorId) -> bool:
    """Return whether anything is kept about a machine's past."""
    kept = (
        exists().where(table.c.organization_id == organization_id, table.c.compressor_id == compressor_id)
        for table in PAST
    )
    return connection.execute(select(or_(*kept))).scalar_one()


def delete_compressor(connection: Write, organization_id: OrganizationId, compressor_id: CompressorId) -> None:
    """Delete a machine that has no past."""
    machine = compressor_metadata.c
    connection.execute(
        delete(compressor_metadata).where(
            machine.organization_id == organization_id, machine.compressor_id == compressor_id
        )
    )


_OURS = bindparam("organization_id", type_=Uuid())
"""The organization, which each statement made of these parts is given; made once, they spare a request milliseconds."""


@cache
def _machines_table(*, include_retired: bool) -> Subquery:
    return _machines(include_retired=include_retired).subquery("machines")


@cache
def _machines(*, include_retired: bool) -> Select[Any]:
    """Select the machines of an organization with its station's name, newest hour, open alerts and health."""
    machine, station = compressor_metadata, station_locations
    hour = latest_readings.alias("hour")
    alerts = _open_alerts()
    warnings, criticals = (func.coalesce(alerts.c[f"{severity}_alerts"], 0) for severity in Severity)
    query = (
        select(
            machine,
            station.c.station_name,
            hour.c.agg_timestamp.label("newest_window_end"),
            warnings.label("warning_alerts"),
            criticals.label("critical_alerts"),
            (warnings + criticals).label("open_alerts"),
            _health(hour, warnings, criticals),
            and_(machine.c.retired_at.is_(None), machine.c.compressor_id >= _first_over_limit())
            .is_(true())
            .label("over_plan_limit"),
        )
        .join_from(machine, station, _same(machine, station, "station_id"))
        .outerjoin(hour, and_(_same(machine, hour, "compressor_id"), hour.c.window_type == WindowType.HOUR))
        .outerjoin(alerts, alerts.c.compressor_id == machine.c.compressor_id)
        .where(machine.c.organization_id == _OURS)
    )
    return query if include_retired else query.where(machine.c.retired_at.is_(None))


def _same(left: FromClause, right: FromClause, column: str) -> ColumnElement[bool]:
    return and_(left.c.organization_id == right.c.organization_id, left.c[column] == right.c[column])


def _first_over_limit() -> ScalarSelect[Any]:
    """Select the first machine in use that the plan has no room for, in order of id; NULL where it has for all."""
    other, plan = compressor_metadata.alias("other"), organizations
    room = select(func.coalesce(plan.c.max_compressors, NO_LIMIT)).where(plan.c.id == _OURS).scalar_subquery()
    return (
        select(other.c.compressor_id)
        .where(other.c.organization_id == _OURS, other.c.retired_at.is_(None))
        .order_by(other.c.compressor_id)
        .offset(room)
        .limit(1)
        .scalar_subquery()
    )


def _open_alerts() -> Subquery:
    """Count each machine's open alerts by severity; machines without any have no row.

    Shelved ones count, for shelving mends nothing; suppressed ones do not, for another tells of the same.
    """
    alert = alert_history
    counts: list[Label[int]] = [
        func.sum(case((alert.c.severity == severity, 1), else_=0)).label(f"{severity}_alerts") for severity in Severity
    ]
    return (
        select(alert.c.compressor_id, *counts)
        .where(alert.c.organization_id == _OURS, alert.c.resolved == false(), alert.c.suppressed_by.is_(None))
        .group_by(alert.c.compressor_id)
        .subquery("open_alerts")
    )


def _health(hour: FromClause, warnings: ColumnElement[int], criticals: ColumnElement[int]) -> Label[str]:
    """Say in SQL what `functions.compressors.health.assess` says: the first case that holds is the worst."""
    missing = [hour.c[quantity.column].is_(None) for quantity in quantities() if quantity.needed]
    return case(
        (or_(criticals > 0, *_broken(hour, Health.CRITICAL)), literal(Health.CRITICAL.value)),
        (or_(warnings > 0, *_broken(hour, Health.WARNING)), literal(Health.WARNING.value)),
        (or_(*missing), literal(Health.UNKNOWN.value)),
        else_=literal(Health.HEALTHY.value),
    ).label("health")


def _broken(hour: FromClause, health: Health) -> list[ColumnElement[bool]]:
    return [_beyond(hour, rule) for rule in rules() if rule.health is health]


def _beyond(hour: FromClause, rule: Rule) -> ColumnElement[bool]:
    value = hour.c[rule.quantity.column]
    return value > rule.limit if rule.above else value < rule.limit
