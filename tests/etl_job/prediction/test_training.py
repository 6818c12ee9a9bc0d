import numpy as np
import pytest

from etl_job.prediction.score import ALARM, OTHER, Model
from etl_job.prediction.thresholds import MONTH_HOURS
from etl_job.prediction.training import first_hour, judged_well, whole
from tests.etl_job.prediction.machines import history


def test_there_is_a_model_of_each_kind_and_one_for_all_others(models: dict[str, Model]) -> None:
    assert set(models) == {OTHER, "A"}
    assert {model.version for model in models.values()} == {"test-1"}


def test_machines_that_were_never_seen_fail_as_foretold(model: Model) -> None:
    for number in range(61, 71, 2):
        unseen = history(number)
        found = whole(unseen, model)
        (outage,) = unseen.outages
        raised = found.first + 1 + np.flatnonzero(found.ratio >= ALARM)
        in_time = raised[(raised > outage.onset) & (raised < outage.failure)]
        assert outage.failure - in_time[0] > 48


def test_healthy_machines_raise_next_to_nothing(model: Model) -> None:
    healthy = [history(number) for number in range(60, 80, 2)]
    alarms = sum(int((whole(machine, model).ratio >= ALARM).any()) for machine in healthy)
    months = sum(len(machine.hours) for machine in healthy) / MONTH_HOURS
    assert alarms / months <= 0.25


def test_the_bound_holds_on_machines_that_were_never_seen(model: Model) -> None:
    held: list[bool] = []
    for number in range(61, 81, 2):
        unseen = history(number)
        found = whole(unseen, model)
        left = unseen.outages[0].failure - (found.first + 1 + np.arange(len(found.bound)))
        told = ~np.isnan(found.bound) & (left > 0) & (left < 96)
        held += (found.bound[told] <= left[told]).tolist()
    assert np.mean(held) >= 0.85


def test_hours_around_an_outage_are_not_taken_for_well() -> None:
    failing = history(1)
    (outage,) = failing.outages
    well = judged_well(failing)
    hour = first_hour(failing) + np.arange(len(well))
    assert np.isnan(well[(hour >= outage.onset) & (hour < outage.repair)]).all()
    assert (well[hour < outage.onset - 1] == 1).all()
    assert np.nansum(judged_well(history(2))) == pytest.approx(len(well))
