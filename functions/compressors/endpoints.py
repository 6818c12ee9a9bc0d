"""Machines over HTTP."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Query, status

from functions import pagination
from functions.access.caller import CurrentCaller, CurrentOrigin, CurrentSession, ReadConnection
from functions.access.writes import WriteConnection, WriteRoute
from functions.application import Now
from functions.compressors import actions, queries
from functions.compressors.health import Health
from functions.compressors.schemas import (
    Compressor,
    CompressorChanges,
    CompressorDetail,
    CompressorPosition,
    NewCompressor,
    detail_values,
)
from functions.pagination import DEFAULT_LIMIT, Cursor, Limit, MeasuredPage
from functions.problems import responses
from functions.selection import Selection, Units, UnitsIfAsked, query_of, selection
from functions.stations.endpoints import IncludeRetired
from functions.stations.schemas import Identifier
from functions.units import UnitSystem, measured, units_of
from shared_code.identifiers import CompressorId, StationId

router = APIRouter(prefix="/compressors", tags=["compressors"], route_class=WriteRoute)


@dataclass(frozen=True, slots=True)
class AskedMachines:
    """Which machines a client asks for."""

    station_id: Annotated[Identifier | None, Query(description="Only machines at this station.")] = None
    health: Annotated[Health | None, Query(description="Only machines that are so.")] = None
    include_retired: IncludeRetired = False


@router.get("", operation_id="list_compressors", responses=responses(401, 403, 422))
def list_compressors(
    caller: CurrentCaller,
    connection: ReadConnection,
    asked: Annotated[AskedMachines, Depends(query_of(AskedMachines))],
    fields: Annotated[Selection[Compressor], Depends(selection(Compressor))],
    units: UnitsIfAsked = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> MeasuredPage[Compressor]:
    """List the organization's machines in order of id."""
    after = pagination.decode(cursor, CompressorPosition)
    rows = queries.list_compressors(
        connection,
        caller.organization_id,
        station_id=StationId(asked.station_id) if asked.station_id else None,
        health=asked.health,
        include_retired=asked.include_retired,
        after=CompressorId(after.compressor_id) if after else None,
        limit=limit + 1,
    )
    page = pagination.page(
        rows,
        limit,
        item=lambda row: fields.item(measured(row, units or UnitSystem.US)),
        position=lambda row: CompressorPosition(compressor_id=row["compressor_id"]),
    )
    said = {"units": units_of(fields.fields, units)} if units else {}
    return MeasuredPage[Compressor].model_construct(None, items=page.items, next=page.next, **said)


@router.get("/{compressor_id}", operation_id="get_compressor", responses=responses(401, 403, 404, 422))
def get_compressor(
    caller: CurrentCaller,
    connection: ReadConnection,
    compressor_id: Identifier,
    fields: Annotated[Selection[CompressorDetail], Depends(selection(CompressorDetail))],
    units: Units = UnitSystem.US,
) -> CompressorDetail:
    """Show one machine: its data, its health and why, and its newest windows."""
    described = actions.describe_compressor(
        connection,
        caller.organization_id,
        compressor_id=CompressorId(compressor_id),
        tier=caller.subscription_tier,
        units=units,
    )
    return fields.item(detail_values(described, units))


@router.post(
    "",
    operation_id="create_compressor",
    status_code=status.HTTP_201_CREATED,
    responses=responses(401, 403, 409, 422),
)
def create_compressor(
    session: CurrentSession, connection: WriteConnection, origin: CurrentOrigin, now: Now, body: NewCompressor
) -> Compressor:
    """Create a machine, where the plan includes another one."""
    made = actions.create_compressor(
        connection, session.organization_id, values=body.model_dump(), by=session, origin=origin, now=now
    )
    return Compressor.model_validate(dict(made))


@router.patch("/{compressor_id}", operation_id="update_compressor", responses=responses(401, 403, 404, 422))
def update_compressor(
    session: CurrentSession,
    connection: WriteConnection,
    origin: CurrentOrigin,
    now: Now,
    compressor_id: Identifier,
    body: CompressorChanges,
) -> Compressor:
    """Change a machine, or bring a retired one back. From then on no metadata file changes it."""
    changed = actions.change_compressor(
        connection,
        session.organization_id,
        compressor_id=CompressorId(compressor_id),
        changes=body.model_dump(exclude_unset=True),
        by=session,
        origin=origin,
        now=now,
    )
    return Compressor.model_validate(dict(changed))


@router.delete(
    "/{compressor_id}",
    operation_id="retire_compressor",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=responses(401, 403, 404, 422),
)
def retire_compressor(
    session: CurrentSession, connection: WriteConnection, origin: CurrentOrigin, now: Now, compressor_id: Identifier
) -> None:
    """Retire a machine: it keeps its data, takes no new readings and does not count against the plan's limit.

    One without any past is deleted.
    """
    actions.retire_compressor(
        connection,
        session.organization_id,
        compressor_id=CompressorId(compressor_id),
        by=session,
        origin=origin,
        now=now,
    )
