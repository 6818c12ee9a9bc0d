"""How a machine is: its latest hour held against `config/thresholds.yaml`, and its open alerts."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any, Final

from functions.units import MEASURES, UnitSystem
from shared_code.readings import SENSORS
from shared_code.thresholds import Limits, thresholds


class Health(StrEnum):
    """How a machine is, from best to worst; compare `rank`, for the words sort otherwise."""

    HEALTHY = "healthy"
    UNKNOWN = "unknown"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 for the best."""
        return tuple(Health).index(self)


def worst(found: "set[Health]") -> Health:
    """Return the worst of what was found; healthy when nothing was."""
    return max(found, key=lambda health: health.rank, default=Health.HEALTHY)


@dataclass(frozen=True, slots=True)
class Quantity:
    """What is judged of a sensor: a column of `sensor_readings_agg`, what to call it, and its unit."""

    sensor: str
    column: str
    words: str
    unit: str
    needed: bool
    """Whether a machine without it cannot be called healthy; a derived quantity may lack its ingredients."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A limit, and what it means to be beyond it; beyond is above, or below where `above` is False."""

    quantity: Quantity
    above: bool
    limit: float
    health: Health

    def broken_by(self, value: float) -> bool:
        """Return whether a value lies beyond the limit; the limit itself does not."""
        return value > self.limit if self.above else value < self.limit


@dataclass(frozen=True, slots=True)
class Assessment:
    """How a machine is and why, the worst reason first."""

    health: Health
    reasons: tuple[str, ...]


# The extreme of the hour where one is kept, for an upper limit is broken by the highest value and not by the mean.
_JUDGED: Final = {
    "vibration_mms": ("vibration_max", "highest vibration"),
    "discharge_temp_f": ("discharge_temp_max", "highest discharge temperature"),
    "suction_pressure_psi": ("suction_pressure_min", "lowest suction pressure"),
    "discharge_pressure_psi": ("discharge_pressure_max", "highest discharge pressure"),
    "horsepower_consumption": ("horsepower_mean", "mean power"),
    "gas_flow_mcf": ("gas_flow_mean", "mean gas flow"),
    "pressure_differential": ("pressure_delta_mean", "mean pressure differential"),
    "temp_rate_of_change": ("discharge_temp_rate_of_change", "rise of the discharge temperature"),
}
_LIMITS: Final = tuple(
    (f"{health}_{side}", health, side == "above") for health in Health for side in ("above", "below")
)


@cache
def quantities() -> tuple[Quantity, ...]:
    """Return everything that is judged."""
    return tuple(_quantities())


@cache
def rules() -> tuple[Rule, ...]:
    """Return every limit that is set."""
    limits = _limits()
    return tuple(
        Rule(quantity, above, limit, health)
        for quantity in quantities()
        for name, health, above in _LIMITS
        if (limit := getattr(limits[quantity.sensor], name, None)) is not None
    )


def assess(
    window: Mapping[Any, Any] | None,
    *,
    warning_alerts: int,
    critical_alerts: int,
    units: UnitSystem = UnitSystem.US,
) -> Assessment:
    """Judge a machine by its newest hour (a row of `sensor_readings_agg`; None without readings) and open alerts.

    The reasons name values in the units asked for.
    """
    reasons = _alert_reasons({Health.CRITICAL: critical_alerts, Health.WARNING: warning_alerts})
    if window is None:
        reasons.append((Health.UNKNOWN, "there are no readings"))
    else:
        reasons += [reason for quantity in quantities() if (reason := _judge(quantity, window[quantity.column], units))]
    reasons.sort(key=lambda reason: -reason[0].rank)
    return Assessment(worst({health for health, _ in reasons}), tuple(words for _, words in reasons))


def _limits() -> dict[str, Limits]:
    every: dict[str, Limits] = {**thresholds().sensors, **thresholds().derived}
    return {sensor: every[sensor] for sensor in _JUDGED}


def _quantities() -> list[Quantity]:
    units = {sensor.field: sensor.unit for sensor in SENSORS}
    return [
        Quantity(sensor, *_JUDGED[sensor], unit=units.get(sensor) or limits.unit or "", needed=sensor in units)
        for sensor, limits in _limits().items()
    ]


def _alert_reasons(alerts: Mapping[Health, int]) -> list[tuple[Health, str]]:
    return [
        (health, f"{count} open {health} alert{'' if count == 1 else 's'}") for health, count in alerts.items() if count
    ]


def _judge(quantity: Quantity, value: float | None, units: UnitSystem) -> tuple[Health, str] | None:
    if value is None:
        missing = f"the latest hour has no usable value of {quantity.sensor}"
        return (Health.UNKNOWN, missing) if quantity.needed else None
    broken = [rule for rule in rules() if rule.quantity is quantity and rule.broken_by(value)]
    if not broken:
        return None
    rule = max(broken, key=lambda rule: rule.health.rank)
    side = "above" if rule.above else "below"
    measure = MEASURES[units][quantity.column]
    return rule.health, (
        f"{quantity.words} in the latest hour {measure.of(value):g} {measure.unit};"
        f" {rule.health} {side} {measure.of(rule.limit):g}"
    )
