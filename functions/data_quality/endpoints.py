"""Data quality over HTTP."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from functions import pagination
from functions.access.caller import CurrentCaller, ReadConnection
from functions.data_quality import actions
from functions.data_quality.queries import Place, Wanted
from functions.data_quality.schemas import Metric, MetricPosition, metric_values
from functions.pagination import DEFAULT_LIMIT, Cursor, Limit, Page
from functions.problems import responses
from functions.readings.schemas import Instant
from functions.selection import Selection, query_of, selection
from functions.stations.schemas import Identifier
from shared_code.database.tables.readings import QualityMetric
from shared_code.identifiers import CompressorId

router = APIRouter(tags=["data quality"])


@dataclass(frozen=True, slots=True)
class AskedMetrics:
    """Which metrics a client asks for."""

    compressor_id: Annotated[Identifier | None, Query(description="Only metrics of this machine.")] = None
    metric_type: Annotated[QualityMetric | None, Query(description="Only this metric.")] = None
    start: Annotated[Instant | None, Query(description="Days that end later than this.")] = None
    end: Annotated[Instant | None, Query(description="Days that end at this or earlier.")] = None
    failed: Annotated[bool, Query(description="Only what did not pass.")] = False


@router.get("/data-quality", operation_id="list_data_quality", responses=responses(401, 403, 422))
def list_data_quality(
    caller: CurrentCaller,
    connection: ReadConnection,
    asked: Annotated[AskedMetrics, Depends(query_of(AskedMetrics))],
    fields: Annotated[Selection[Metric], Depends(selection(Metric))],
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[Metric]:
    """List how good the machines' data is, day by day, the newest first."""
    position = pagination.decode(cursor, MetricPosition)
    rows = actions.list_metrics(
        connection,
        caller.organization_id,
        wanted=Wanted(
            compressor_id=CompressorId(asked.compressor_id) if asked.compressor_id else None,
            metric_type=asked.metric_type,
            after=asked.start,
            until=asked.end,
            failed=asked.failed,
        ),
        before=_place(position) if position else None,
        limit=limit + 1,
    )
    return pagination.page(rows, limit, item=lambda row: fields.item(metric_values(row)), position=_position)


def _place(position: MetricPosition) -> Place:
    return Place(position.metric_timestamp, CompressorId(position.compressor_id), position.metric_type)


def _position(row: Mapping[Any, Any]) -> MetricPosition:
    return MetricPosition(
        metric_timestamp=row["metric_timestamp"],
        compressor_id=row["compressor_id"],
        metric_type=QualityMetric(row["metric_type"]),
    )
