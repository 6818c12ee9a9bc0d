from typing import Final

import numpy as np
import pytest

from shared_code.readings import SENSOR_FIELDS
from simulator.fleet import machines_at
from simulator.sensors import Readings, ambient, baseline, healthy_readings, load_and_warmth, operating_hours, rounded
from simulator.simulation import Simulation

NORMAL: Final = {
    "vibration_mms": (1.5, 4.5),
    "discharge_temp_f": (180, 220),
    "suction_pressure_psi": (40, 80),
    "discharge_pressure_psi": (900, 1200),
    "horsepower_consumption": (1200, 1600),
    "gas_flow_mcf": (8_000, 12_000),
}
FLEET: Final = Simulation(compressors=400, days=10)


@pytest.fixture(scope="module")
def healthy() -> Readings:
    gateway = machines_at(FLEET, 0)
    return np.concatenate([healthy_readings(FLEET, gateway, 0, batch) for batch in range(FLEET.batches)], axis=1)


@pytest.mark.parametrize("sensor", SENSOR_FIELDS)
def test_healthy_readings_stay_in_the_normal_range(healthy: Readings, sensor: str) -> None:
    low, high = NORMAL[sensor]
    values = healthy[SENSOR_FIELDS.index(sensor)]
    outside = np.count_nonzero((values < low) | (values > high))
    assert outside < values.size / 1000


def test_pressure_differential_of_healthy_machines_is_normal(healthy: Readings) -> None:
    differential = healthy[3] - healthy[2]
    assert differential.min() > 800
    assert differential.max() < 1150


def test_a_healthy_temperature_never_changes_at_the_rate_of_a_warning(healthy: Readings) -> None:
    readings_an_hour = 6
    assert np.abs(healthy[1][readings_an_hour:] - healthy[1][:-readings_an_hour]).max() < 20


@pytest.mark.parametrize(
    ("sensor", "direction"),
    [
        ("horsepower_consumption", 1),
        ("gas_flow_mcf", 1),
        ("discharge_pressure_psi", 1),
        ("suction_pressure_psi", -1),
        ("discharge_temp_f", 1),
    ],
)
def test_sensors_follow_the_load(healthy: Readings, sensor: str, direction: int) -> None:
    gateway = machines_at(FLEET, 0)
    load = np.concatenate([load_and_warmth(FLEET, gateway, 0, batch)[0] for batch in range(FLEET.batches)])
    series = healthy[SENSOR_FIELDS.index(sensor)]
    correlations = [np.corrcoef(load[:, m], series[:, m])[0, 1] for m in range(len(gateway))]
    assert direction * np.median(correlations) > 0.6


def test_load_steps_and_metal_follows_without_a_jump_between_batches() -> None:
    minute = Simulation(compressors=40, interval_minutes=1)
    gateway = machines_at(minute, 0)
    traces = [load_and_warmth(minute, gateway, 0, batch) for batch in range(8)]
    load, warmth = (np.concatenate(trace) for trace in zip(*traces, strict=True))
    steps_per_machine = np.count_nonzero(np.diff(load, axis=0), axis=0)
    assert steps_per_machine.min() >= 6
    assert steps_per_machine.max() <= 8
    assert np.abs(np.diff(warmth, axis=0)).max() <= 2 / 40


def test_the_air_is_warmest_in_the_stations_afternoon() -> None:
    hottest_utc = [
        np.argmax(np.mean([ambient(FLEET, s, 1440 * d + np.arange(1440)) for d in range(10)], axis=0)) / 60
        for s in range(4)
    ]
    for hour in hottest_utc:
        assert 19 <= hour <= 24  # 13 to 18 h in Texas


def test_machines_differ_and_each_keeps_its_own_level(healthy: Readings) -> None:
    own = baseline(machines_at(FLEET, 0))
    assert np.corrcoef(healthy[0].mean(axis=0), own[0])[0, 1] > 0.9


def test_readings_are_rounded_to_the_transmitters_resolution() -> None:
    values = rounded(np.full((6, 1, 1), 1234.5678))
    assert values.ravel().tolist() == [1234.57, 1234.6, 1234.6, 1234.6, 1234.6, 1235.0]


def test_the_running_hours_counter_rises_and_never_outruns_the_clock() -> None:
    simulation = Simulation(compressors=400, interval_minutes=1)
    gateway = machines_at(simulation, 1)
    counted = np.diff(np.concatenate([operating_hours(simulation, gateway, batch) for batch in range(4)]), axis=0)
    assert counted.min() > 0
    assert counted.max() <= 1 / 60
