from datetime import timedelta

import pytest

from shared_code.readings import SENSOR_FIELDS
from simulator.fleet import whole_fleet
from tests.simulator.landed import Landed
from tests.simulator.test_sensors import NORMAL

WORN = {"degradation", "failure"}


@pytest.fixture(params=["default_week", "big_fleet"])
def fleet(request: pytest.FixtureRequest) -> Landed:
    return request.getfixturevalue(request.param)


def test_a_reading_is_missing_exactly_where_a_gap_was_injected(fleet: Landed) -> None:
    step = timedelta(minutes=10)
    scheduled = {
        (str(machine), fleet.simulation.start + n * step)
        for machine in whole_fleet(fleet.simulation).compressor_id
        for n in range(fleet.simulation.days * 144)
    }
    silent = {(machine, at) for machine, at, _ in fleet.struck("gap")}
    assert silent
    assert scheduled - silent == fleet.rows.keys()


def test_a_value_is_null_exactly_where_one_was_lost(fleet: Landed) -> None:
    nulls = {(*key, sensor) for key, row in fleet.rows.items() for sensor in SENSOR_FIELDS if row[sensor] is None}
    assert nulls
    assert nulls == fleet.struck("missing_value")


def test_a_value_is_impossible_exactly_where_one_was_injected(fleet: Landed) -> None:
    impossible = {(*key, sensor) for key, row in fleet.rows.items() for sensor in SENSOR_FIELDS if row[sensor] == -999}
    assert impossible
    assert impossible == fleet.struck("implausible")


def test_a_stuck_sensor_repeats_one_value_for_hours(fleet: Landed) -> None:
    assert fleet.injected("stuck")
    for row in fleet.injected("stuck"):
        values = {fleet.rows[row["compressor_id"], at][row["sensor"]] for at in fleet.covered(row)}
        assert len(values) == 1
        assert timedelta(hours=3) <= row["end"] - row["start"] <= timedelta(hours=5)


def test_a_spike_is_one_reading_far_from_both_neighbours(fleet: Landed) -> None:
    assert fleet.injected("spike")
    for row in fleet.injected("spike"):
        machine, sensor, at = row["compressor_id"], row["sensor"], row["start"]
        before, value, after = (fleet.rows[machine, at + timedelta(minutes=10 * n)][sensor] for n in (-1, 0, 1))
        low, high = NORMAL[sensor]
        assert min(abs(value - before), abs(value - after)) > (high - low) / 2
        assert row["end"] - at == timedelta(minutes=10)


def test_nothing_outside_the_truth_is_outside_the_normal_range(fleet: Landed) -> None:
    explained = fleet.struck("spike", "implausible", "missing_value")
    worn = {(machine, at) for machine, at, _ in fleet.struck(*WORN)}
    outside = [
        (*key, sensor)
        for key, row in fleet.rows.items()
        if key not in worn
        for sensor, (low, high) in NORMAL.items()
        if (*key, sensor) not in explained and not low <= row[sensor] <= high
    ]
    assert len(outside) <= len(fleet.rows) * len(NORMAL) // 10_000


def test_a_degrading_machine_has_no_other_fault(default_week: Landed) -> None:
    worn = {(machine, at) for machine, at, _ in default_week.struck(*WORN)}
    others = {row["kind"] for row in default_week.truth} - WORN
    assert worn
    assert not worn & {(machine, at) for machine, at, _ in default_week.struck(*others)}


def test_faults_are_rare(fleet: Landed) -> None:
    others = {row["kind"] for row in fleet.truth} - WORN
    readings = fleet.simulation.scheduled_readings
    assert len(fleet.struck(*others)) < readings / 50
