"""How well machines' failures are foretold over whole histories, and how it compares with simpler ways."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from etl_job.prediction.residuals import HEALTH
from etl_job.prediction.score import ALARM, DAY, Model, Scored
from etl_job.prediction.thresholds import MONTH_HOURS
from etl_job.prediction.training import History, first_hour, judged_well, whole
from shared_code.arrays import Booleans, Floats
from shared_code.thresholds import thresholds

MERGED_WITHIN: Final = 12
"""Hours; alarms so near to each other are one."""
LEARNING_HOURS: Final = 72
SIGMAS: Final = 4.0
FIELDS: Final = ("vibration_mms", "discharge_temp_f", "discharge_pressure_psi")

Alarmed = Callable[[History], Booleans]
"""Says of each hour from the first whole day on whether it is an alarm."""


@dataclass(frozen=True, slots=True)
class Found:
    """Failures, hours of warning of those foretold, false alarms, and the machine-months these fell in."""

    failures: int
    leads: Sequence[float]
    false_alarms: int
    machine_months: float

    @property
    def median_lead(self) -> float:
        """Hours."""
        return float(np.median(self.leads)) if self.leads else 0.0

    @property
    def a_machine_month(self) -> float:
        """False alarms."""
        return self.false_alarms / self.machine_months


@dataclass(frozen=True, slots=True)
class Bound:
    """Of hours of alarm before a failure at which a bound was told: how many, the share it held in, and its size."""

    hours: int
    held: float
    of_truth: float
    """Median of the bound over the truth: 1 would be the truth itself."""


def measured(histories: Iterable[History], alarmed: Alarmed) -> Found:
    """Count what a way of raising alarms does on these histories."""
    failures, false_alarms, months, leads = 0, 0, 0.0, list[float]()
    for history in histories:
        alarm = alarmed(history)
        at = first_hour(history) + np.arange(len(alarm)) + 1
        for outage in history.outages:
            failures += 1
            raised = np.flatnonzero(alarm & (at > outage.onset) & (at < outage.failure))
            if len(raised):
                leads.append(float(outage.failure - at[raised[0]]))
        well = ~np.isnan(judged_well(history))
        months += np.count_nonzero(well) / MONTH_HOURS
        raised = np.flatnonzero(alarm & well)
        if len(raised):
            false_alarms += 1 + int(np.count_nonzero(np.diff(raised) > MERGED_WITHIN))
    return Found(failures, leads, false_alarms, months)


def bound(histories: Sequence[History], scored: Sequence[Scored]) -> Bound:
    """Hold the bound of remaining life against the truth."""
    shares: list[Floats] = []
    for history, found in zip(histories, scored, strict=True):
        at = found.first + np.arange(len(found.ratio)) + 1
        for outage in history.outages:
            told = (found.ratio >= ALARM) & ~np.isnan(found.bound) & (at > outage.onset) & (at < outage.failure)
            shares.append(found.bound[told] / (outage.failure - at[told]))
    every = np.concatenate(shares)
    return Bound(len(every), float((every <= 1).mean()), float(np.median(every)))


def by_model(models: Mapping[str, Model]) -> Alarmed:
    """Raise alarms as the job does."""
    return lambda history: whole(history, models[history.model]).ratio >= ALARM


def by_sigmas(history: History) -> Booleans:
    """Raise an alarm where an hour of a sensor lies beyond 4 sigma of the machine's first three days."""
    means = _means(history)
    begun = means[:LEARNING_HOURS]
    away = np.abs(means - np.nanmean(begun, axis=0)) / np.nanstd(begun, axis=0)
    return np.asarray((away > SIGMAS).any(axis=1)) & (np.arange(len(means)) >= LEARNING_HOURS)


def by_limits(history: History) -> Booleans:
    """Raise an alarm where an hour of a sensor lies beyond its warning limit."""
    limits = [thresholds().sensors[field].warning_above for field in FIELDS]
    return np.asarray((_means(history) > np.array(limits, dtype=np.float64)).any(axis=1))


def _means(history: History) -> Floats:
    return history.hours.means[first_hour(history) - history.hours.first :, : len(HEALTH)]


def default_week(histories: Iterable[History], models: Mapping[str, Model], *, days: int) -> dict[str, float]:
    """Return who is foretold within so many days of the start, and how many hours before the failure."""
    leads: dict[str, float] = {}
    for history in histories:
        alarm = by_model(models)(history)[: days * DAY]
        raised = np.flatnonzero(alarm)
        if len(raised):
            failure = min((outage.failure for outage in history.outages), default=np.nan)
            leads[history.name] = float(failure - (first_hour(history) + raised[0] + 1))
    return leads
