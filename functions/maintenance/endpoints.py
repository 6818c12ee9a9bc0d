"""The maintenance log over HTTP."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, status

from functions import pagination
from functions.access.caller import CurrentCaller, CurrentOrigin, CurrentSession, ReadConnection
from functions.access.writes import WriteConnection, WriteRoute
from functions.application import CurrentApplication, Now
from functions.maintenance import actions
from functions.maintenance.queries import Wanted
from functions.maintenance.schemas import Maintenance, MaintenancePosition, NewMaintenance, maintenance_values
from functions.pagination import DEFAULT_LIMIT, Cursor, Limit, Page
from functions.problems import responses
from functions.readings.schemas import Instant
from functions.selection import Selection, query_of, selection
from functions.stations.schemas import Identifier
from shared_code.identifiers import CompressorId

router = APIRouter(prefix="/maintenance", tags=["maintenance"], route_class=WriteRoute)


@dataclass(frozen=True, slots=True)
class AskedMaintenance:
    """Which entries a client asks for."""

    compressor_id: Annotated[Identifier | None, Query(description="Only work on this machine.")] = None
    start: Annotated[Instant | None, Query(description="Work that began at this or later.")] = None
    end: Annotated[Instant | None, Query(description="Work that began earlier than this.")] = None


@router.get("", operation_id="list_maintenance", responses=responses(401, 403, 422))
def list_maintenance(
    caller: CurrentCaller,
    connection: ReadConnection,
    asked: Annotated[AskedMaintenance, Depends(query_of(AskedMaintenance))],
    fields: Annotated[Selection[Maintenance], Depends(selection(Maintenance))],
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[Maintenance]:
    """List what was done to the organization's machines, the newest first: what people recorded, and what files say."""
    position = pagination.decode(cursor, MaintenancePosition)
    rows = actions.list_maintenance(
        connection,
        caller.organization_id,
        wanted=Wanted(
            compressor_id=CompressorId(asked.compressor_id) if asked.compressor_id else None,
            start=asked.start,
            end=asked.end,
        ),
        before=(position.event_date, position.event_id) if position else None,
        limit=limit + 1,
    )
    return pagination.page(rows, limit, item=lambda row: fields.item(maintenance_values(row)), position=_position)


@router.post(
    "", operation_id="record_maintenance", status_code=status.HTTP_201_CREATED, responses=responses(401, 403, 422)
)
def record_maintenance(
    session: CurrentSession,
    connection: WriteConnection,
    application: CurrentApplication,
    origin: CurrentOrigin,
    now: Now,
    body: NewMaintenance,
) -> Maintenance:
    """Record what was done to a machine. Files that arrive later neither change nor remove the entry."""
    recorded = actions.record_maintenance(
        connection,
        session.organization_id,
        values=body.model_dump(),
        clock_tolerance=application.settings.job.clock_tolerance,
        by=session,
        origin=origin,
        now=now,
    )
    return Maintenance.model_validate(maintenance_values(recorded))


def _position(row: Mapping[Any, Any]) -> MaintenancePosition:
    return MaintenancePosition(event_date=row["event_date"], event_id=row["event_id"])
