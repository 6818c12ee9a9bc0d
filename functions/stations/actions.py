"""What people do about stations.

A retired station keeps its machines' past and takes no machine any more. One where no machine has ever stood, and that
no metadata file has named, is deleted instead: nothing would be lost, and nothing would bring it back.
"""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from functions.access import audit
from functions.access.audit import Origin
from functions.access.sessions import Session
from functions.stations import queries
from shared_code.database.transactions import Write
from shared_code.errors import ConflictError, InvalidError, NotFoundError
from shared_code.identifiers import OrganizationId, StationId

NO_STATION = "there is no such station"


def create_station(
    connection: Write,
    organization_id: OrganizationId,
    *,
    values: Mapping[str, Any],
    by: Session,
    origin: Origin,
    now: datetime,
) -> Mapping[Any, Any]:
    """Create a station and return it.

    Raises:
        ConflictError: the id is taken, be it by a retired station.
    """
    made = queries.add_station(connection, organization_id, values, now=now)
    audit.record(
        connection, organization_id, "station.created", by=by, origin=origin, now=now, target=made["station_id"]
    )
    return made


def change_station(
    connection: Write,
    organization_id: OrganizationId,
    *,
    station_id: StationId,
    changes: Mapping[str, Any],
    by: Session,
    origin: Origin,
    now: datetime,
) -> Mapping[Any, Any]:
    """Change what is given of a station, bring it back where `retired` is among that, and return it.

    Raises:
        NotFoundError: this organization has no such station.
    """
    queries.lock_fleet(connection, organization_id)
    station = queries.find_station(connection, organization_id, station_id)
    if station is None:
        raise NotFoundError(NO_STATION)
    if not changes:
        return station
    columns = as_columns(changes)
    audit.record(
        connection,
        organization_id,
        "station.changed",
        by=by,
        origin=origin,
        now=now,
        target=station_id,
        details=before_and_after(station, columns),
    )
    return queries.update_station(connection, organization_id, station_id, columns, now=now)


def retire_station(
    connection: Write,
    organization_id: OrganizationId,
    *,
    station_id: StationId,
    by: Session,
    origin: Origin,
    now: datetime,
) -> None:
    """Retire a station, or delete it where it has no past; a retired one stays as it is.

    Raises:
        ConflictError: machines in use stand there.
        NotFoundError: this organization has no such station.
    """
    queries.lock_fleet(connection, organization_id)
    station = queries.find_station(connection, organization_id, station_id)
    if station is None:
        raise NotFoundError(NO_STATION)
    in_use, ever = queries.count_machines(connection, organization_id, station_id)
    if in_use:
        raise ConflictError(f"{in_use} machines in use stand at this station; move or retire them first")
    if not ever and not station["in_files"]:
        queries.delete_station(connection, organization_id, station_id)
        action = "station.deleted"
    elif station["retired_at"] is None:
        queries.update_station(connection, organization_id, station_id, {"retired_at": now}, now=now)
        action = "station.retired"
    else:
        return
    audit.record(connection, organization_id, action, by=by, origin=origin, now=now, target=station_id)


def require_station(connection: Write, organization_id: OrganizationId, station_id: StationId) -> None:
    """Let pass only a station that may take machines.

    Raises:
        InvalidError: this organization has none such, or it is retired.
    """
    station = queries.find_station(connection, organization_id, station_id)
    if station is None:
        raise InvalidError(NO_STATION, field="station_id")
    if station["retired_at"] is not None:
        raise InvalidError("this station is retired", field="station_id")


def as_columns(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return changes as a table has them: what is no longer retired has no date since when it is."""
    columns = dict(changes)
    if "retired" in columns:
        del columns["retired"]
        columns["retired_at"] = None
    return columns


def before_and_after(row: Mapping[Any, Any], columns: Mapping[str, Any]) -> dict[str, object]:
    """Return, for the audit log, what the changed columns said before and say now, as JSON takes it."""
    return {
        name: {"before": _plain(row[name]), "after": _plain(value)}
        for name, value in columns.items()
        if row[name] != value
    }


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, date) else value
