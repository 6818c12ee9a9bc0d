"""Aggregated readings over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Query

from functions import pagination
from functions.access.caller import CurrentCaller, ReadConnection
from functions.pagination import DEFAULT_LIMIT, Cursor, Page
from functions.problems import responses
from functions.readings import actions
from functions.readings.schemas import Instant, Window, WindowPosition
from functions.stations.schemas import Identifier
from shared_code.database.tables.readings import WindowType
from shared_code.identifiers import CompressorId

router = APIRouter(prefix="/compressors/{compressor_id}/readings", tags=["readings"])


@router.get("", operation_id="list_readings", responses=responses(401, 403, 404, 422))
def list_readings(
    caller: CurrentCaller,
    connection: ReadConnection,
    compressor_id: Identifier,
    window: Annotated[WindowType, Query(description="How much time each item covers.")] = WindowType.HOUR,
    start: Annotated[Instant | None, Query(description="Windows that end later than this.")] = None,
    end: Annotated[Instant | None, Query(description="Windows that end at this or earlier.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="How many items at most.")] = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[Window]:
    """List a machine's windows of one type, the oldest first."""
    position = pagination.decode(cursor, WindowPosition)
    rows = actions.read_windows(
        connection,
        caller.organization_id,
        compressor_id=CompressorId(compressor_id),
        window_type=window,
        tier=caller.subscription_tier,
        period=(start, end),
        resume_after=position.agg_timestamp if position else None,
        limit=limit + 1,
    )
    return pagination.page(
        rows,
        limit,
        item=lambda row: Window.model_validate(dict(row)),
        position=lambda row: WindowPosition(agg_timestamp=row["agg_timestamp"]),
    )
