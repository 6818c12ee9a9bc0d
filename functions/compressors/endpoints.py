"""Machines over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Query

from functions import pagination
from functions.access.caller import CurrentCaller, ReadConnection
from functions.compressors import actions, queries
from functions.compressors.health import Health
from functions.compressors.schemas import Compressor, CompressorDetail, CompressorPosition
from functions.pagination import DEFAULT_LIMIT, Cursor, Limit, Page
from functions.problems import responses
from functions.stations.schemas import Identifier
from shared_code.identifiers import CompressorId, StationId

router = APIRouter(prefix="/compressors", tags=["compressors"])


@router.get("", operation_id="list_compressors", responses=responses(401, 403, 422))
def list_compressors(
    caller: CurrentCaller,
    connection: ReadConnection,
    station_id: Annotated[Identifier | None, Query(description="Only machines at this station.")] = None,
    health: Annotated[Health | None, Query(description="Only machines that are so.")] = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[Compressor]:
    """List the organization's machines in order of id."""
    after = pagination.decode(cursor, CompressorPosition)
    rows = queries.list_compressors(
        connection,
        caller.organization_id,
        station_id=StationId(station_id) if station_id else None,
        health=health,
        after=CompressorId(after.compressor_id) if after else None,
        limit=limit + 1,
    )
    return pagination.page(
        rows,
        limit,
        item=lambda row: Compressor.model_validate(dict(row)),
        position=lambda row: CompressorPosition(compressor_id=row["compressor_id"]),
    )


@router.get("/{compressor_id}", operation_id="get_compressor", responses=responses(401, 403, 404, 422))
def get_compressor(caller: CurrentCaller, connection: ReadConnection, compressor_id: Identifier) -> CompressorDetail:
    """Show one machine: its data, its health and why, and its newest windows."""
    described = actions.describe_compressor(
        connection,
        caller.organization_id,
        compressor_id=CompressorId(compressor_id),
        tier=caller.subscription_tier,
    )
    return CompressorDetail.model_validate(described)
