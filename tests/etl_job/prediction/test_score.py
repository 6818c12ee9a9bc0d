from dataclasses import replace

import numpy as np

from etl_job.prediction.residuals import HEALTH, REACH, Hours
from etl_job.prediction.score import ALARM, DAY, Model, Scored, score
from tests.etl_job.prediction.machines import FIRST, hours

NUMBERS = ("health", "ratio", "off", "actual", "expected", "bound", "probability", "confidence")


def judged(line: Hours, model: Model, *, resets: tuple[int, ...] = ()) -> Scored:
    return score(line, [], resets, model, since=FIRST, until=line.first + len(line))


def alarms(line: Hours, model: Model) -> list[int]:
    return np.flatnonzero(judged(line, model).ratio >= ALARM).tolist()


def test_a_failing_machine_is_told_of_days_before_and_a_healthy_one_is_not(model: Model) -> None:
    failing = alarms(hours(20, seed=77, fails=400, over=120), model)
    assert failing
    assert 280 < failing[0] < 400 - 48
    assert alarms(hours(20, seed=77), model) == []


def test_a_machine_with_a_day_of_data_leans_on_the_fleet(model: Model) -> None:
    assert alarms(hours(4, seed=5, offset=0.3), model) == []
    assert alarms(hours(4, seed=5, offset=0.3, fails=90, over=60), model)


def test_hours_scored_day_by_day_are_those_scored_at_once(model: Model) -> None:
    line = hours(12, seed=3, fails=250)
    resets = (FIRST + 100, FIRST + 5 * DAY + 7)
    at_once = judged(line, model, resets=resets)
    pieces: list[Scored] = []
    for since in range(FIRST, FIRST + len(line), DAY):
        first = max(since - REACH - DAY, FIRST)
        near = slice(first - FIRST, since + DAY - FIRST)
        part = Hours(first, line.context[near], line.means[near], line.squares[near])
        days = [day for piece in pieces for day in piece.days]
        pieces.append(score(part, days, resets, model, since=since, until=since + DAY))
    for name in NUMBERS:
        together = np.concatenate([getattr(piece, name) for piece in pieces])
        assert np.array_equal(together, getattr(at_once, name), equal_nan=True), name
    assert [day.number for piece in pieces for day in piece.days] == [day.number for day in at_once.days]


def test_one_sensor_alone_raises_nothing(model: Model) -> None:
    line = hours(10, seed=8)
    for channel in range(len(HEALTH)):
        means, squares = line.means.copy(), line.squares.copy()
        means[120:, channel] += np.linspace(0, 60 * means[:, channel].std(), 120)
        squares[120:, channel] *= 50
        assert alarms(replace(line, means=means, squares=squares), model) == []


def test_a_gap_and_a_sensor_that_is_lost_raise_nothing(model: Model) -> None:
    line = hours(10, seed=9)
    means = line.means.copy()
    means[60:130] = np.nan
    means[150:, 1] = np.nan
    found = judged(replace(line, means=means), model)
    assert np.isnan(found.health[60:130]).all()
    assert not (found.ratio >= ALARM).any()
    assert not np.isnan(found.health[200:]).any()


def test_a_load_such_as_was_never_seen_is_not_judged(model: Model) -> None:
    line = hours(10, seed=9)
    context = line.context.copy()
    context[120:, 1:3] *= 3
    found = judged(replace(line, context=context), model)
    assert np.isnan(found.health[140:]).all()
    assert not (found.ratio >= ALARM).any()


def test_maintenance_resets_the_baseline(model: Model) -> None:
    line = hours(16, seed=4)
    means = line.means.copy()
    means[10 * DAY :] += np.array([0.3, 1.5, 6.0])
    changed = replace(line, means=means)
    known = judged(changed, model, resets=(FIRST + 10 * DAY,))
    unknown = judged(changed, model)
    assert np.nanmax(known.ratio[11 * DAY :]) < 0.6 * np.nanmax(unknown.ratio[11 * DAY :])
    assert known.confidence[9 * DAY] > known.confidence[12 * DAY] == 0.5


def test_days_with_an_alarm_are_not_learned_from(model: Model) -> None:
    found = judged(hours(20, seed=77, fails=400, over=120), model)
    approved = {day.number - FIRST // DAY for day in found.days if day.approved}
    assert len(approved & set(range(1, 11))) >= 8
    assert not approved & {14, 15, 16}


def test_a_day_that_was_not_heard_leaves_nothing(model: Model) -> None:
    line = hours(6, seed=2)
    means = line.means.copy()
    means[48:72] = np.nan
    found = judged(replace(line, means=means), model)
    assert [day.number - FIRST // DAY for day in found.days] == [0, 1, 3, 4, 5]
    assert np.isnan(found.confidence[48:72]).all()


def test_a_bound_is_told_with_an_alarm_and_falls_towards_the_failure(model: Model) -> None:
    found = judged(hours(20, seed=77, fails=400, over=120), model)
    told = np.flatnonzero(~np.isnan(found.bound))
    assert set(told) <= set(np.flatnonzero(found.ratio >= ALARM))
    before = told[told < 390]
    assert (found.bound[before] <= 400 - (before + 1)).mean() > 0.8
    assert found.bound[before[-1]] < found.bound[before[0]]
    assert found.probability[390] > 0.5 > found.probability[100]
