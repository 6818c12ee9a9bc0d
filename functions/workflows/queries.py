"""SQL of workflows: each is a few statements over all organizations whose slot the run has claimed.

Row-level security decides which organizations a transaction sees: all of them, or the one of whoever asks.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    CTE,
    ColumnElement,
    Insert,
    Interval,
    RowMapping,
    Select,
    String,
    Subquery,
    Table,
    Update,
    Uuid,
    and_,
    any_,
    case,
    cast,
    delete,
    exists,
    false,
    func,
    literal,
    or_,
    select,
    text,
    true,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert

from shared_code.alarms import AlertType, Severity
from shared_code.database import versions
from shared_code.database.tables import (
    alert_history,
    audit_log,
    compressor_metadata,
    data_quality_metrics,
    latest_readings,
    machine_contacts,
    ml_predictions,
    notification_deliveries,
    notifications,
    organizations,
    sensor_readings_agg,
    station_locations,
    subscriptions,
    workflow_runs,
    workflow_settings,
)
from shared_code.database.tables.access import ALTAVIZ, ActorKind
from shared_code.database.tables.metadata import INSTANT
from shared_code.database.tables.notifications import DeliveryState
from shared_code.database.tables.organizations import Tier
from shared_code.database.tables.readings import WindowType
from shared_code.database.tables.workflows import StartedBy, Workflow
from shared_code.database.transactions import Everywhere, Read, Write
from shared_code.identifiers import OrganizationId

Columns = Any
"""The columns of a table, alias or query, by name."""
Acting = Write | Everywhere
"""A transaction of one organization, or of all."""

SILENT: Final = "silent"
STATION_SILENT: Final = "station_silent"
LEAST_OF_A_STATION: Final = 2
HOURS_A_DAY: Final = 24
RUNS_KEPT: Final = timedelta(days=30)
MESSAGES_KEPT: Final = timedelta(days=90)

_ALERT: Final = alert_history.c
_RUN: Final = workflow_runs.c
_SETTING: Final = workflow_settings.c
_MACHINE: Final = compressor_metadata.c
_CONTACT: Final = machine_contacts.c
_STATION: Final = station_locations.c
_ONE_AT_A_TIME: Final = text("SELECT pg_advisory_xact_lock(hashtext('altaviz workflows'))")


@dataclass(frozen=True, slots=True)
class Run:
    """A workflow that runs now, for those organizations whose slot it claims."""

    run_id: UUID
    workflow: Workflow
    slot: datetime
    now: datetime
    started_by: StartedBy
    name: str | None = None
    """Of the person who started it."""


def _same_machine(one: Columns, other: Columns) -> ColumnElement[bool]:
    return and_(one.organization_id == other.organization_id, one.compressor_id == other.compressor_id)


def _resolved(alert: Columns, before: ColumnElement[datetime]) -> list[ColumnElement[bool]]:
    return [alert.resolved == true(), alert.resolved_at < before]


def _not_newest(window: Columns, _: ColumnElement[datetime]) -> list[ColumnElement[bool]]:
    newest = latest_readings.c
    is_newest = exists(newest.agg_timestamp).where(
        _same_machine(newest, window),
        newest.window_type == window.window_type,
        newest.agg_timestamp <= window.agg_timestamp,
    )
    # Named, so that an index by type and then by time serves.
    return [window.window_type.in_(list(WindowType)), ~is_newest]


def _sent(delivery: Columns, _: ColumnElement[datetime]) -> list[ColumnElement[bool]]:
    return [delivery.state != DeliveryState.WAITING]


def _closed(notification: Columns, _: ColumnElement[datetime]) -> list[ColumnElement[bool]]:
    return [notification.closed == true()]  # whoever forgets that an alert was told would tell it again


def _any(*_: object) -> list[ColumnElement[bool]]:
    return []


@dataclass(frozen=True, slots=True)
class Old:
    """A table of which old rows are deleted: by which instant, which of them, and kept how long if not by the plan."""

    table: Table
    at: str
    only: Callable[[Columns, ColumnElement[datetime]], list[ColumnElement[bool]]] = _any
    kept: timedelta | None = None


OLD: Final = (
    Old(sensor_readings_agg, "agg_timestamp", _not_newest),
    Old(data_quality_metrics, "metric_timestamp"),
    Old(alert_history, "alert_timestamp", _resolved),
    Old(ml_predictions, "prediction_timestamp"),
    Old(workflow_runs, "slot", kept=RUNS_KEPT),
    Old(notification_deliveries, "created_at", _sent, kept=MESSAGES_KEPT),
    Old(notifications, "noticed_at", _closed, kept=MESSAGES_KEPT),
)


def claim(connection: Acting, organization_id: OrganizationId | None, run: Run) -> int:
    """Claim the run's slot for an organization, or for all where it is None; return for how many.

    What a timer claims must be newer than what any has claimed before: a host whose clock is behind comes too late.
    From here to the end of the transaction no other run does anything.
    """
    connection.execute(_ONE_AT_A_TIME)
    columns: dict[str, object] = {
        "workflow": run.workflow,
        "slot": run.slot,
        "run_id": run.run_id,
        "started_at": run.now,
        "changed": 0,
        "started_by": run.started_by,
        "started_by_name": run.name,
    }
    given = (literal(value, _RUN[name].type) for name, value in columns.items())
    wanted = select(organizations.c.id, *given).order_by(organizations.c.id)
    if organization_id is not None:
        wanted = wanted.where(organizations.c.id == organization_id)
    if run.started_by is StartedBy.TIMER:
        newer = workflow_runs.alias("newer")
        too_late = exists(newer.c.slot).where(
            newer.c.organization_id == organizations.c.id,
            newer.c.workflow == run.workflow,
            newer.c.slot >= run.slot,
            newer.c.started_by == StartedBy.TIMER,
        )
        wanted = wanted.where(~too_late)
    statement = insert(workflow_runs).from_select(["organization_id", *columns], wanted).on_conflict_do_nothing()
    return connection.execute(statement, execution_options={"preserve_rowcount": True}).rowcount


# organization-free: of the organizations that the run has claimed
def finish(connection: Acting, run: Run, *, now: datetime) -> int:
    """Note that a run has ended; return how many rows it changed."""
    ours = (_RUN.workflow == run.workflow, _RUN.slot == run.slot, _RUN.run_id == run.run_id)
    connection.execute(update(workflow_runs).where(*ours).values(finished_at=now))
    return connection.scalar(select(func.coalesce(func.sum(_RUN.changed), 0)).where(*ours)) or 0


# organization-free: tells of the organizations that are given
def tell(connection: Everywhere, changed: set[UUID]) -> None:
    """Let the versions of organizations grow."""
    if changed:
        ids = literal(sorted(changed), ARRAY(Uuid()))  # one parameter, however many they are
        whose = select(organizations.c.id.label("organization_id")).where(organizations.c.id == any_(ids))
        for statement in versions.grow(whose, connection.dialect.name):
            connection.execute(statement)


# organization-free: of the organizations that the run has claimed
def escalate(connection: Acting, run: Run, *, hours: int) -> set[UUID]:
    """Let warnings that nobody acknowledged for so many hours be critical; return whose."""
    due = _due(run, func.coalesce(_SETTING.escalation_hours, hours))
    statement = (
        update(alert_history)
        .where(
            _ALERT.organization_id == due.c.organization_id,
            _ALERT.resolved == false(),
            _ALERT.severity == Severity.WARNING,
            _ALERT.acknowledged == false(),
            _ALERT.suppressed_by.is_(None),
            or_(_ALERT.shelved_until.is_(None), _ALERT.shelved_until <= run.now),
            _ALERT.alert_timestamp <= due.c.before,
        )
        .values(severity=Severity.CRITICAL, escalated_at=run.now)
    )
    return _note(connection, run, statement, "alert.escalated")


# organization-free: of the organizations that the run has claimed
def resolve_healthy(connection: Acting, run: Run) -> set[UUID]:
    """Resolve alerts whose rule found that they are over, and that no longer wait for anybody; return whose."""
    due = _due(run, literal(0))
    statement = (
        update(alert_history)
        .where(
            _ALERT.organization_id == due.c.organization_id,
            _ALERT.resolved == false(),
            _ALERT.cleared_at.is_not(None),
            or_(_ALERT.latched == false(), _ALERT.acknowledged == true()),
        )
        .values(resolved=True, resolved_at=_ALERT.cleared_at)
    )
    return _note(connection, run, statement, "alert.resolved")


# organization-free: of the organizations that the run has claimed
def resolve_heard(connection: Acting, run: Run) -> set[UUID]:
    """Resolve staleness alerts whose machine, or one machine of whose station, was heard since; return whose."""
    due = _due(run, literal(0))
    alert, carrier = alert_history.alias("alert"), compressor_metadata.alias("carrier")
    stands = (
        select(alert.c.organization_id, alert.c.alert_id)
        .join(due, due.c.organization_id == alert.c.organization_id)
        .join(carrier, _same_machine(carrier.c, alert.c))
        .where(alert.c.resolved == false(), alert.c.alert_type == AlertType.STALENESS)
    )
    itself = (
        stands.add_columns(_CONTACT.last_reading_at.label("heard_at"))
        .join(machine_contacts, _same_machine(_CONTACT, alert.c))
        .where(alert.c.rule == SILENT, _CONTACT.last_reading_at > alert.c.latest_at)
    )
    one_of_station = (
        stands.add_columns(_CONTACT.last_reading_at)
        .join(
            compressor_metadata,
            and_(_MACHINE.organization_id == carrier.c.organization_id, _MACHINE.station_id == carrier.c.station_id),
        )
        .join(machine_contacts, _same_machine(_CONTACT, _MACHINE))
        .where(
            alert.c.rule == STATION_SILENT,
            _MACHINE.retired_at.is_(None),
            _CONTACT.last_reading_at > alert.c.latest_at,
        )
    )
    # A machine that is out of use is not expected to say anything.
    retired = stands.add_columns(carrier.c.retired_at).where(carrier.c.retired_at.is_not(None))
    each = union_all(itself, one_of_station, retired).subquery("each")
    heard = (
        select(each.c.organization_id, each.c.alert_id, func.max(each.c.heard_at).label("heard_at"))
        .group_by(each.c.organization_id, each.c.alert_id)
        .subquery("heard")
    )
    statement = (
        update(alert_history)
        .where(
            _ALERT.organization_id == heard.c.organization_id,
            _ALERT.alert_id == heard.c.alert_id,
            _ALERT.resolved == false(),
        )
        .values(resolved=True, resolved_at=run.now, cleared_at=heard.c.heard_at)
    )
    return _note(connection, run, statement, "alert.resolved")


# organization-free: of the organizations that the run has claimed
def inhibit_silent(connection: Acting, run: Run, *, hours: int) -> set[UUID]:
    """Resolve alerts of single machines where the whole station is silent; return whose."""
    stations = _silent_stations(_heard(run, hours))
    statement = (
        update(alert_history)
        .where(
            _ALERT.rule == SILENT,
            _ALERT.resolved == false(),
            _same_machine(_ALERT, _MACHINE),
            _MACHINE.organization_id == stations.c.organization_id,
            _MACHINE.station_id == stations.c.station_id,
        )
        .values(resolved=True, resolved_at=run.now, suppressed_by=STATION_SILENT)
    )
    return _note(connection, run, statement, "alert.resolved")


# organization-free: of the organizations that the run has claimed
def raise_silent_stations(connection: Acting, run: Run, *, hours: int) -> set[UUID]:
    """Raise one alert for each station of which all machines are silent, where none tells of it yet; return whose."""
    stations = _silent_stations(_heard(run, hours))
    before, theirs = alert_history.alias("before"), compressor_metadata.alias("theirs")
    told = exists(before.c.rule).where(
        before.c.rule == STATION_SILENT,
        _same_machine(before.c, theirs.c),
        theirs.c.organization_id == stations.c.organization_id,
        theirs.c.station_id == stations.c.station_id,
        _tells_of(before.c, stations.c.last_reading_at),
    )
    message = func.concat(
        "All ",
        stations.c.machines,
        " machines of ",
        _STATION.station_name,
        " are silent; the last reading came at ",
        _in_words(stations.c.last_reading_at),
        ".",
    )
    rows = (
        select(*_staleness(run, stations.c, stations.c.first, STATION_SILENT, message))
        .join(
            station_locations,
            and_(_STATION.organization_id == stations.c.organization_id, _STATION.station_id == stations.c.station_id),
        )
        .where(~told)
    )
    return _note(connection, run, _raised(rows), "alert.raised")


# organization-free: of the organizations that the run has claimed
def raise_silent(connection: Acting, run: Run, *, hours: int) -> set[UUID]:
    """Raise an alert for each silent machine of which none tells yet, nor of its whole station; return whose."""
    heard = _heard(run, hours)
    before = alert_history.alias("before")
    told = exists(before.c.rule).where(
        before.c.rule == SILENT, _same_machine(before.c, heard.c), _tells_of(before.c, heard.c.last_reading_at)
    )
    message = func.concat("No reading since ", _in_words(heard.c.last_reading_at), ".")
    rows = select(*_staleness(run, heard.c, heard.c.compressor_id, SILENT, message)).where(
        heard.c.last_reading_at <= heard.c.before, ~_is_station_silent(heard), ~told
    )
    return _note(connection, run, _raised(rows), "alert.raised")


# organization-free: of the organizations that the run has claimed
def acknowledge_stale(connection: Acting, run: Run, *, days: int) -> set[UUID]:
    """Acknowledge alerts that nobody touched for so many days, and resolve those that are over; return whose."""
    due = _due(run, func.coalesce(_SETTING.cleanup_days, days) * HOURS_A_DAY)
    entry = audit_log.c
    touched = exists(entry.target).where(
        entry.organization_id == _ALERT.organization_id,
        entry.target == cast(_ALERT.alert_id, String),
        entry.occurred_at > due.c.before,
        entry.actor_kind != ActorKind.SYSTEM,
    )
    is_over = _ALERT.cleared_at.is_not(None)
    statement = (
        update(alert_history)
        .where(
            _ALERT.organization_id == due.c.organization_id,
            _ALERT.resolved == false(),
            _ALERT.acknowledged == false(),
            _ALERT.alert_timestamp <= due.c.before,
            or_(_ALERT.shelved_until.is_(None), _ALERT.shelved_until <= due.c.before),
            ~touched,
        )
        .values(
            acknowledged=True,
            acknowledged_by=ALTAVIZ,
            acknowledged_at=run.now,
            acknowledged_note=func.concat("Nobody touched it for ", due.c.hours // HOURS_A_DAY, " days."),
            resolved=case((is_over, true()), else_=false()),
            resolved_at=case((is_over, _ALERT.cleared_at)),
        )
    )
    return _note(connection, run, statement, "alert.acknowledged")


# organization-free: of the organizations that the run has claimed
def count_old(connection: Acting, run: Run, kind: Old, *, days: Mapping[Tier, int]) -> int:
    """Return how many rows are older than their organization's plan keeps."""
    return connection.scalar(select(func.count()).select_from(_old(run, kind, days).subquery("old"))) or 0


