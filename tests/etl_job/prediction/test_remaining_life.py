import numpy as np

from etl_job.prediction.remaining_life import SHOWN_HOURS, SLOPE_HOURS, features, lower_bound
from etl_job.prediction.score import Model


def along(model: Model, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return symptoms at these shares of the way, which took a day from the one to the next, and a day before."""
    return np.outer(shares, model.life.at_failure), np.outer(shares - 0.2, model.life.at_failure)


def test_the_farther_on_the_way_the_fewer_hours_remain(model: Model) -> None:
    now, before = along(model, np.array([0.3, 0.5, 0.9]))
    known, share = features(now, before, model.life)
    assert np.allclose(share, [0.3, 0.5, 0.9])
    assert np.allclose(known[1, 1], np.log(0.5 / (0.2 / SLOPE_HOURS)))
    hours = lower_bound(now, before, model.life)
    assert hours[1] > hours[2]


def test_beyond_a_week_nothing_is_told(model: Model) -> None:
    now, before = along(model, np.array([0.02, 0.9]))
    slow, soon = lower_bound(now, now - (now - before) * 1e-3, model.life)
    assert np.isnan(slow) or slow <= SHOWN_HOURS
    assert soon <= SHOWN_HOURS
    assert len(lower_bound(now[:0], before[:0], model.life)) == 0


def test_the_symptom_that_is_least_far_does_not_hold_the_others_back(model: Model) -> None:
    now, before = along(model, np.array([0.5]))
    hidden = now.copy()
    hidden[0, 2] = 0.0
    assert features(hidden, before, model.life)[1] == features(now, before, model.life)[1]
