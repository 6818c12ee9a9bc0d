"""The limits in `config/thresholds.yaml`, as types: what is plausible, normal, a warning, critical."""

from functools import cache
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared_code.errors import SettingsError
from shared_code.readings import SENSOR_FIELDS
from shared_code.settings import CONFIG

Range = Annotated[tuple[float, float], Field(description="lowest and highest, both included")]


class Limits(BaseModel):
    """The limits of one quantity, in its own unit; None where there is no such limit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    unit: str | None = None
    normal: Range | None = None
    warning_above: float | None = None
    critical_above: float | None = None
    warning_below: float | None = None
    critical_below: float | None = None


class SensorLimits(Limits):
    """The limits of a sensor. Outside `plausible` the sensor is at fault, not the machine."""

    plausible: Range
    noise_floor: float = Field(gt=0, description="the least standard deviation that a working sensor shows")


class PassLimits(BaseModel):
    """What a machine's day of data must reach."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    completeness: float
    consistency: float
    accuracy: float
    freshness_minutes: float


class QualityLimits(BaseModel):
    """When a reading is doubted, and when a day of data is good enough."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    spike_sigmas: float
    spike_min_readings: int
    # A flag must not depend on readings farther than a day away, or a late one would have to be judged beside more.
    spike_neighbour_minutes: int = Field(gt=0, le=60)
    stuck_hours: float = Field(gt=0, le=12)
    stuck_min_readings: int = Field(ge=2, le=12)
    clock_disagreement_hours: float
    passing: PassLimits = Field(alias="pass")


class Thresholds(BaseModel):
    """All limits."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sensors: dict[str, SensorLimits]
    derived: dict[str, Limits]
    quality: QualityLimits


@cache
def thresholds() -> Thresholds:
    """Read the limits, once.

    Raises:
        SettingsError: the file lacks a sensor or says something that is no limit.
    """
    try:
        limits = Thresholds.model_validate(yaml.safe_load((CONFIG / "thresholds.yaml").read_text(encoding="utf-8")))
    except ValidationError as wrong:
        raise SettingsError(f"config/thresholds.yaml: {wrong}") from None
    missing = set(SENSOR_FIELDS) - set(limits.sensors)
    if missing:
        raise SettingsError(f"config/thresholds.yaml: no limits for {', '.join(sorted(missing))}")
    return limits
