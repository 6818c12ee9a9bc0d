"""What is said about one machine, and what people do about it.

A retired machine keeps its data, takes no new readings and does not count against the plan's limit. One without any
past, and that no metadata file has named, is deleted instead: nothing would be lost, and nothing would bring it back.
"""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any, Final

from functions.access import audit
from functions.access.audit import Origin
from functions.access.sessions import Session
from functions.compressors import queries
from functions.compressors.health import assess
from functions.plans import plans, require_room
from functions.stations.actions import as_columns, before_and_after, require_station
from functions.stations.queries import get_station, lock_fleet
from functions.units import UnitSystem
from shared_code.database.tables.organizations import Tier
from shared_code.database.tables.readings import WindowType
from shared_code.database.transactions import Read, Write
from shared_code.errors import InvalidError, NotFoundError
from shared_code.identifiers import CompressorId, OrganizationId, StationId

NO_COMPRESSOR: Final = "there is no such compressor"
EARLIEST_INSTALL: Final = date(1900, 1, 1)


def describe_compressor(
    connection: Read, organization_id: OrganizationId, *, compressor_id: CompressorId, tier: Tier, units: UnitSystem
) -> Mapping[str, Any]:
    """Return a machine with its station, the reasons of its health, and the newest windows that the plan includes.

    The reasons are told in the units asked for; the values are as they are stored.

    Raises:
        NotFoundError: this organization has no such machine.
    """
    machine = queries.find_compressor(connection, organization_id, compressor_id)
    if machine is None:
        raise NotFoundError(NO_COMPRESSOR)
    included = plans()[tier].windows
    windows = queries.latest_windows(
        connection, organization_id, compressor_id, window_types={WindowType.HOUR, *included}
    )
    assessment = assess(
        windows.get(WindowType.HOUR),
        warning_alerts=machine["warning_alerts"],
        critical_alerts=machine["critical_alerts"],
        units=units,
    )
    return {
        **machine,
        "health": assessment.health,
        "health_reasons": list(assessment.reasons),
        "station": dict(get_station(connection, organization_id, StationId(machine["station_id"]))),
        "latest_windows": {kind: dict(windows[kind]) if kind in windows else None for kind in included},
    }


def create_compressor(
    connection: Write,
    organization_id: OrganizationId,
    *,
    values: Mapping[str, Any],
    by: Session,
    origin: Origin,
    now: datetime,
) -> Mapping[Any, Any]:
    """Create a machine and return it as it is listed.

    Raises:
        ConflictError: the id is taken, be it by a retired machine.
        ForbiddenError: the plan does not include another machine.
        InvalidError: there is no such station, or the date of installation cannot be.
    """
    allowance = lock_fleet(connection, organization_id)
    _check(connection, organization_id, values, now)
    require_room(allowance.tier, allowance.max_compressors, queries.count_in_use(connection, organization_id))
    queries.add_compressor(connection, organization_id, values, now=now)
    compressor_id = CompressorId(values["compressor_id"])
    audit.record(connection, organization_id, "compressor.created", by=by, origin=origin, now=now, target=compressor_id)
    return _listed(connection, organization_id, compressor_id)


def change_compressor(
    connection: Write,
    organization_id: OrganizationId,
    *,
    compressor_id: CompressorId,
    changes: Mapping[str, Any],
    by: Session,
    origin: Origin,
    now: datetime,
) -> Mapping[Any, Any]:
    """Change what is given of a machine, bring it back where `retired` is among that, and return it as it is listed.

    Raises:
        ForbiddenError: it would come back, and the plan does not include another machine.
        InvalidError: there is no such station, or the date of installation cannot be.
        NotFoundError: this organization has no such machine.
    """
    allowance = lock_fleet(connection, organization_id)
    machine = queries.get_machine(connection, organization_id, compressor_id)
    if machine is None:
        raise NotFoundError(NO_COMPRESSOR)
    if machine["retired_at"] is not None and "retired" in changes:
        require_room(allowance.tier, allowance.max_compressors, queries.count_in_use(connection, organization_id))
        _check(connection, organization_id, {"station_id": machine["station_id"], **changes}, now)
    else:
        _check(connection, organization_id, changes, now)
    if changes:
        columns = as_columns(changes)
        queries.update_compressor(connection, organization_id, compressor_id, columns, now=now)
        audit.record(
            connection,
            organization_id,
            "compressor.changed",
            by=by,
            origin=origin,
            now=now,
            target=compressor_id,
            details=before_and_after(machine, columns),
        )
    return _listed(connection, organization_id, compressor_id)


def retire_compressor(
    connection: Write,
    organization_id: OrganizationId,
    *,
    compressor_id: CompressorId,
    by: Session,
    origin: Origin,
    now: datetime,
) -> None:
    """Retire a machine, or delete it where it has no past; a retired one stays as it is.

    Raises:
        NotFoundError: this organization has no such machine.
    """
    lock_fleet(connection, organization_id)
    machine = queries.get_machine(connection, organization_id, compressor_id)
    if machine is None:
        raise NotFoundError(NO_COMPRESSOR)
    if not machine["in_files"] and not queries.has_past(connection, organization_id, compressor_id):
        queries.delete_compressor(connection, organization_id, compressor_id)
        action = "compressor.deleted"
    elif machine["retired_at"] is None:
        queries.update_compressor(connection, organization_id, compressor_id, {"retired_at": now}, now=now)
        action = "compressor.retired"
    else:
        return
    audit.record(connection, organization_id, action, by=by, origin=origin, now=now, target=compressor_id)


def _check(connection: Write, organization_id: OrganizationId, values: Mapping[str, Any], now: datetime) -> None:
    """Check what the shape of a request does not say."""
    installed: date | None = values.get("install_date")
    # Somewhere it is tomorrow already.
    if installed is not None and not EARLIEST_INSTALL <= installed <= (now + timedelta(hours=14)).date():
        raise InvalidError("must lie between 1900 and today", field="install_date")
    if "station_id" in values:
        require_station(connection, organization_id, StationId(values["station_id"]))


def _listed(connection: Write, organization_id: OrganizationId, compressor_id: CompressorId) -> Mapping[Any, Any]:
    machine = queries.find_compressor(connection, organization_id, compressor_id)
    if machine is None:
        raise NotFoundError(NO_COMPRESSOR)
    return machine
