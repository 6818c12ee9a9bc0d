from collections import Counter
from statistics import linear_regression

import numpy as np
import pytest
from numpy.typing import NDArray

from simulator.degradation import Degradations, breakdowns, degradations_in, degrade
from simulator.fleet import machines_at, whole_fleet
from simulator.simulation import InvalidSimulation, Simulation
from tests.simulator.landed import Landed

ONSET, FAILURE = 3, 6


def hourly_means(series: NDArray[np.float64]) -> NDArray[np.float64]:
    hours = len(series) // 6
    return series[: hours * 6].reshape(hours, 6).mean(axis=1)


def test_vibration_of_a_degrading_machine_grows_exponentially(default_week: Landed) -> None:
    days, vibration = default_week.series("COMP-003", "vibration_mms", ONSET, FAILURE)
    slope, intercept = linear_regression(days.tolist(), np.log(vibration).tolist())
    left = np.log(vibration) - (slope * days + intercept)
    assert 1 - left.var() / np.log(vibration).var() > 0.98
    assert 0.4 < slope < 0.7


def test_vibration_passes_warning_and_critical_days_before_the_failure(default_week: Landed) -> None:
    days, vibration = default_week.series("COMP-003", "vibration_mms", ONSET, FAILURE)
    hourly = hourly_means(vibration)
    passed_warning, passed_critical = (ONSET + np.argmax(hourly > limit) / 24 for limit in (6, 8))
    assert 4 <= passed_warning <= 4.6
    assert 4.6 <= passed_critical <= 5.2
    assert 14 <= vibration[days > FAILURE - 0.1].mean() <= 16


def test_discharge_temperature_grows_linearly_past_critical(default_week: Landed) -> None:
    days, temperature = default_week.series("COMP-003", "discharge_temp_f", ONSET, FAILURE)
    slope, intercept = linear_regression(days.tolist(), temperature.tolist())
    assert slope == pytest.approx(80 / 3, rel=0.15)
    assert np.abs(temperature - (slope * days + intercept)).max() < 20
    assert temperature[days > FAILURE - 0.2].mean() > 260


def test_discharge_pressure_swings_more_and_more_and_the_suction_mildly_with_it(default_week: Landed) -> None:
    swings: dict[str, list[float]] = {}
    for sensor in ("discharge_pressure_psi", "suction_pressure_psi"):
        by_day = [default_week.series("COMP-003", sensor, day, day + 1)[1] for day in (2, 3, 4, 5)]
        swings[sensor] = [float(np.std(values)) for values in by_day]
    assert swings["discharge_pressure_psi"] == sorted(swings["discharge_pressure_psi"])
    assert swings["discharge_pressure_psi"][-1] > 150
    assert swings["suction_pressure_psi"][-1] < 10


def test_the_swing_is_a_sinusoid_of_four_hours() -> None:
    simulation = Simulation()
    gateway = machines_at(simulation, 0)
    readings = np.zeros((6, 144, len(gateway)))
    minutes = np.arange(5 * 1440, 6 * 1440, 10)
    degrade(readings, gateway, Degradations.usual(np.array([np.inf, np.inf, 3 * 1440.0])), minutes)
    spectrum = np.abs(np.fft.rfft(readings[3, :, 2]))
    assert int(np.argmax(spectrum)) == 6  # cycles a day
    assert not readings[:, :, :2].any()


def test_a_failed_machine_stays_at_its_failed_level(default_week: Landed) -> None:
    _, vibration = default_week.series("COMP-003", "vibration_mms", FAILURE, 7)
    assert vibration.mean() == pytest.approx(15, abs=0.5)
    assert vibration.std() > 0.05


def test_the_second_machine_degrades_later_and_has_not_failed_within_the_week(default_week: Landed) -> None:
    _, before = default_week.series("COMP-007", "vibration_mms", 4, 5)
    _, after = default_week.series("COMP-007", "vibration_mms", 6.9, 7)
    assert before.mean() < 4.5
    assert 6 < after.mean() < 11
    kinds = {(row["compressor_id"], row["kind"]) for row in default_week.injected("degradation", "failure")}
    assert kinds == {("COMP-003", "degradation"), ("COMP-003", "failure"), ("COMP-007", "degradation")}


def test_a_repaired_machine_is_healthy_again() -> None:
    simulation = Simulation(days=12)
    progress = degradations_in(simulation, 0).progress(np.arange(0, 12 * 1440, 10))
    machine = progress[:, 2]
    assert machine[: 3 * 144].max() == 0
    assert machine[6 * 144 : 8 * 144].min() == 1
    assert machine[8 * 144 :].max() == 0


def test_a_few_percent_of_a_large_fleet_degrade_each_month_and_never_one_twice_at_once() -> None:
    simulation = Simulation(compressors=2000, days=90)
    found = list(breakdowns(simulation))
    by_month = Counter(int(b.onset // (30 * 1440)) for b in found)
    assert all(0.01 < count / 2000 < 0.05 for count in by_month.values())
    by_machine: dict[int, float] = {}
    for b in found:
        assert b.onset >= by_machine.get(b.machine, 0)
        by_machine[b.machine] = b.repair


def test_only_the_two_demonstrated_machines_degrade_in_the_default_week_of_any_seed() -> None:
    for seed in range(200):
        simulation = Simulation(seed=seed)
        assert [whole_fleet(simulation).compressor_id[b.machine] for b in breakdowns(simulation)] == [
            "COMP-003",
            "COMP-007",
        ]


def test_so_many_machines_fail_as_are_wanted_each_in_its_own_time() -> None:
    found = list(breakdowns(Simulation(compressors=80, days=120, failures=40)))
    assert len(found) == 40
    assert all(3 <= (b.failure - b.onset) / 1440 <= 10 for b in found)
    assert all(b.repair <= 120 * 1440 for b in found)
    assert len({b.failure - b.onset for b in found}) > 20
    assert found != list(breakdowns(Simulation(compressors=80, days=120, failures=40, seed=43)))
    assert {("COMP-003", 3), ("COMP-007", 5)} <= {(f"COMP-{b.machine + 1:03}", b.onset / 1440) for b in found}


@pytest.mark.parametrize(("days", "failures"), [(120, 1), (120, 4000), (29, 2)])
def test_more_failures_than_there_is_room_for_are_refused(days: int, failures: int) -> None:
    with pytest.raises(InvalidSimulation, match="failures"):
        list(breakdowns(Simulation(compressors=80, days=days, failures=failures)))
