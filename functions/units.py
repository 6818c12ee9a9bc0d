"""The units of what is measured: as gateways deliver it (US), or converted to those of the SI on request."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from shared_code.readings import SENSORS


class UnitSystem(StrEnum):
    """Which units values are given in."""

    US = "us"
    SI = "si"


# Exact, by the definitions of the international foot and pound, of standard gravity, and of the degree Fahrenheit (NIST
# Special Publication 811, appendix B): 1 ft = 0.3048 m, 1 lbf = 4.4482216152605 N, 1 HP = 550 ft lbf/s. An Mcf is a
# thousand cubic feet; the gas stays at the conditions at which it was counted.
FOOT: Final = 0.3048
INCH: Final = FOOT / 12
POUND_FORCE: Final = 4.4482216152605
KILOPASCAL_A_PSI: Final = POUND_FORCE / INCH**2 / 1000
KILOWATT_A_HORSEPOWER: Final = 550 * FOOT * POUND_FORCE / 1000
CUBIC_METRES_AN_MCF: Final = 1000 * FOOT**3


@dataclass(frozen=True, slots=True)
class Measure:
    """A value's unit, and how it is made of the stored one: (stored - zero) x factor."""

    unit: str
    factor: float = 1.0
    zero: float = 0.0

    def of(self, stored: float) -> float:
        """Return a stored value in this unit."""
        return (stored - self.zero) * self.factor


_SI: Final[Mapping[str, Measure]] = {
    "mm/s RMS": Measure("mm/s RMS"),
    "deg F": Measure("deg C", 5 / 9, 32),
    "deg F/h": Measure("deg C/h", 5 / 9),
    "PSI": Measure("kPa", KILOPASCAL_A_PSI),
    "HP": Measure("kW", KILOWATT_A_HORSEPOWER),
    "Mcf/day": Measure("m3/day", CUBIC_METRES_AN_MCF),
}
_OF_SENSOR: Final = {
    "vibration_mms": ("vibration_mean", "vibration_std", "vibration_max", "vibration_min"),
    "discharge_temp_f": ("discharge_temp_mean", "discharge_temp_std", "discharge_temp_max"),
    "suction_pressure_psi": ("suction_pressure_mean", "suction_pressure_std", "suction_pressure_min"),
    "discharge_pressure_psi": (
        "discharge_pressure_mean",
        "discharge_pressure_std",
        "discharge_pressure_max",
        "pressure_delta_mean",
    ),
    "horsepower_consumption": ("horsepower_mean", "horsepower_std", "horsepower"),
    "gas_flow_mcf": ("gas_flow_mean",),
}
_STORED: Final = {field: sensor.unit for sensor in SENSORS for field in _OF_SENSOR[sensor.field]} | {
    "discharge_temp_rate_of_change": "deg F/h"
}


def _in_si(field: str, stored: str) -> Measure:
    """A deviation of 9 deg F is one of 5 deg C: where the scale begins makes no difference to it."""
    measure = _SI[stored]
    return Measure(measure.unit, measure.factor) if field.endswith("_std") else measure


MEASURES: Final[Mapping[UnitSystem, Mapping[str, Measure]]] = {
    UnitSystem.US: {field: Measure(unit) for field, unit in _STORED.items()},
    UnitSystem.SI: {field: _in_si(field, unit) for field, unit in _STORED.items()},
}
"""Each measured field of the API's answers."""


def units_of(fields: Iterable[str], system: UnitSystem) -> dict[str, str]:
    """Return the unit of each field that is measured."""
    measures = MEASURES[system]
    return {field: measures[field].unit for field in fields if field in measures}


def measured(values: Mapping[Any, Any], system: UnitSystem) -> Mapping[Any, Any]:
    """Return values with those that are measured in the units asked for; none is None in every unit."""
    if system is UnitSystem.US:
        return values
    measures = MEASURES[system]
    return {
        field: value if value is None or field not in measures else measures[field].of(value)
        for field, value in values.items()
    }
