import numpy as np
import pytest

from etl_job.prediction.baseline import LOOK_BACK_DAYS, Day, Spread, settled

SPREAD = Spread(between=np.array([4.0]), within=np.array([1.0]))
TODAY = 100


def a_day(number: int, mean: float, *, approved: bool = True) -> Day:
    return Day(number, np.array([mean]), approved)


def offset(*days: Day, after: int | None = None) -> float:
    return float(settled(days, SPREAD, before=TODAY, after=after).offset[0])


def test_a_machine_without_days_is_as_its_fleet() -> None:
    known = settled([], SPREAD, before=TODAY, after=None)
    assert (known.offset[0], known.variance[0], known.confidence) == (0.0, 4.0, 0.0)


def test_few_days_lean_on_the_fleet_and_many_do_not() -> None:
    assert offset(a_day(99, 2.0)) == pytest.approx(2 / 1.25)
    many = [a_day(TODAY - 1 - back, 2.0) for back in range(30)]
    assert offset(*many) == pytest.approx(2.0, abs=0.03)
    assert settled(many, SPREAD, before=TODAY, after=None).variance[0] < 0.05


def test_what_counts_is_approved_before_the_day_and_not_too_old() -> None:
    good = a_day(90, 1.0)
    others = (
        a_day(TODAY, 50.0),
        a_day(TODAY + 1, 50.0),
        a_day(91, 50.0, approved=False),
        a_day(TODAY - LOOK_BACK_DAYS - 1, 50.0),
    )
    assert offset(good, *others) == offset(good)


def test_maintenance_makes_another_machine_of_it() -> None:
    before, on_the_day, since = a_day(94, 9.0), a_day(95, 9.0), a_day(96, 1.0)
    assert offset(before, on_the_day, since, after=95) == offset(since)


def test_the_worst_tenth_is_left_out() -> None:
    usual = [a_day(80 + number, 1.0) for number in range(9)]
    assert offset(*usual, a_day(99, 40.0)) == offset(*usual)
