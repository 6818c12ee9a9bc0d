"""SQL of stations."""

from collections.abc import Sequence

from sqlalchemy import RowMapping, select

from shared_code.database.tables import station_locations
from shared_code.database.transactions import Read
from shared_code.identifiers import OrganizationId, StationId


def list_stations(
    connection: Read, organization_id: OrganizationId, *, after: StationId | None, limit: int
) -> Sequence[RowMapping]:
    """Return up to `limit` stations in order of id, those after `after`."""
    station = station_locations
    query = select(station).where(station.c.organization_id == organization_id).order_by(station.c.station_id)
    if after is not None:
        query = query.where(station.c.station_id > after)
    return connection.execute(query.limit(limit)).mappings().all()


def get_station(connection: Read, organization_id: OrganizationId, station_id: StationId) -> RowMapping:
    """Return a station that is known to exist."""
    station = station_locations
    query = select(station).where(station.c.organization_id == organization_id, station.c.station_id == station_id)
    return connection.execute(query).mappings().one()