# organization-free: of the organizations that the run has claimed
def delete_old(
    connection: Acting, run: Run, kind: Old, *, days: Mapping[Tier, int], limit: int
) -> tuple[int, set[UUID]]:
    """Delete up to so many rows that are older than their organization's plan keeps; return how many, and whose."""
    old = _old(run, kind, days).limit(limit).subquery("old")
    same = (kind.table.c[key.name] == old.c[key.name] for key in kind.table.primary_key)
    deleted = delete(kind.table).where(*same).returning(kind.table.c.organization_id).cte("deleted")
    counts = _count(connection, run, deleted)
    return sum(counts.values()), set(counts)


def find_settings(connection: Read | Write, organization_id: OrganizationId) -> RowMapping | None:
    """Return after how long an organization wants workflows to act; None where it never said."""
    query = select(workflow_settings).where(_SETTING.organization_id == organization_id)
    return connection.execute(query).mappings().one_or_none()


def save_settings(connection: Write, organization_id: OrganizationId, values: Mapping[str, Any]) -> RowMapping:
    """Replace those wishes of an organization that are given, and return all."""
    statement = (
        insert(workflow_settings)
        .values({**values, "organization_id": organization_id})
        .on_conflict_do_update(index_elements=["organization_id"], set_=dict(values))
        .returning(workflow_settings)
    )
    return connection.execute(statement).mappings().one()


