from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import inf, nan

import numpy as np
import pytest

from etl_job import quality
from shared_code.arrays import Booleans, Floats, Integers
from shared_code.readings import SENSOR_FIELDS
from shared_code.thresholds import thresholds
from tests.factories.landing import HOUR, MINUTE, MONDAY, NORMAL

LIMITS = thresholds()
VIBRATION = LIMITS.sensors["vibration_mms"]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
CALM = [3.0, 3.1, 2.9, 3.0, 3.2, 2.8]
"""An hour of vibration, mm/s."""
UNEASY = [2.6, 3.3, 2.7, 3.4, 2.5, 3.2]
"""An hour of vibration that strays more, mm/s; nothing in it is out of the ordinary."""


@dataclass(frozen=True)
class Doubts:
    """The flags of readings in the order given; the vibration's apart, because most tests look at it."""

    vibration: list[str | None]
    clock: list[int]
    """The places of the readings whose clock is in doubt."""
    others: list[str | None]
    """The flags of all other sensors."""


def ten_minutes_apart(count: int, start: datetime = MONDAY) -> list[datetime]:
    return [start + i * 10 * MINUTE for i in range(count)]


def micros(times: Sequence[datetime]) -> Integers:
    return np.array([(at - EPOCH) // timedelta(microseconds=1) for at in times], dtype=np.int64)


def floats(values: Sequence[float | None]) -> Floats:
    return np.array([nan if value is None else value for value in values], dtype=np.float64)


def timeline(times: Sequence[datetime], machines: Sequence[int] | None = None) -> quality.Timeline:
    return quality.Timeline(np.array(machines or [0] * len(times), dtype=np.int64), micros(times))


def channel(values: Sequence[float | None], *, text: bool = False) -> quality.Channel:
    """Return what a sensor said; None is nothing, or text that means nothing."""
    missing = np.array([value is None for value in values], dtype=np.bool_)
    return quality.Channel(floats(values), missing, not_a_number=missing & text)


def flag_names(flags: quality.Flags) -> list[str | None]:
    return [None if flag == quality.NO_FLAG else quality.VALUE_FLAGS[flag] for flag in flags]


def flagged(
    *,
    vibration: Sequence[float | None] | None = None,
    times: Sequence[datetime] | None = None,
    counter: Sequence[float | None] | None = None,
    machines: Sequence[str] | None = None,
    text: bool = False,
) -> Doubts:
    """Flag readings of a machine that is well but for what is given."""
    count = len(vibration or counter or times or [])
    times = times or ten_minutes_apart(count)
    machine = np.unique(np.array(machines or ["COMP-001"] * count), return_inverse=True)[1]
    order: list[int] = np.lexsort((micros(times), machine)).tolist()

    def ordered(values: Sequence[float | None]) -> list[float | None]:
        return [values[place] for place in order]

    # All sensors stray, so that none is stuck.
    channels = {
        field: channel(ordered([usual + stray * CALM[i % len(CALM)] for i in range(count)]))
        for field, (usual, stray) in NORMAL.items()
    }
    if vibration is not None:
        channels["vibration_mms"] = channel(ordered(vibration), text=text)
    flags, clock = quality.flag(
        timeline([times[place] for place in order], machine[order].tolist()),
        channels,
        floats(ordered(counter if counter is not None else counting(times))),
        LIMITS,
    )
    named = {field: flag_names(found) for field, found in flags.items()}
    return Doubts(
        vibration=[named["vibration_mms"][place] for place in np.argsort(order)],
        clock=sorted(order[place] for place in np.flatnonzero(clock)),
        others=[flag for field in SENSOR_FIELDS if field != "vibration_mms" for flag in named[field]],
    )


def counting(times: Sequence[datetime]) -> list[float]:
    return [20_000 + (at - MONDAY) / HOUR for at in times]


def places(flags: Sequence[str | None], flag: str) -> list[int]:
    return [place for place, found in enumerate(flags) if found == flag]


def test_not_finite_and_missing_are_two_things() -> None:
    values = channel([3.0, nan, inf, -inf, None])
    assert quality.not_finite(values.values, values.missing).tolist() == [False, True, True, True, False]


def test_implausible_is_outside_what_a_working_sensor_can_say() -> None:
    found = quality.implausible(np.array([0.0, 50.0, -0.001, 50.001, -999.0, nan]), VIBRATION)
    assert found.tolist() == [False, False, True, True, True, False]


def test_in_warning_is_beyond_a_limit_and_not_on_it() -> None:
    suction = LIMITS.sensors["suction_pressure_psi"]
    assert quality.in_warning(np.array([3.0, 6.0, 6.1, nan]), VIBRATION).tolist() == [False, False, True, False]
    assert quality.in_warning(np.array([60.0, 30.0, 29.9, nan]), suction).tolist() == [False, False, True, False]


def test_each_fault_of_a_value_is_named_and_the_value_stays() -> None:
    said = channel([3.0, None, nan, inf, -999.0, 1e6, 9.5])
    before = said.values.copy()
    found = quality.value_flags(said, timeline(ten_minutes_apart(7)), VIBRATION, LIMITS.quality)
    names = [None, "missing", "not_finite", "not_finite", "implausible", "implausible", None]
    assert flag_names(found) == names
    np.testing.assert_array_equal(said.values, before)


def test_text_that_is_no_number_is_told_from_a_missing_value() -> None:
    assert flagged(vibration=[None]).vibration == ["missing"]
    assert flagged(vibration=[None], text=True).vibration == ["not_a_number"]


def test_a_fault_of_one_sensor_says_nothing_about_the_others() -> None:
    doubts = flagged(vibration=[nan, 3.0, *[3.3] * 13])
    assert set(doubts.vibration) == {"not_finite", None, "stuck"}
    assert set(doubts.others) == {None}
    assert doubts.clock == []


def test_one_reading_that_jumps_away_and_back_is_a_spike() -> None:
    doubts = flagged(vibration=[*CALM, *CALM, 12.0, *CALM])
    assert doubts.vibration == [None] * 12 + ["spike"] + [None] * 6


def test_a_sustained_shift_is_never_a_spike() -> None:
    levels = {"a little": 4.4, "warning": 7.0, "critical": 12.0, "extreme": 40.0}
    shifts = {f"{name}, and stays": CALM * 3 + [level, level + 0.1] * 6 for name, level in levels.items()}
    shifts |= {f"{name}, twice": [*CALM * 3, level, level + 0.2, *CALM * 2] for name, level in levels.items()}
    doubts = flagged(
        vibration=[value for values in shifts.values() for value in values],
        times=[at for values in shifts.values() for at in ten_minutes_apart(len(values))],
        machines=[name for name, values in shifts.items() for _ in values],
    )
    assert set(doubts.vibration) == {None}


def test_a_failing_machine_is_no_outlier() -> None:
    rising = [3.0 + 0.01 * i**2 for i in range(36)]
    assert max(rising) > 15
    assert set(flagged(vibration=rising).vibration) == {None}


def test_a_peak_of_a_machine_in_warning_is_no_spike() -> None:
    warning = [value + 3.5 for value in CALM]
    assert set(flagged(vibration=[*warning, *warning, 16.0, *warning]).vibration) == {None}
    for before, after in ((6.4, 5.9), (5.9, 6.4)):
        values = [*CALM, *CALM, 3.0, before, 16.0, after, *CALM]
        assert set(flagged(vibration=values).vibration) == {None}


@pytest.mark.parametrize(("readings", "flag"), [(14, "spike"), (13, None)])
def test_twelve_comparisons_make_a_fence_and_fewer_do_not(readings: int, flag: str | None) -> None:
    values = [*CALM, *CALM, *CALM][:readings]
    values[6] = 14.0
    assert flagged(vibration=values).vibration[6] == flag


@pytest.mark.parametrize(("jump", "flag"), [(3.3, None), (3.5, "spike")])
def test_a_sensor_that_hardly_strays_is_still_allowed_its_noise(jump: float, flag: str | None) -> None:
    doubts = flagged(vibration=[*[3.0, 3.01] * 9, jump, *[3.01, 3.0] * 9])
    assert doubts.vibration == [None] * 18 + [flag] + [None] * 18


def test_readings_more_than_an_hour_apart_say_nothing_about_each_other() -> None:
    values = [*CALM, *CALM, 12.0, *CALM, *CALM]
    times = [*ten_minutes_apart(12), MONDAY + 4 * HOUR, *ten_minutes_apart(12, MONDAY + 6 * HOUR)]
    assert set(flagged(vibration=values, times=times).vibration) == {None}


@pytest.mark.parametrize("place", [71, 72], ids=["last of the day", "first of the next"])
def test_a_spike_at_midnight_is_seen_from_both_days(place: int) -> None:
    values = CALM * 24
    values[place] = 12.0
    doubts = flagged(vibration=values, times=ten_minutes_apart(len(values), MONDAY + 12 * HOUR))
    assert places(doubts.vibration, "spike") == [place]


def test_a_value_in_doubt_is_no_neighbour() -> None:
    doubts = flagged(vibration=[*CALM, *CALM, -999.0, 12.0, *CALM])
    assert doubts.vibration == [None] * 12 + ["implausible"] + [None] * 7


def test_another_machine_is_no_neighbour() -> None:
    values = [*CALM, *CALM, *CALM, 12.0, *CALM, *CALM, *CALM]
    machines = ["COMP-001"] * 18 + ["COMP-002"] + ["COMP-001"] * 18
    assert set(flagged(vibration=values, machines=machines).vibration) == {None}


def stuck(values: Sequence[float], times: Sequence[datetime], machines: Sequence[int] | None = None) -> list[int]:
    """Return the places of stuck values by the rule alone."""
    found: Booleans = quality.stuck(
        floats(values), timeline(times, machines), hours=2, readings=6, neighbour_minutes=60
    )
    return np.flatnonzero(found).tolist()


def test_two_hours_of_the_same_value_are_stuck_from_the_first_to_the_last() -> None:
    doubts = flagged(vibration=[*CALM, *[3.3] * 13, *CALM])
    assert doubts.vibration == [None] * 6 + ["stuck"] * 13 + [None] * 6


@pytest.mark.parametrize(("apart", "is_stuck"), [(24 * MINUTE, True), (24 * MINUTE - MINUTE / 60, False)])
def test_slightly_less_than_two_hours_is_not_stuck(apart: timedelta, is_stuck: bool) -> None:  # noqa: FBT001
    times = [MONDAY + i * apart for i in range(6)]
    assert stuck([3.3] * 6, times) == (list(range(6)) if is_stuck else [])


def test_fewer_than_six_readings_are_not_stuck_however_long_they_last() -> None:
    hourly = [MONDAY + i * HOUR for i in range(6)]
    assert stuck([3.3] * 5, hourly[:5]) == []
    assert stuck([3.3] * 6, hourly) == list(range(6))


def test_a_difference_in_the_last_digit_is_life() -> None:
    values = [3.3] * 25
    values[12] = np.nextafter(3.3, 4)
    assert stuck(values, ten_minutes_apart(25)) == []


def test_zero_is_never_stuck() -> None:
    assert set(flagged(vibration=[0.0, -0.0] * 72).vibration) == {None}


def test_a_sensor_held_at_a_critical_value_is_stuck_and_no_spike() -> None:
    assert set(flagged(vibration=[9.9] * 24).vibration) == {"stuck"}


@pytest.mark.parametrize(("gap", "is_stuck"), [(60 * MINUTE, True), (61 * MINUTE, False)])
def test_a_gap_of_more_than_an_hour_breaks_a_run(gap: timedelta, is_stuck: bool) -> None:  # noqa: FBT001
    times = [*ten_minutes_apart(7), *ten_minutes_apart(7, MONDAY + HOUR + gap)]
    assert stuck([3.3] * 14, times) == (list(range(14)) if is_stuck else [])


@pytest.mark.parametrize("between", [None, nan, -999.0, 3.4])
def test_another_value_breaks_a_run(between: float | None) -> None:
    doubts = flagged(vibration=[*[3.3] * 12, between, *[3.3] * 12])
    assert places(doubts.vibration, "stuck") == []


def test_two_machines_do_not_join_in_a_run() -> None:
    assert stuck([3.3] * 14, ten_minutes_apart(14), [0] * 7 + [1] * 7) == []
    assert stuck([3.3] * 20, ten_minutes_apart(20), [0] * 7 + [1] * 13) == list(range(7, 20))


def test_a_run_goes_on_across_midnight() -> None:
    times = ten_minutes_apart(25, MONDAY + 22 * HOUR)
    doubts = flagged(vibration=[*CALM, *[3.3] * 13, *CALM], times=times)
    assert (times[6].day, times[18].day) == (5, 6)
    assert places(doubts.vibration, "stuck") == list(range(6, 19))


def test_a_value_that_is_implausible_all_day_is_implausible() -> None:
    assert set(flagged(vibration=[-999.0] * 24).vibration) == {"implausible"}


def test_a_stuck_value_is_no_neighbour() -> None:
    doubts = flagged(vibration=[*CALM * 3, *[3.3] * 13, 12.0, *CALM * 3])
    assert doubts.vibration == [None] * 18 + ["stuck"] * 13 + [None] * 19


def test_a_day_that_is_mostly_stuck_makes_no_spikes_of_ordinary_noise() -> None:
    assert set(flagged(vibration=UNEASY * 4).vibration) == {None}
    doubts = flagged(vibration=[*[3.0] * 120, *UNEASY * 4])
    assert doubts.vibration == ["stuck"] * 120 + [None] * 24


def test_a_spike_after_a_stuck_sensor_is_still_seen() -> None:
    doubts = flagged(vibration=[*[3.3] * 100, *CALM * 2, 12.0, *CALM])
    assert doubts.vibration == ["stuck"] * 100 + [None] * 12 + ["spike"] + [None] * 6


@pytest.mark.parametrize("hours_off", [9, -9])
def test_readings_stamped_nine_hours_off_amid_a_day_are_flagged(hours_off: int) -> None:
    taken = ten_minutes_apart(144)
    wrong = range(66, 72)
    stamped = [at + hours_off * HOUR + MINUTE if i in wrong else at for i, at in enumerate(taken)]
    assert flagged(times=stamped, counter=counting(taken)).clock == list(wrong)


def test_a_stop_of_five_hours_is_no_wrong_clock() -> None:
    def counter(at: datetime, stop_at: int) -> float:
        ran = (at - MONDAY) / HOUR
        return 20_000.0 + min(ran, stop_at) + max(ran - stop_at - 5, 0)

    heard = [(f"stops at {hour}", at, counter(at, hour)) for hour in (3, 10, 12, 17) for at in ten_minutes_apart(144)]
    unheard = [
        (f"silent at {hour}", at, counter(at, hour))
        for hour in (3, 10, 12, 17)
        for at in ten_minutes_apart(144)
        if not hour < (at - MONDAY) / HOUR < hour + 5
    ]
    machines, times, counters = zip(*heard, *unheard, strict=True)
    assert flagged(times=times, counter=counters, machines=machines).clock == []


def test_a_counter_that_says_nothing_says_nothing_about_the_clock() -> None:
    assert flagged(counter=[20_000.0, None, 20_000.3, nan, 20_000.7]).clock == []
    assert flagged(counter=[20_000.0, inf, 20_000.3, -inf, 20_000.7]).clock == []
    assert flagged(counter=[None] * 5).clock == []


def wrong_clocks(offsets: Sequence[float | None], times: Sequence[datetime] | None = None) -> list[int]:
    """Return the places of wrong clocks where the wall clock runs so many hours ahead of the counter."""
    times = times or ten_minutes_apart(len(offsets))
    taken = micros(times) / micros([EPOCH + HOUR])[0]
    return np.flatnonzero(quality.wrong_clock(timeline(times), taken - floats(offsets), hours=1)).tolist()


def test_a_clock_is_wrong_only_between_readings_that_agree() -> None:
    assert wrong_clocks([9, 0, 0, 9, 0, 0, 9]) == [3]
    assert wrong_clocks([9, 0, 0, 0, 9, None, 9]) == []


def test_a_clock_within_the_hour_is_right() -> None:
    assert wrong_clocks([0, 0, 0.99, 0, 0]) == []
    assert wrong_clocks([0, 0, 1.01, 0, 0]) == [2]


def test_where_half_the_readings_say_otherwise_nobody_is_wrong() -> None:
    assert wrong_clocks([0, 9, 9, 0]) == []


def test_a_clock_is_judged_by_its_own_day() -> None:
    # A machine that stood still for nine hours overnight: neither day finds fault with the other.
    times = [*ten_minutes_apart(3, MONDAY + 23 * HOUR), *ten_minutes_apart(3, MONDAY + 33 * HOUR)]
    assert wrong_clocks([0, 0, 0, 9, 9, 9], times) == []


def medians(values: Sequence[float | None], times: Sequence[datetime] | None = None) -> list[float]:
    return quality.daily_median(floats(values), timeline(times or ten_minutes_apart(len(values)))).tolist()


def test_the_median_of_a_day_is_in_the_middle_or_between_the_two_in_the_middle() -> None:
    assert medians([5.0, 1.0, 9.0]) == [5.0] * 3
    assert medians([8.0, 1.0, 4.0, 2.0]) == [3.0] * 4


def test_the_median_passes_over_what_is_not_there() -> None:
    assert medians([None, 7.0, None, 1.0, 3.0]) == [3.0] * 5


def test_a_day_without_values_has_no_median() -> None:
    times = [MONDAY, MONDAY + 24 * HOUR, MONDAY + 48 * HOUR]
    np.testing.assert_array_equal(medians([1.0, None, 3.0], times), [1.0, nan, 3.0])
    np.testing.assert_array_equal(medians([None, None]), [nan, nan])


def test_each_machine_and_day_has_its_own_median() -> None:
    times = [*ten_minutes_apart(3, MONDAY + 23 * HOUR + 50 * MINUTE), MONDAY + 24 * HOUR]
    found = quality.daily_median(np.array([1.0, 2.0, 4.0, 9.0]), timeline(times, [0, 0, 0, 1]))
    assert found.tolist() == [1.0, 3.0, 3.0, 9.0]
