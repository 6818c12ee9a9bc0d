"""Shapes of aggregated readings."""

from datetime import datetime
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, BeforeValidator

from functions.pagination import Position
from shared_code.database.tables.readings import WindowType


def _iso_8601(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        instant = datetime.fromisoformat(value)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise ValueError("must be an ISO 8601 time with its zone, such as 2026-01-05T00:00:00Z (in a URL, + is %2B)")
    return instant


Instant = Annotated[AwareDatetime, BeforeValidator(_iso_8601)]
"""An instant; a time without a zone is refused, for nobody can say which instant it means."""


class Window(BaseModel):
    """Readings of one machine over one window, which ends at `agg_timestamp` and does not include it.

    Units: vibration mm/s RMS, temperature deg F (its rate deg F/h), pressure PSI, power HP, gas flow Mcf/day.
    A value is null where the window has no usable reading of that sensor.
    """

    compressor_id: str
    window_type: WindowType
    agg_timestamp: AwareDatetime
    vibration_mean: float | None
    vibration_std: float | None
    vibration_max: float | None
    vibration_min: float | None
    discharge_temp_mean: float | None
    discharge_temp_std: float | None
    discharge_temp_max: float | None
    discharge_temp_rate_of_change: float | None
    suction_pressure_mean: float | None
    suction_pressure_std: float | None
    suction_pressure_min: float | None
    discharge_pressure_mean: float | None
    discharge_pressure_std: float | None
    discharge_pressure_max: float | None
    pressure_delta_mean: float | None
    horsepower_mean: float | None
    horsepower_std: float | None
    gas_flow_mean: float | None
    reading_count: int
    missing_readings: int
    suspect_readings: int


class WindowPosition(Position):
    """Windows are listed by their end."""

    agg_timestamp: AwareDatetime