def list_runs(
    connection: Read,
    organization_id: OrganizationId,
    *,
    workflow: Workflow | None,
    before: tuple[datetime, str] | None,
    limit: int,
) -> Sequence[RowMapping]:
    """Return up to `limit` runs of an organization, the newest first, those that come after the position `before`."""
    query = (
        select(workflow_runs)
        .where(_RUN.organization_id == organization_id)
        .order_by(_RUN.slot.desc(), _RUN.workflow.desc())
        .limit(limit)
    )
    if workflow is not None:
        query = query.where(_RUN.workflow == workflow)
    if before is not None:
        slot, name = before
        # Said twice, because an index finds its place by the first and not by the second.
        query = query.where(_RUN.slot <= slot, or_(_RUN.slot < slot, _RUN.workflow < name))
    return connection.execute(query).mappings().all()


def _old(run: Run, kind: Old, days: Mapping[Tier, int]) -> Select[Any]:
    """Select the keys of rows that are older than their organization's plan keeps, or the one it had not long ago."""
    row = kind.table.alias("row")
    before = subscriptions.c
    plan = case((before.keeps_until > run.now, before.keeps_as), else_=organizations.c.subscription_tier)
    kept = case(*((plan == tier, literal(run.now - timedelta(days=n), INSTANT)) for tier, n in days.items()))
    since = literal(run.now - kind.kept, INSTANT) if kind.kept is not None else kept
    due = (
        select(_RUN.organization_id, since.label("before"))
        .join(organizations, organizations.c.id == _RUN.organization_id)
        .outerjoin(subscriptions, subscriptions.c.organization_id == _RUN.organization_id)
        .where(_RUN.workflow == run.workflow, _RUN.slot == run.slot, _RUN.run_id == run.run_id)
        .subquery("due")
    )
    return (
        select(*(row.c[key.name] for key in kind.table.primary_key))
        .join(due, due.c.organization_id == row.c.organization_id)
        .where(row.c[kind.at] < due.c.before, *kind.only(row.c, due.c.before))
    )


