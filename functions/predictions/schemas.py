"""Shapes of predictions."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, Field

from functions.pagination import Position
from functions.selection import Sparse
from functions.stations.schemas import Identifier


class Prediction(Sparse):
    """What was foretold of a machine at the end of the newest hour in which it was heard.

    What is null cannot be told: after a gap, of a load such as was never seen, or, of the hours that remain, where they
    are more than a week.
    """

    compressor_id: str
    prediction_timestamp: AwareDatetime
    model_version: Annotated[str, Field(examples=["residual-health-1"])]
    alarm: Annotated[bool, Field(description="Whether `health` is `threshold` or more.")]
    health: Annotated[
        float | None, Field(description="How far the machine is from its usual self, in usual sizes.", examples=[1.2])
    ]
    threshold: Annotated[float | None, Field(examples=[4.1])]
    failure_probability: Annotated[
        float | None, Field(description="Of a failure within a week, 0 to 1.", examples=[0.02])
    ]
    confidence: Annotated[
        float | None,
        Field(description="0 to 1: how much of what is usual the machine has shown itself; the rest is its model's."),
    ]
    remaining_hours_at_least: Annotated[
        float | None, Field(description="A lower bound, meant to hold nine times in ten.", examples=[None])
    ]


class Channel(BaseModel):
    """What a sensor read, and would have read on a usual day under the same load, in its own unit.

    `off` is how far its level is from usual and `spread_off` how far its spread over a day is, both smoothed and in
    usual sizes.
    """

    sensor: Annotated[str, Field(examples=["vibration_mms"])]
    actual: Annotated[float | None, Field(examples=[3.1])]
    expected: Annotated[float | None, Field(examples=[2.9])]
    off: Annotated[float | None, Field(examples=[1.2])]
    spread_off: Annotated[float | None, Field(examples=[0.4])]


class PredictionDetail(Prediction):
    """A prediction with its explanation, the sensor that is farthest off first."""

    channels: list[Channel]


class PredictionPosition(Position):
    """Predictions are listed by machine."""

    compressor_id: Identifier


class PredictionQuality(BaseModel):
    """How well failures were foretold in a period, with the counts behind each figure.

    An alarm came true if its machine failed, or had work that nobody had planned, within 14 days; one that is younger
    is still open; any other is false. A failure was foretold if an alarm of its machine was raised within 14 days
    before. A bound held if its machine failed no earlier.
    """

    start: AwareDatetime
    end: AwareDatetime
    machine_months: Annotated[float, Field(description="Of 720 hours of which something could be told.")]
    alarms: int
    alarms_that_came_true: int
    alarms_still_open: int
    false_alarms: int
    false_alarms_per_machine_month: float | None
    wanted_false_alarms_per_machine_month: float
    failures: int
    failures_foretold: int
    median_lead_hours: Annotated[float | None, Field(description="From the first alarm to the failure.")]
    bounds: Annotated[int, Field(description="Predictions before a failure that told one.")]
    bounds_that_held: int
    bound_coverage: Annotated[float | None, Field(description="The share that held.")]
    wanted_bound_coverage: float


def prediction_values(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Return what is shown of a prediction, of its row."""
    health, threshold, days = row["health"], row["threshold"], row["rul_days"]
    return {
        **row,
        "alarm": health is not None and threshold is not None and health >= threshold,
        "confidence": row["confidence_score"],
        "remaining_hours_at_least": None if days is None else 24 * days,
    }


def detail_values(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Return what is shown of a prediction with its explanation, of its row."""
    channels: list[dict[str, Any]] = row["features_used"].get("channels", [])
    return {**prediction_values(row), "channels": sorted(channels, key=_farness, reverse=True)}


def _farness(channel: Mapping[str, Any]) -> float:
    return max(abs(channel["off"] or 0.0), channel["spread_off"] or 0.0)
