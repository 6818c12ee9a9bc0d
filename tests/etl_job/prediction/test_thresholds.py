import numpy as np
import pytest

from etl_job.prediction.thresholds import MONTH_HOURS, month_maxima, upper_quantile


@pytest.mark.parametrize(("share", "value"), [(0.5, 5.0), (0.8, 8.0), (0.9, 9.0)])
def test_the_conformal_quantile_counts_the_next_value_too(share: float, value: float) -> None:
    assert upper_quantile(np.arange(1.0, 10.0)[::-1], share) == value


def test_few_values_say_nothing_about_rare_events() -> None:
    with pytest.raises(ValueError, match="9 values say nothing about a share"):
        upper_quantile(np.arange(9.0), 0.95)


def test_the_next_value_passes_as_seldom_as_it_should() -> None:
    random = np.random.default_rng(1)
    passed = [random.normal() > upper_quantile(random.normal(size=49), 0.9) for _ in range(4000)]
    assert np.mean(passed) == pytest.approx(0.1, abs=0.015)


def test_maxima_of_whole_months() -> None:
    health = np.full(3 * MONTH_HOURS + 5, np.nan)
    health[3], health[9], health[2 * MONTH_HOURS], health[-1] = 2.0, 1.0, 5.0, 9.0
    assert month_maxima(health).tolist() == [2.0, 5.0]
    assert month_maxima(health[:100]).tolist() == []