def _due(run: Run, hours: ColumnElement[int]) -> Subquery:
    """Select the organizations that a run has claimed: after how many `hours` it acts, and since `before` what."""
    ago = func.make_interval(0, 0, 0, 0, hours, type_=Interval())
    return (
        select(_RUN.organization_id, hours.label("hours"), (literal(run.now, INSTANT) - ago).label("before"))
        .outerjoin(workflow_settings, _SETTING.organization_id == _RUN.organization_id)
        .where(_RUN.workflow == run.workflow, _RUN.slot == run.slot, _RUN.run_id == run.run_id)
        .subquery("due")
    )


def _heard(run: Run, hours: int) -> Subquery:
    """Select machines in use that were ever heard: `before` what they are silent, and how it is at their station."""
    due = _due(run, func.coalesce(_SETTING.staleness_hours, hours))
    station = (_MACHINE.organization_id, _MACHINE.station_id)
    return (
        select(
            _MACHINE.organization_id,
            _MACHINE.compressor_id,
            _MACHINE.station_id,
            _CONTACT.last_reading_at,
            due.c.before,
            func.count().over(partition_by=station).label("machines"),
            func.max(_CONTACT.last_reading_at).over(partition_by=station).label("station_heard_at"),
        )
        .join(due, due.c.organization_id == _MACHINE.organization_id)
        .join(machine_contacts, _same_machine(_CONTACT, _MACHINE))
        .where(_MACHINE.retired_at.is_(None))
        .subquery("heard")
    )


