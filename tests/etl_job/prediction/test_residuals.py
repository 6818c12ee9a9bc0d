from dataclasses import replace

import numpy as np
import pytest

from etl_job.prediction.residuals import (
    CONTEXT,
    HEALTH,
    LEAST_SPREAD_HOURS,
    REACH,
    SMOOTHED_HOURS,
    Hours,
    expected,
    signals,
    smoothed,
)
from etl_job.prediction.score import Model
from tests.etl_job.prediction.machines import hours


def cut(whole: Hours, first: int) -> Hours:
    return Hours(whole.first + first, whole.context[first:], whole.means[first:], whole.squares[first:])


def test_the_load_explains_what_a_healthy_machine_reads(model: Model) -> None:
    well = hours(5, seed=99)
    left = well.means - expected(well, model.regression)
    assert (np.abs(left).mean(axis=0) < 0.8 * well.means.std(axis=0)).all()


@pytest.mark.parametrize("channel", ["power", "flow", "suction"])
def test_a_context_that_was_never_seen_says_nothing(model: Model, channel: str) -> None:
    well = hours(2)
    context = well.context.copy()
    context[5, CONTEXT.index(channel)] *= 20
    context[6, CONTEXT.index(channel)] = np.nan
    told = expected(replace(well, context=context), model.regression)
    assert np.isnan(told[5:7]).all()
    assert not np.isnan(told[:5]).any()


def test_an_hour_comes_out_to_the_bit_wherever_its_line_begins(model: Model) -> None:
    whole = hours(20)
    for first in (1, 100, 13 * 24 + 7):
        part = signals(cut(whole, first), model.regression)
        assert np.array_equal(part[REACH:], signals(whole, model.regression)[first + REACH :])
        assert np.array_equal(smoothed(part)[REACH:], smoothed(signals(whole, model.regression))[first + REACH :])


def test_the_spread_is_that_of_all_values_of_a_day(model: Model) -> None:
    whole = hours(3)
    left = whole.means - expected(whole, model.regression)
    last = left[-24:]
    variance = whole.squares[-24:].mean(axis=0) + last.var(axis=0)
    spread = signals(whole, model.regression)[-1, len(HEALTH) :] + model.regression.spread
    assert spread == pytest.approx(0.5 * np.log(variance))


def test_half_a_day_must_have_been_heard_for_a_spread(model: Model) -> None:
    whole = hours(2)
    means = whole.means.copy()
    means[:36] = np.nan
    spread = signals(replace(whole, means=means), model.regression)[:, len(HEALTH)]
    assert np.isnan(spread[36 : 36 + LEAST_SPREAD_HOURS - 1]).all()
    assert not np.isnan(spread[36 + LEAST_SPREAD_HOURS - 1])


def test_the_smoothed_value_forgets_and_tells_nothing_after_a_gap() -> None:
    values = np.zeros((200, 1))
    values[100:] = 1.0
    even = smoothed(values)[:, 0]
    assert even[99] == 0
    assert 0.4 < even[103] < 0.6
    assert even[100 + SMOOTHED_HOURS] == pytest.approx(1.0)
    values[20:60] = np.nan
    gap = smoothed(values)[:, 0]
    assert np.isnan(gap[30:60]).all()
    assert np.isnan(gap[61])
    assert not np.isnan(gap[70])
