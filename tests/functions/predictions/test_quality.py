from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from functions.predictions.quality import FORETOLD_WITHIN, Bound, Breakdown, Told, assessed

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)
START = NOW - 90 * DAY
FAILED = Breakdown("COMP-001", NOW - 40 * DAY, failed=True)


def figures(
    alarms: list[Told] | None = None, broke: list[Breakdown] | None = None, bounds: list[Bound] | None = None
) -> dict[str, Any]:
    return assessed(alarms or [], broke or [], bounds or [], judged_hours=7200, start=START, now=NOW)


def an_alarm(before_now: float, machine: str = "COMP-001") -> Told:
    return Told(machine, NOW - before_now * DAY)


def test_of_nothing_there_are_counts_and_no_shares() -> None:
    found = assessed([], [], [], judged_hours=0, start=START, now=NOW)
    assert (found["alarms"], found["failures"], found["bounds"], found["machine_months"]) == (0, 0, 0, 0)
    for name in ("false_alarms_per_machine_month", "median_lead_hours", "bound_coverage"):
        assert found[name] is None


@pytest.mark.parametrize(
    ("alarm", "outcome"),
    [
        (an_alarm(42), "alarms_that_came_true"),
        (an_alarm(54), "alarms_that_came_true"),
        (an_alarm(55), "false_alarms"),
        (an_alarm(39), "false_alarms"),
        (an_alarm(42, "COMP-002"), "false_alarms"),
        (an_alarm(13), "alarms_still_open"),
    ],
)
def test_an_alarm_came_true_or_was_false_or_may_yet_come_true(alarm: Told, outcome: str) -> None:
    found = figures([alarm], [FAILED])
    outcomes = ("alarms_that_came_true", "false_alarms", "alarms_still_open")
    assert {name: found[name] for name in outcomes} == {name: int(name == outcome) for name in outcomes}
    assert found["false_alarms_per_machine_month"] == found["false_alarms"] / 10


def test_work_that_nobody_had_planned_proves_an_alarm_right() -> None:
    repaired = Breakdown("COMP-001", NOW - 40 * DAY, failed=False)
    found = figures([an_alarm(42)], [repaired])
    assert (found["alarms_that_came_true"], found["failures"]) == (1, 0)


def test_the_lead_is_counted_from_the_first_alarm_before_a_failure() -> None:
    early = Breakdown("COMP-002", START + DAY, failed=True)
    unseen = Breakdown("COMP-003", NOW - 3 * DAY, failed=True)
    alarms = [an_alarm(41), an_alarm(43), Told("COMP-002", early.at - 2 * DAY)]
    found = figures(alarms, [FAILED, early, unseen])
    assert (found["failures"], found["failures_foretold"], found["median_lead_hours"]) == (3, 2, 60)
    assert found["alarms"] == 2


def test_a_bound_holds_if_the_machine_failed_no_earlier() -> None:
    again = Breakdown("COMP-001", FAILED.at + 5 * DAY, failed=True)
    told = [
        Bound("COMP-001", FAILED.at - 2 * DAY, remains=2 * DAY),
        Bound("COMP-001", FAILED.at - 2 * DAY, remains=2.1 * DAY),
        Bound("COMP-001", again.at - DAY, remains=DAY / 2),
        Bound("COMP-001", FAILED.at - FORETOLD_WITHIN - DAY, remains=DAY),
        Bound("COMP-001", again.at + DAY, remains=DAY),
    ]
    found = figures(broke=[again, FAILED], bounds=told)
    assert (found["bounds"], found["bounds_that_held"]) == (3, 2)
    assert found["bound_coverage"] == pytest.approx(2 / 3)
