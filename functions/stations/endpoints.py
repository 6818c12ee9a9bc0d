"""Stations over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, status

from functions import pagination
from functions.access.caller import CurrentCaller, CurrentOrigin, CurrentSession, ReadConnection
from functions.access.writes import WriteConnection, WriteRoute
from functions.application import Now
from functions.pagination import DEFAULT_LIMIT, Cursor, Limit, Page
from functions.problems import responses
from functions.selection import Selection, selection
from functions.stations import actions, queries
from functions.stations.schemas import Identifier, NewStation, Station, StationChanges, StationPosition
from shared_code.identifiers import StationId

router = APIRouter(prefix="/stations", tags=["stations"], route_class=WriteRoute)

IncludeRetired = Annotated[bool, Query(description="Also list what is retired.")]


@router.get("", operation_id="list_stations", responses=responses(401, 403, 422))
def list_stations(
    caller: CurrentCaller,
    connection: ReadConnection,
    *,
    include_retired: IncludeRetired = False,
    fields: Annotated[Selection[Station], Depends(selection(Station))],
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[Station]:
    """List the organization's stations in order of id."""
    after = pagination.decode(cursor, StationPosition)
    rows = queries.list_stations(
        connection,
        caller.organization_id,
        include_retired=include_retired,
        after=StationId(after.station_id) if after else None,
        limit=limit + 1,
    )
    return pagination.page(
        rows,
        limit,
        item=fields.item,
        position=lambda row: StationPosition(station_id=row["station_id"]),
    )


@router.post(
    "", operation_id="create_station", status_code=status.HTTP_201_CREATED, responses=responses(401, 403, 409, 422)
)
def create_station(
    session: CurrentSession, connection: WriteConnection, origin: CurrentOrigin, now: Now, body: NewStation
) -> Station:
    """Create a station, for machines to stand at."""
    made = actions.create_station(
        connection, session.organization_id, values=body.model_dump(), by=session, origin=origin, now=now
    )
    return Station.model_validate(dict(made))


@router.patch("/{station_id}", operation_id="update_station", responses=responses(401, 403, 404, 422))
def update_station(
    session: CurrentSession,
    connection: WriteConnection,
    origin: CurrentOrigin,
    now: Now,
    station_id: Identifier,
    body: StationChanges,
) -> Station:
    """Change a station, or bring a retired one back. From then on no metadata file changes it."""
    changed = actions.change_station(
        connection,
        session.organization_id,
        station_id=StationId(station_id),
        changes=body.model_dump(exclude_unset=True),
        by=session,
        origin=origin,
        now=now,
    )
    return Station.model_validate(dict(changed))


@router.delete(
    "/{station_id}",
    operation_id="retire_station",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=responses(401, 403, 404, 409, 422),
)
def retire_station(
    session: CurrentSession, connection: WriteConnection, origin: CurrentOrigin, now: Now, station_id: Identifier
) -> None:
    """Retire a station whose machines are all retired or moved. One without any past is deleted."""
    actions.retire_station(
        connection, session.organization_id, station_id=StationId(station_id), by=session, origin=origin, now=now
    )