def _silent_stations(heard: Subquery) -> Subquery:
    """Select the stations of which several machines were ever heard, and all are silent."""
    station = (heard.c.organization_id, heard.c.station_id, heard.c.machines)
    return (
        select(
            *station,
            func.min(heard.c.compressor_id).label("first"),
            func.max(heard.c.last_reading_at).label("last_reading_at"),
        )
        .where(_is_station_silent(heard))
        .group_by(*station)
        .subquery("stations")
    )


def _is_station_silent(heard: Subquery) -> ColumnElement[bool]:
    return and_(heard.c.machines >= LEAST_OF_A_STATION, heard.c.station_heard_at <= heard.c.before)


def _tells_of(alert: Columns, last_reading_at: ColumnElement[datetime]) -> ColumnElement[bool]:
    """Whether an alert tells of the silence since then: it stands, or somebody has said that it is seen to."""
    seen_to = and_(alert.resolved_by.is_not(None), alert.latest_at >= last_reading_at)
    return or_(alert.resolved == false(), seen_to)


def _staleness(
    run: Run, silence: Columns, machine: ColumnElement[str], rule: str, message: ColumnElement[str]
) -> list[ColumnElement[Any]]:
    """Return the values of an alert about a silence, by the names in `_RAISED`."""
    now, last = literal(run.now, INSTANT), silence.last_reading_at
    return [
        silence.organization_id,
        func.gen_random_uuid(),
        machine,
        literal(rule),
        last,
        now,
        now,
        last,
        literal(AlertType.STALENESS, String()),
        literal(Severity.WARNING, String()),
        message,
        false(),
        false(),
        false(),
    ]


