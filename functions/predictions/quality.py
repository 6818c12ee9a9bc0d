"""How well an organization's failures were foretold: alarms, failures and bounds of its own history, counted."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Any, Final

from shared_code.database.tables.fleet import MaintenanceType

FORETOLD_WITHIN: Final = timedelta(days=14)
"""How long before a failure, or work that nobody had planned, an alarm counts as a warning of it."""
HOURS_A_MONTH: Final = 720
HOUR: Final = timedelta(hours=1)
WANTED_FALSE_ALARMS: Final = 0.1
WANTED_COVERAGE: Final = 0.9


@dataclass(frozen=True, slots=True)
class Told:
    """Something about a machine, and when."""

    compressor_id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Bound(Told):
    """What remained at least."""

    remains: timedelta


@dataclass(frozen=True, slots=True)
class Breakdown(Told):
    """A failure, or work that nobody had planned."""

    failed: bool


def breakdowns(rows: Iterable[Mapping[Any, Any]]) -> list[Breakdown]:
    """Return what maintenance entries tell."""
    return [
        Breakdown(row["compressor_id"], row["event_date"], row["event_type"] == MaintenanceType.FAILURE) for row in rows
    ]


def assessed(
    alarms: Sequence[Told],
    broke: Sequence[Breakdown],
    bounds: Iterable[Bound],
    *,
    judged_hours: int,
    start: datetime,
    now: datetime,
) -> dict[str, Any]:
    """Return how well failures were foretold since `start`, and the counts behind each figure.

    Args:
        alarms: of the period, and of FORETOLD_WITHIN before it.
        broke: of the period.
        bounds: of the same time as alarms, of the machines that failed.
        judged_hours: of how many hours of machines something could be told in the period.
        start: of the period.
        now: an alarm that is younger than FORETOLD_WITHIN may yet come true.
    """
    ours = [alarm for alarm in alarms if alarm.at >= start]
    came_true = [any(_warns(alarm, event) for event in broke) for alarm in ours]
    open_yet = [not true and alarm.at + FORETOLD_WITHIN > now for alarm, true in zip(ours, came_true, strict=True)]
    false_alarms = len(ours) - sum(came_true) - sum(open_yet)
    failures = [event for event in broke if event.failed]
    leads = [lead for lead in (_lead(failure, alarms) for failure in failures) if lead is not None]
    held = [bound.at + bound.remains <= failure for bound in bounds if (failure := _next(bound, failures))]
    months = judged_hours / HOURS_A_MONTH
    return {
        "machine_months": months,
        "alarms": len(ours),
        "alarms_that_came_true": sum(came_true),
        "alarms_still_open": sum(open_yet),
        "false_alarms": false_alarms,
        "false_alarms_per_machine_month": false_alarms / months if months else None,
        "wanted_false_alarms_per_machine_month": WANTED_FALSE_ALARMS,
        "failures": len(failures),
        "failures_foretold": len(leads),
        "median_lead_hours": median(leads) if leads else None,
        "bounds": len(held),
        "bounds_that_held": sum(held),
        "bound_coverage": sum(held) / len(held) if held else None,
        "wanted_bound_coverage": WANTED_COVERAGE,
    }


def _warns(alarm: Told, event: Breakdown) -> bool:
    same = alarm.compressor_id == event.compressor_id
    return same and alarm.at <= event.at <= alarm.at + FORETOLD_WITHIN


def _lead(failure: Breakdown, alarms: Iterable[Told]) -> float | None:
    """Return how many hours before a failure its first alarm was; None where there was none."""
    leads = [(failure.at - alarm.at) / HOUR for alarm in alarms if _warns(alarm, failure) and alarm.at < failure.at]
    return max(leads, default=None)


def _next(bound: Bound, failures: Iterable[Breakdown]) -> datetime | None:
    """Return when the machine of a bound failed next, if that was soon enough for the bound to be about it."""
    return min((failure.at for failure in failures if _warns(bound, failure)), default=None)
