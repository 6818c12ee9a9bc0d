"""SQL of data-quality metrics."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import RowMapping, and_, false, or_, select

from shared_code.database.tables import data_quality_metrics
from shared_code.database.tables.readings import QualityMetric
from shared_code.database.transactions import Read
from shared_code.identifiers import CompressorId, OrganizationId


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which metrics to list: of days that end later than `after` and at `until` or earlier; None is no limit."""

    compressor_id: CompressorId | None
    metric_type: QualityMetric | None
    after: datetime | None
    until: datetime | None
    failed: bool


class Place(NamedTuple):
    """Where a metric stands in the list."""

    metric_timestamp: datetime
    compressor_id: CompressorId
    metric_type: QualityMetric


def list_metrics(
    connection: Read, organization_id: OrganizationId, wanted: Wanted, *, before: Place | None, limit: int
) -> Sequence[RowMapping]:
    """Return up to `limit` metrics in falling order of day, machine and type, those that come after `before`."""
    metric = data_quality_metrics.c
    query = (
        select(data_quality_metrics)
        .where(metric.organization_id == organization_id)
        .order_by(metric.metric_timestamp.desc(), metric.compressor_id.desc(), metric.metric_type.desc())
        .limit(limit)
    )
    if wanted.compressor_id is not None:
        query = query.where(metric.compressor_id == wanted.compressor_id)
    if wanted.metric_type is not None:
        query = query.where(metric.metric_type == wanted.metric_type)
    if wanted.after is not None:
        query = query.where(metric.metric_timestamp > wanted.after)
    if wanted.until is not None:
        query = query.where(metric.metric_timestamp <= wanted.until)
    if wanted.failed:
        query = query.where(metric.passed == false())
    if before is not None:
        same_day = metric.metric_timestamp == before.metric_timestamp
        same_machine = metric.compressor_id == before.compressor_id
        query = query.where(
            metric.metric_timestamp <= before.metric_timestamp,  # by which an index finds its place
            or_(
                metric.metric_timestamp < before.metric_timestamp,
                and_(same_day, metric.compressor_id < before.compressor_id),
                and_(same_day, same_machine, metric.metric_type < before.metric_type),
            ),
        )
    return connection.execute(query).mappings().all()
