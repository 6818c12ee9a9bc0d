"""The limits in `config/thresholds.yaml`, as types: what is plausible, normal, a warning, critical."""

from collections.abc import Mapping
from contextlib import suppress
from enum import StrEnum
from functools import cache
from typing import Annotated, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from shared_code.errors import InvalidError, SettingsError
from shared_code.readings import SENSOR_FIELDS, SENSORS
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


class Side(StrEnum):
    """On which side of a limit values are bad."""

    ABOVE = "above"
    BELOW = "below"


class Priority(StrEnum):
    """How soon somebody has to see to an alarm."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


Value = Annotated[float, Field(allow_inf_nan=False)]
Deadband = Annotated[float, Field(ge=0, allow_inf_nan=False)]
# Together they keep an alarm that comes and goes from being raised more than twice an hour. What an alarm is depends on
# readings no farther back than a day, so that late ones can be seen to.
OnDelay = Annotated[float, Field(ge=0, le=360)]
OffDelay = Annotated[float, Field(ge=30, le=720)]


class AlarmRule(BaseModel):
    """When an alarm is raised and when it is over, in the channel's unit and minutes, and what it means."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    channel: str
    words: str = Field(description="what the channel is called in a sentence")
    side: Side
    # Of this rule alone; without them they are the channel's.
    warning_limit: Value | None = None
    critical_limit: Value | None = None
    deadband: Deadband
    on_delay_minutes: OnDelay
    off_delay_minutes: OffDelay
    latch: bool
    enabled: bool = True
    priority: Priority
    consequence: str
    action: str
    inhibited_by: tuple[str, ...] = ()


class RuleChanges(BaseModel):
    """What is wanted of a rule otherwise than `config/thresholds.yaml` says; what is null stays as it is there."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    warning_limit: Annotated[Value | None, Field(description="In the unit of the rule.", examples=[7])] = None
    critical_limit: Annotated[Value | None, Field(description="In the unit of the rule.", examples=[9])] = None
    deadband: Annotated[
        Deadband | None,
        Field(description="How far within the limit a value is healthy again, in the same unit.", examples=[1]),
    ] = None
    on_delay_minutes: Annotated[
        OnDelay | None, Field(description="How long beyond the limit raises an alert.", examples=[30])
    ] = None
    off_delay_minutes: Annotated[
        OffDelay | None, Field(description="How long healthy again ends it.", examples=[60])
    ] = None
    latch: Annotated[
        bool | None, Field(strict=True, description="Whether one that is over stands until somebody acknowledges it.")
    ] = None
    enabled: Annotated[bool | None, Field(strict=True, description="Whether it raises any.")] = None


class AlarmRules(BaseModel):
    """The rules of alarms, and what holds for all of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    normal_readings: int = Field(ge=1)
    gap_minutes: float = Field(gt=0, le=360)
    group_minutes: float = Field(ge=0, le=30)  # an alarm raised so shortly before is still open
    most_open: int = Field(ge=1)
    rate_minutes: float = Field(ge=10, le=360)
    rules: dict[str, AlarmRule]


class Thresholds(BaseModel):
    """All limits."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sensors: dict[str, SensorLimits]
    derived: dict[str, Limits]
    quality: QualityLimits
    alarms: AlarmRules

    def limits_of(self, rule: AlarmRule) -> tuple[float, float | None]:
        """Return a rule's warning and critical limit, in the unit of its channel."""
        limits = self.sensors.get(rule.channel) or self.derived[rule.channel]
        above = rule.side is Side.ABOVE
        warning = limits.warning_above if above else limits.warning_below
        critical = limits.critical_above if above else limits.critical_below
        if warning is None:
            raise ValueError(f"{rule.channel} has no limit {rule.side} which values are a warning")
        return (
            warning if rule.warning_limit is None else rule.warning_limit,
            critical if rule.critical_limit is None else rule.critical_limit,
        )

    def unit_of(self, rule: AlarmRule) -> str:
        """Return the unit of a rule's channel."""
        units = {sensor.field: sensor.unit for sensor in SENSORS}
        return units.get(rule.channel) or self.derived[rule.channel].unit or ""

    def changed(self, name: str, changes: RuleChanges) -> "Thresholds":
        """Return the limits with one rule changed.

        Raises:
            InvalidError: the rule could not tell of anything, or an alarm of it would never be over; names the field.
        """
        rule = self.alarms.rules[name].model_copy(update=changes.model_dump(exclude_none=True))
        self._refuse(rule, changes)
        rules = {**self.alarms.rules, name: rule}
        return self.model_copy(update={"alarms": self.alarms.model_copy(update={"rules": rules})})

    def as_wanted(self, wishes: Mapping[str, RuleChanges]) -> "Thresholds":
        """Return the limits with rules changed as an organization wants them.

        What makes no rule any more, because the rules for everybody have changed since, is left as it is for everybody.
        """
        limits = self
        for name, changes in wishes.items():
            if name in self.alarms.rules:
                with suppress(InvalidError):
                    limits = limits.changed(name, changes)
        return limits

    def _refuse(self, rule: AlarmRule, changes: RuleChanges) -> None:
        warning, critical = self.limits_of(rule)
        sign = 1 if rule.side is Side.ABOVE else -1
        if critical is not None and sign * critical <= sign * warning:
            field = "warning_limit" if changes.critical_limit is None else "critical_limit"
            raise InvalidError(
                f"the critical limit, {critical:g}, must lie {rule.side} the warning limit, {warning:g}",
                field=field,
            )
        sensor = self.sensors.get(rule.channel)
        if sensor is None:
            return
        lowest, highest = sensor.plausible
        healthy = warning - sign * rule.deadband
        for field, value in (("warning_limit", warning), ("critical_limit", critical), ("deadband", healthy)):
            if value is not None and not lowest <= value <= highest:
                raise InvalidError(
                    f"no working sensor says {value:g}: it is from {lowest:g} to {highest:g} {self.unit_of(rule)}"
                    + (", so an alert would never be over" if field == "deadband" else ""),
                    field=field,
                )

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        if missing := set(SENSOR_FIELDS) - set(self.sensors):
            raise ValueError(f"no limits for {', '.join(sorted(missing))}")
        for name, rule in self.alarms.rules.items():
            if rule.channel not in self.sensors and rule.channel not in self.derived:
                raise ValueError(f"alarm {name}: there is no channel {rule.channel}")
            if unknown := set(rule.inhibited_by) - set(self.alarms.rules):
                raise ValueError(f"alarm {name}: there is no alarm {min(unknown)} that could inhibit it")
            self.limits_of(rule)
        return self


@cache
def thresholds() -> Thresholds:
    """Read the limits, once.

    Raises:
        SettingsError: the file lacks a sensor or says something that is no limit.
    """
    try:
        return Thresholds.model_validate(yaml.safe_load((CONFIG / "thresholds.yaml").read_text(encoding="utf-8")))
    except ValidationError as wrong:
        raise SettingsError(f"config/thresholds.yaml: {wrong}") from None
