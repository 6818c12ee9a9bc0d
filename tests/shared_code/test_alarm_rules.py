"""Alarms from readings: raised in time, once, over when it is over; and the same however the readings came."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared_code.alarm_rules import (
    MINUTE_US,
    TOO_MANY,
    Episode,
    Readings,
    is_suppressed,
    judge,
    rate_per_hour,
    unchanged_hours,
    with_derived,
)
from shared_code.readings import UNCHANGED
from shared_code.thresholds import RuleChanges, thresholds
from tests.factories.silver import NORMAL as SENSORS

LIMITS = thresholds()
CHANNELS = sorted({rule.channel for rule in LIMITS.alarms.rules.values()})
STEP = 10
FROM_THE_START = -1
VIBRATION = "vibration_mms"
GOOD, BAD, GRAVE, BETWEEN = 3.0, 7.0, 9.0, 5.8
DERIVED = {"pressure_differential": 990.0, "temp_rate_of_change": 0.0, "distance_from_usual": 0.3}
NORMAL = SENSORS | DERIVED | dict.fromkeys(UNCHANGED.values(), 0.0)
ALARMED = NORMAL | {
    "vibration_mms": 7.0,
    "discharge_temp_f": 250.0,
    "suction_pressure_psi": 25.0,
    "discharge_pressure_psi": 1350.0,
    "horsepower_consumption": 1900.0,
    "gas_flow_mcf": 5_000.0,
    "pressure_differential": 1300.0,
    "temp_rate_of_change": 25.0,
    **dict.fromkeys(UNCHANGED.values(), 2.5),
    "distance_from_usual": 1.5,
}


def minutes(episode_time: int | None) -> float | None:
    return None if episode_time is None else episode_time / MINUTE_US


def series(
    *machines: Mapping[str, Sequence[float]],
    at: Sequence[Sequence[int]] | None = None,
    since: int = FROM_THE_START,
) -> Readings:
    """Readings of machines, every `STEP` minutes from 0 on unless `at` (minutes) says otherwise; all else is normal."""
    lengths = [len(next(iter(machine.values()))) for machine in machines]
    times = at or [range(0, length * STEP, STEP) for length in lengths]
    return Readings(
        machine=np.repeat(np.arange(len(machines)), lengths),
        at=np.concatenate([np.array(each, dtype=np.int64) for each in times]) * MINUTE_US,
        channels={
            name: np.concatenate(
                [
                    np.array(machine.get(name, [NORMAL[name]] * length), dtype=float)
                    for machine, length in zip(machines, lengths, strict=True)
                ]
            )
            for name in CHANNELS
        },
        since=np.full(len(machines), since * MINUTE_US),
    )


def vibrating(*values: float) -> list[Episode]:
    return judge(series({VIBRATION: values}), LIMITS)


def test_a_healthy_machine_raises_nothing() -> None:
    assert vibrating(*[GOOD] * 500) == []


def test_one_problem_is_one_alarm_from_its_onset_to_its_end() -> None:
    (alarm,) = vibrating(*[GOOD] * 3, *[BAD] * 10, 7.5, *[BAD] * 4, *[GOOD] * 20)

    assert (alarm.rule, alarm.critical_at, alarm.suppressed_by) == ("vibration_high", None, None)
    assert [minutes(at) for at in (alarm.onset_at, alarm.raised_at, alarm.peak_at)] == [30, 50, 130]
    assert (alarm.peak_value, alarm.latest_value) == (7.5, GOOD)
    assert minutes(alarm.cleared_at) == 180 + 60  # the off-delay after the first normal reading


def test_what_is_beyond_for_less_than_the_on_delay_raises_nothing() -> None:
    assert vibrating(GOOD, BAD, BAD, GOOD, BAD, BAD, GOOD) == []


@pytest.mark.parametrize("value", [6.0, float("nan")])
def test_the_limit_itself_and_no_value_are_not_beyond(value: float) -> None:
    assert vibrating(*[value] * 30) == []


def test_it_stays_open_between_the_limit_and_the_deadband() -> None:
    (alarm,) = vibrating(*[BAD] * 5, *[BETWEEN] * 100)
    assert alarm.cleared_at is None
    assert alarm.latest_value == BETWEEN


def test_a_value_that_is_not_there_neither_opens_nor_closes() -> None:
    nan = float("nan")
    (alarm,) = vibrating(BAD, nan, BAD, BAD, nan, nan, GOOD, nan, GOOD, *[nan] * 40)
    assert minutes(alarm.raised_at) == 20
    assert alarm.cleared_at is None


def test_silence_ends_a_delay_and_no_alarm() -> None:
    later = [0, 10, 1000, 1010, 1020, 3000]
    (alarm,) = judge(series({VIBRATION: [BAD] * 6}, at=[later]), LIMITS)
    assert [minutes(at) for at in (alarm.onset_at, alarm.raised_at, alarm.cleared_at)] == [1000, 1020, None]


def test_it_becomes_critical_when_it_has_been_so_for_the_delay() -> None:
    (alarm,) = vibrating(*[BAD] * 5, GRAVE, BAD, *[GRAVE] * 3, *[GOOD] * 20)
    assert minutes(alarm.critical_at) == 90
    assert alarm.cleared_at is not None


@pytest.mark.parametrize("rule", LIMITS.alarms.rules)
def test_every_rule_finds_its_own_problem(rule: str) -> None:
    channel = LIMITS.alarms.rules[rule].channel
    values = [NORMAL[channel]] * 5 + [ALARMED[channel]] * 12 + [NORMAL[channel]] * 80

    (alarm,) = judge(series({channel: values}), LIMITS)

    assert alarm.rule == rule
    assert alarm.peak_value == ALARMED[channel]
    assert alarm.cleared_at is not None


def test_machines_are_judged_each_for_itself() -> None:
    bad, good = {VIBRATION: [BAD] * 2}, {VIBRATION: [GOOD] * 50}
    found = judge(series(bad, bad, good, {VIBRATION: [BAD] * 3}), LIMITS)
    assert [alarm.machine for alarm in found] == [3]


def test_what_another_alarm_explains_is_suppressed() -> None:
    high = {"discharge_pressure_psi": [1350.0] * 20, "pressure_differential": [1300.0] * 20}
    cause, effect = judge(series(high), LIMITS)
    assert (cause.rule, cause.suppressed_by) == ("discharge_pressure_high", None)
    assert (effect.rule, effect.suppressed_by) == ("pressure_differential_high", "discharge_pressure_high")


def test_alarms_that_come_together_belong_together() -> None:
    vibration, hot = [BAD] * 40, [200.0] * 2 + [250.0] * 38
    flow = [10_000.0] * 20 + [5_000.0] * 20
    first, second, third = judge(series({VIBRATION: vibration, "discharge_temp_f": hot, "gas_flow_mcf": flow}), LIMITS)
    assert first.group_at == second.group_at == first.raised_at
    assert third.group_at == third.raised_at


def test_a_sixth_warning_is_suppressed_until_it_is_critical() -> None:
    rules = ("discharge_temp_high", "gas_flow_low", "horsepower_high", "discharge_pressure_high", "vibration_high")
    channels = {LIMITS.alarms.rules[rule].channel: rule for rule in rules}
    five = {channel: [ALARMED[channel]] * 60 for channel in channels}
    starved = [60.0] * 20 + [25.0] * 20 + [10.0] * 20

    *shown, sixth = judge(series(five | {"suction_pressure_psi": starved}), LIMITS)

    assert [alarm.suppressed_by for alarm in shown] == [None] * 5
    assert (sixth.rule, sixth.suppressed_by) == ("suction_pressure_low", TOO_MANY)
    assert sixth.critical_at is not None
    assert is_suppressed(sixth, at=sixth.critical_at - 1)
    assert not is_suppressed(sixth)


def test_sensors_at_fault_hide_no_problem_of_the_machine() -> None:
    stuck = {channel: [ALARMED[channel]] * 60 for channel in UNCHANGED.values()}
    shaking = [GOOD] * 20 + [BAD] * 40

    *of_sensors, of_machine = judge(series(stuck | {VIBRATION: shaking}), LIMITS)

    assert [alarm.suppressed_by for alarm in of_sensors] == [None] * 5 + [TOO_MANY]
    assert (of_machine.rule, of_machine.suppressed_by) == ("vibration_high", None)


def test_the_rate_is_over_an_hour_and_never_over_a_long_gap() -> None:
    at = np.array([0, 30, 60, 90, 300, 310, 370, 0, 60]) * MINUTE_US
    machine = np.array([0, 0, 0, 0, 0, 0, 0, 1, 1])
    values = np.array([200.0, 210, 220, float("nan"), 300, 310, 320, 100, 400])
    rates = rate_per_hour(machine, at, values, 60)
    np.testing.assert_allclose(rates, [np.nan] * 2 + [20.0] + [np.nan] * 3 + [10.0] + [np.nan, 300.0])


def test_it_is_counted_how_long_a_value_has_been_the_same() -> None:
    nan = float("nan")
    values = np.array([5.0, 5, 5, nan, 5, 6, 6, 6, 6, 0, 0, 0, 0, 7, 7, 7])
    at = np.array([0, 30, 60, 75, 90, 100, 110, 120, 190, 200, 230, 260, 290, 300, 330, 360]) * MINUTE_US
    machine = np.array([0] * 14 + [1] * 2)
    hours = unchanged_hours(machine, at, values, gap_minutes=60, readings=3)
    np.testing.assert_allclose(hours, [0.0, 0, 1, nan, 1.5, 0, 0, 20 / 60, 0, 0, 0, 0, 0, 0, 0, 0])


def test_more_than_half_a_day_without_change_is_half_a_day() -> None:
    at = np.arange(100) * 10 * MINUTE_US
    hours = unchanged_hours(np.zeros(100, dtype=np.int64), at, np.full(100, 5.0), gap_minutes=60, readings=6)
    assert hours.max() == 12


@pytest.mark.parametrize("sensor", SENSORS)
def test_a_stuck_sensor_raises_an_alarm_of_its_own_and_no_other(sensor: str) -> None:
    count = 60
    wobbling = {field: value * (1 + np.arange(count) % 7 / 1000) for field, value in SENSORS.items()}
    wobbling[sensor] = np.where((np.arange(count) >= 6) & (np.arange(count) < 24), SENSORS[sensor], wobbling[sensor])
    machine, at = np.zeros(count, dtype=np.int64), np.arange(count) * STEP * MINUTE_US
    channels = with_derived(machine, at, wobbling, LIMITS)

    (alarm,) = judge(Readings(machine, at, channels, np.zeros(1, dtype=np.int64)), LIMITS)

    assert LIMITS.alarms.rules[alarm.rule].channel == UNCHANGED[sensor]
    assert minutes(alarm.raised_at) == 60 + 130  # the first that is more than two hours after the first of them
    assert alarm.peak_value == pytest.approx(17 * STEP / 60)
    assert minutes(alarm.cleared_at) == 240 + 60


noise = st.lists(st.floats(-1.5, 1.5), min_size=2, max_size=400)


@given(noise, st.sampled_from([1, 5, 10, 30]))
def test_no_alarm_opens_and_closes_more_than_twice_an_hour_under_noise(around: list[float], step: int) -> None:
    at = range(0, len(around) * step, step)
    found = judge(series({VIBRATION: [6.0 + value for value in around]}, at=[at]), LIMITS)
    raised = [alarm.raised_at for alarm in found]
    assert all(later - earlier >= 30 * MINUTE_US for earlier, later in pairwise(raised))
    assert all(alarm.cleared_at - alarm.raised_at >= 30 * MINUTE_US for alarm in found if alarm.cleared_at)


levels = st.sampled_from([GOOD, BAD, GRAVE, BETWEEN, float("nan")])
runs = st.lists(st.tuples(levels, st.integers(1, 12)), min_size=1, max_size=20)


def spread_out(drawn: list[tuple[float, int]]) -> list[float]:
    return [value for value, times in drawn for _ in range(times)]


@given(runs, runs, runs, st.floats(0, 1))
def test_judged_anew_from_any_instant_it_comes_out_as_judged_at_once(
    shaking: list[tuple[float, int]], warming: list[tuple[float, int]], before: list[tuple[float, int]], cut: float
) -> None:
    """A correction changes all from an instant on; what was known before it was judged by other readings."""
    vibration, heat = spread_out(shaking), [200 + 10 * value for value in spread_out(warming)]
    length = min(len(vibration), len(heat))
    readings = {VIBRATION: vibration[:length], "discharge_temp_f": heat[:length]}
    place = int(cut * length)
    wrong = spread_out(before)[: length - place]
    wrong += [GOOD] * (length - place - len(wrong))
    earlier = readings | {VIBRATION: vibration[:place] + wrong}
    since = place * STEP

    def not_over(episode: Episode) -> bool:
        return episode.cleared_at is None or episode.cleared_at >= since * MINUTE_US

    known = [episode for episode in judge(series(earlier), LIMITS) if not_over(episode)]
    again = judge(series(readings, since=since), LIMITS, known)
    at_once = [episode for episode in judge(series(readings), LIMITS) if not_over(episode)]

    assert again == at_once


def test_a_rule_that_is_switched_off_raises_nothing_and_ends_what_stood() -> None:
    off = LIMITS.changed("vibration_high", RuleChanges(enabled=False))
    shaking = {VIBRATION: [BAD] * 20}
    (stood,) = judge(series(shaking), LIMITS)
    over = replace(stood, cleared_at=150 * MINUTE_US)
    known = replace(stood, latest_at=90 * MINUTE_US)

    assert judge(series(shaking), off) == []
    assert judge(series(shaking, since=100), off, [known]) == [replace(known, cleared_at=100 * MINUTE_US)]
    assert judge(series(shaking, since=100), off, [over]) == [over]
