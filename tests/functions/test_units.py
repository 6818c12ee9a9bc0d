"""Values in other units, against constants that are written out by others."""

import math

import pytest

from functions.readings.schemas import Window
from functions.units import MEASURES, UnitSystem, measured, units_of
from shared_code.readings import SENSORS

NOT_MEASURED = {
    "compressor_id",
    "window_type",
    "agg_timestamp",
    "reading_count",
    "missing_readings",
    "suspect_readings",
}


@pytest.mark.parametrize(
    ("field", "stored", "unit", "expected"),
    [
        # NIST SP 811, appendix B.8: 6.894 757 E+03 Pa a psi, 7.456 999 E+02 W a horsepower, 2.831 685 E-02 m3 a ft3.
        ("suction_pressure_mean", 1.0, "kPa", 6.894757),
        ("discharge_pressure_max", 1050.0, "kPa", 7239.495),
        ("discharge_pressure_std", 10.0, "kPa", 68.94757),
        ("pressure_delta_mean", -1.0, "kPa", -6.894757),
        ("horsepower_mean", 1.0, "kW", 0.7456999),
        ("horsepower", 1340.0, "kW", 999.2379),
        ("gas_flow_mean", 1.0, "m3/day", 28.31685),
        ("discharge_temp_mean", 212.0, "deg C", 100.0),
        ("discharge_temp_max", -40.0, "deg C", -40.0),
        ("discharge_temp_std", 9.0, "deg C", 5.0),
        ("discharge_temp_rate_of_change", 18.0, "deg C/h", 10.0),
        ("vibration_std", 3.0, "mm/s RMS", 3.0),
    ],
)
def test_a_value_is_converted(field: str, stored: float, unit: str, expected: float) -> None:
    converted = measured({field: stored}, UnitSystem.SI)[field]

    assert converted == pytest.approx(expected, rel=3e-7)
    assert units_of([field], UnitSystem.SI) == {field: unit}
    assert measured({field: stored}, UnitSystem.US) == {field: stored}


def test_every_measured_field_of_a_window_has_a_unit_in_both_systems() -> None:
    fields = set(Window.model_fields) - NOT_MEASURED

    for system in UnitSystem:
        assert set(units_of(Window.model_fields, system)) == fields
        assert set(MEASURES[system]) == fields | {"horsepower"}
    assert {measure.unit for measure in MEASURES[UnitSystem.US].values()} == {s.unit for s in SENSORS} | {"deg F/h"}


def test_spread_and_order_survive_the_conversion() -> None:
    """Of values and their statistics: the mean of the converted is the converted mean, and so the deviation."""
    hour = [198.0, 203.5, 211.25]
    mean = sum(hour) / 3
    deviation = math.sqrt(sum((value - mean) ** 2 for value in hour) / 2)
    celsius = [(value - 32) / 1.8 for value in hour]
    mean_c = sum(celsius) / 3
    given = {"discharge_temp_mean": mean, "discharge_temp_std": deviation, "discharge_temp_max": max(hour)}

    assert measured(given, UnitSystem.SI) == pytest.approx(
        {
            "discharge_temp_mean": mean_c,
            "discharge_temp_std": math.sqrt(sum((value - mean_c) ** 2 for value in celsius) / 2),
            "discharge_temp_max": max(celsius),
        }
    )


def test_nothing_is_nothing_in_every_unit() -> None:
    assert measured({"horsepower_mean": None, "reading_count": 6}, UnitSystem.SI) == {
        "horsepower_mean": None,
        "reading_count": 6,
    }
