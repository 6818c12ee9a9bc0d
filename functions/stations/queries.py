"""SQL of stations."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import RowMapping, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from shared_code.database.tables import compressor_metadata, organizations, station_locations
from shared_code.database.tables.organizations import Tier
from shared_code.database.transactions import Read, Write
from shared_code.errors import ConflictError
from shared_code.identifiers import OrganizationId, StationId


class Allowance(NamedTuple):
    """What an organization's plan allows; `max_compressors` None is no limit."""

    tier: Tier
    max_compressors: int | None


def lock_fleet(connection: Write, organization_id: OrganizationId) -> Allowance:
    """Let no other change of this organization's fleet go on before this transaction ends; return what is allowed.

    An update that changes nothing holds the row on every database; SELECT .. FOR UPDATE does not.
    """
    organization = organizations.c
    statement = (
        update(organizations)
        .where(organization.id == organization_id)
        .values(max_compressors=organization.max_compressors)
        .returning(organization.subscription_tier, organization.max_compressors)
    )
    held = connection.execute(statement).one()
    return Allowance(Tier(held.subscription_tier), held.max_compressors)


def list_stations(
    connection: Read,
    organization_id: OrganizationId,
    *,
    include_retired: bool,
    after: StationId | None,
    limit: int,
) -> Sequence[RowMapping]:
    """Return up to `limit` stations in order of id, those after `after`."""
    station = station_locations
    query = select(station).where(station.c.organization_id == organization_id).order_by(station.c.station_id)
    if not include_retired:
        query = query.where(station.c.retired_at.is_(None))
    if after is not None:
        query = query.where(station.c.station_id > after)
    return connection.execute(query.limit(limit)).mappings().all()


def find_station(connection: Read | Write, organization_id: OrganizationId, station_id: StationId) -> RowMapping | None:
    """Return a station; None without such a one."""
    station = station_locations
    query = select(station).where(station.c.organization_id == organization_id, station.c.station_id == station_id)
    return connection.execute(query).mappings().one_or_none()


def get_station(connection: Read, organization_id: OrganizationId, station_id: StationId) -> RowMapping:
    """Return a station that is known to exist."""
    station = station_locations
    query = select(station).where(station.c.organization_id == organization_id, station.c.station_id == station_id)
    return connection.execute(query).mappings().one()


def add_station(
    connection: Write, organization_id: OrganizationId, values: Mapping[str, Any], *, now: datetime
) -> RowMapping:
    """Add a station that people created, and return it.

    Raises:
        ConflictError: the id is taken; the transaction is of no more use.
    """
    statement = insert(station_locations).values(
        **values, organization_id=organization_id, edited_at=now, in_files=False
    )
    try:
        return connection.execute(statement.returning(station_locations)).mappings().one()
    except IntegrityError:
        raise ConflictError("there is a station with this id") from None


def update_station(
    connection: Write,
    organization_id: OrganizationId,
    station_id: StationId,
    values: Mapping[str, Any],
    *,
    now: datetime,
) -> RowMapping:
    """Change a station that is known to exist, and return it."""
    station = station_locations
    statement = (
        update(station)
        .where(station.c.organization_id == organization_id, station.c.station_id == station_id)
        .values(**values, edited_at=now)
        .returning(station)
    )
    return connection.execute(statement).mappings().one()


def delete_station(connection: Write, organization_id: OrganizationId, station_id: StationId) -> None:
    """Delete a station where no machine has stood."""
    station = station_locations
    connection.execute(
        delete(station).where(station.c.organization_id == organization_id, station.c.station_id == station_id)
    )


def count_machines(connection: Write, organization_id: OrganizationId, station_id: StationId) -> tuple[int, int]:
    """Return how many machines stand at a station and are in use, and how many with those that are retired."""
    machine = compressor_metadata.c
    in_use = func.count().filter(machine.retired_at.is_(None))
    query = select(in_use, func.count()).where(
        machine.organization_id == organization_id, machine.station_id == station_id
    )
    row = connection.execute(query).one()
    return row[0], row[1]
