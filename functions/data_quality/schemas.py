"""Shapes of data-quality metrics."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AwareDatetime, Field

from functions.pagination import Position
from functions.selection import Sparse
from functions.stations.schemas import Identifier
from shared_code.database.tables.readings import QualityMetric


class Metric(Sparse):
    """How good a machine's data of one UTC day is; `metric_timestamp` is the day's end.

    | metric | value |
    |---|---|
    | completeness | readings received of those expected so far, 0 to 1 |
    | consistency | readings whose clock is not in doubt, of those received, 0 to 1 |
    | accuracy | usable sensor values of those received, 0 to 1 |
    | freshness | minutes from the day's last reading to the end of what is known of the day |

    The first three pass at `pass_threshold` or above, freshness at or below. `details` has the counts behind them.
    """

    compressor_id: str
    metric_type: QualityMetric
    metric_timestamp: AwareDatetime
    metric_value: float
    pass_threshold: float
    passed: bool
    details: Annotated[
        dict[str, Any],
        Field(examples=[{"readings": 144, "expected": 144, "received": 864, "usable": 862, "clock": 0}]),
    ]


class MetricPosition(Position):
    """Metrics are listed by day, machine and type, the newest day first."""

    metric_timestamp: AwareDatetime
    compressor_id: Identifier
    metric_type: QualityMetric


def metric_values(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Return what is shown of a metric, of its row."""
    return {**row, "metric_type": QualityMetric(row["metric_type"])}