_RAISED: Final = (
    "organization_id",
    "alert_id",
    "compressor_id",
    "rule",
    "onset_at",
    "alert_timestamp",
    "group_at",
    "latest_at",
    "alert_type",
    "severity",
    "message",
    "latched",
    "acknowledged",
    "resolved",
)


def _raised(rows: Select[Any]) -> Insert:
    """Raise alerts; of two that tell of the same, one."""
    return insert(alert_history).from_select(list(_RAISED), rows).on_conflict_do_nothing()


def _in_words(instant: ColumnElement[datetime]) -> ColumnElement[str]:
    return func.to_char(instant, 'YYYY-MM-DD HH24:MI "UTC"')  # connections are in UTC


def _note(connection: Acting, run: Run, statement: Insert | Update, action: str) -> set[UUID]:
    """Change alerts, add an entry to the audit log for each, and count them; return whose they are."""
    changed = statement.returning(
        _ALERT.organization_id, _ALERT.alert_id, _ALERT.compressor_id, _ALERT.rule, _ALERT.severity
    ).cte("changed")
    details = ("compressor_id", changed.c.compressor_id, "rule", changed.c.rule, "severity", changed.c.severity)
    entries = select(
        changed.c.organization_id,
        func.gen_random_uuid(),
        literal(run.now, INSTANT),
        literal(action),
        cast(changed.c.alert_id, String),
        func.jsonb_build_object(*details, "workflow", literal(run.workflow, String())),
        literal(ActorKind.SYSTEM, String()),
        literal(ALTAVIZ),
    )
    names = ("organization_id", "id", "occurred_at", "action", "target", "details", "actor_kind", "actor_name")
    noted = insert(audit_log).from_select(list(names), entries).returning(audit_log.c.organization_id).cte("noted")
    return set(_count(connection, run, noted))


def _count(connection: Acting, run: Run, changed: CTE) -> dict[UUID, int]:
    """Add to the run of each organization how many of its rows were changed; return how many, by organization.

    The row of each is there. To say so costs what the rows cost; for an update the planner, who takes a table that has
    just been filled for an empty one, goes through all organizations for each.
    """
    each = select(changed.c.organization_id, func.count().label("rows")).group_by(changed.c.organization_id)
    counted = each.cte("counted")
    columns: dict[str, object] = {
        "workflow": run.workflow,
        "slot": run.slot,
        "run_id": run.run_id,
        "started_at": run.now,
        "started_by": run.started_by,
    }
    given = (literal(value, _RUN[name].type) for name, value in columns.items())
    rows = insert(workflow_runs).from_select(
        ["organization_id", "changed", *columns], select(counted.c.organization_id, counted.c.rows, *given)
    )
    added = rows.on_conflict_do_update(
        index_elements=["organization_id", "workflow", "slot"], set_={"changed": _RUN.changed + rows.excluded.changed}
    ).cte("added")
    return {row[0]: row[1] for row in connection.execute(select(counted).add_cte(added))}
