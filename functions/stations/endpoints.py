"""Stations over HTTP."""

from fastapi import APIRouter

from functions import pagination
from functions.access.caller import CurrentCaller, ReadConnection
from functions.pagination import DEFAULT_LIMIT, Cursor, Limit, Page
from functions.problems import responses
from functions.stations import queries
from functions.stations.schemas import Station, StationPosition
from shared_code.identifiers import StationId

router = APIRouter(prefix="/stations", tags=["stations"])


@router.get("", operation_id="list_stations", responses=responses(401, 403, 422))
def list_stations(
    caller: CurrentCaller, connection: ReadConnection, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Page[Station]:
    """List the organization's stations in order of id."""
    after = pagination.decode(cursor, StationPosition)
    rows = queries.list_stations(
        connection,
        caller.organization_id,
        after=StationId(after.station_id) if after else None,
        limit=limit + 1,
    )
    return pagination.page(
        rows,
        limit,
        item=lambda row: Station.model_validate(dict(row)),
        position=lambda row: StationPosition(station_id=row["station_id"]),
    )
