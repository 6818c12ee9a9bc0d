"""Learning what is known of machines of a model, from hours of which it is known when the machines failed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from etl_job.prediction.baseline import Spread
from etl_job.prediction.remaining_life import FEATURES, HOLDS, Life, features
from etl_job.prediction.residuals import HEALTH, REACH, SIGNALS, Hours, Regression, signals, smoothed
from etl_job.prediction.score import ALARM, DAY, OTHER, Model, Scored, score
from etl_job.prediction.thresholds import AIMED_AT, month_maxima, upper_quantile
from shared_code.arrays import Floats

RIDGE: Final = 1.0
MARGIN: Final = 0.5
"""How far beyond what context was seen an hour is judged still, as a share of what was seen."""
WEEK_HOURS: Final = 168
LIFE_RIDGE: Final = 1.0
GROUPS: Final = (0.25, 0.5, 0.75)


@dataclass(frozen=True, slots=True)
class Outage:
    """From when on a machine degraded, when it failed, and when it was well again; hours since 1970."""

    onset: float
    failure: float
    repair: float


@dataclass(frozen=True, slots=True)
class History:
    """A machine's hours, what befell it, and the hours at which maintenance made another machine of it."""

    name: str
    model: str
    hours: Hours
    outages: Sequence[Outage]
    resets: Sequence[int]

    def well(self) -> Floats:
        """Return 1 for each hour in which the machine was well, otherwise NaN; for a day after a repair, too."""
        at = self.hours.first + np.arange(len(self.hours))
        well = np.ones(len(at))
        for outage in self.outages:
            well[(at >= outage.onset - 1) & (at < outage.repair + REACH)] = np.nan
        return well


def learned(fitting: Sequence[History], calibrating: Sequence[History], version: str) -> dict[str, Model]:
    """Learn a model of each kind of machine, and of OTHER: its regression from some fleets, its threshold from others.

    How a machine fails is learned from all kinds together: there are few failures, and they look alike.

    Args:
        fitting: histories of whole fleets.
        calibrating: others, of which the first have learned nothing.
        version: what the models are called.
    """
    models: dict[str, Model] = {}
    for kind in (OTHER, *sorted({history.model for history in fitting})):
        model = _fitted([history for history in fitting if kind in {OTHER, history.model}], version)
        maxima = [
            month_maxima(whole(history, model).health * judged_well(history))
            for history in calibrating
            if kind in {OTHER, history.model}
        ]
        models[kind] = replace(model, threshold=upper_quantile(np.concatenate(maxima), 1 - AIMED_AT))
    scored = [(history, whole(history, models[history.model])) for history in calibrating]
    life, risk = _life(scored), _risk(scored)
    return {kind: replace(model, life=life, risk=risk) for kind, model in models.items()}


def judged_well(history: History) -> Floats:
    """Return `well` of the hours that are judged, from the first whole day on."""
    return history.well()[first_hour(history) - history.hours.first :]


def first_hour(history: History) -> int:
    """Return the first hour of the first whole UTC day of a history."""
    return -(-history.hours.first // DAY) * DAY


def whole(history: History, model: Model) -> Scored:
    """Judge all of a machine's history, as if it had come day by day."""
    until = history.hours.first + len(history.hours)
    return score(history.hours, [], history.resets, model, since=first_hour(history), until=until)


def _fitted(histories: Sequence[History], version: str) -> Model:
    """Fit within machines, so that what tells machines apart does not pass for an effect of the load."""
    context, values, _ = _well_hours(histories)
    whole_context, whole_values = np.vstack(context), np.vstack(values)
    centre, scale = whole_context.mean(axis=0), whole_context.std(axis=0)
    centre[0], scale[0] = 0.0, 1.0
    inner = np.vstack([(rows - rows.mean(axis=0)) / scale for rows in context])[:, 1:]
    target = np.vstack([rows - rows.mean(axis=0) for rows in values])
    weights = np.asarray(
        np.linalg.solve(inner.T @ inner + RIDGE * np.eye(inner.shape[1]), inner.T @ target), np.float64
    )
    scaled = (whole_context - centre) / scale
    constant = (whole_values - scaled[:, 1:] @ weights).mean(axis=0)
    low, high = whole_context.min(axis=0), whole_context.max(axis=0)
    room = MARGIN * (high - low)
    unknown = np.zeros(len(HEALTH))
    regression = Regression(np.vstack([constant, weights]), centre, scale, low - room, high + room, unknown)
    spreads = [
        np.nanmean(signals(h.hours, regression)[:, len(HEALTH) :] * h.well()[:, None], axis=0) for h in histories
    ]
    regression = replace(regression, spread=np.array(spreads).mean(axis=0))
    life = Life(np.ones(len(HEALTH)), np.zeros(len(FEATURES)), np.array(GROUPS), np.zeros(len(GROUPS) + 1))
    spread, hourly, steady = _sizes(histories, regression)
    return Model(version, regression, spread, hourly, steady, 1.0, life, np.array([0.0, 0.0]))


def _well_hours(histories: Sequence[History]) -> tuple[list[Floats], list[Floats], list[Floats]]:
    context: list[Floats] = []
    values: list[Floats] = []
    squares: list[Floats] = []
    for history in histories:
        hours = history.hours
        usable = ~np.isnan(history.well()) & ~np.isnan(hours.context).any(axis=1) & ~np.isnan(hours.means).any(axis=1)
        context.append(hours.context[usable])
        values.append(hours.means[usable])
        squares.append(hours.squares[usable])
    return context, values, squares


def _sizes(histories: Sequence[History], regression: Regression) -> tuple[Spread, Floats, Floats]:
    """Return how far machines and days lie apart, and the usual size of hourly and of smoothed residuals."""
    machines: list[Floats] = []
    days: list[Floats] = []
    hourly: list[Floats] = []
    steady: list[Floats] = []
    for history in histories:
        left = signals(history.hours, regression) * history.well()[:, None]
        middle = np.nanmean(left, axis=0)
        left = left - middle
        machines.append(middle)
        by_day = left[: len(left) // DAY * DAY].reshape(-1, DAY, len(SIGNALS))
        by_day = by_day[~np.isnan(by_day).any(axis=(1, 2))]
        days.append(by_day.mean(axis=1))
        hourly.append(left)
        steady.append(smoothed(left))
    within = np.vstack(days).var(axis=0)
    # Spreads of machines differ a little by chance alone; a variance of nothing would let one day count for all.
    between = np.maximum(np.array(machines).var(axis=0), within / 10)
    return (
        Spread(between, within),
        np.sqrt(np.nanmean(np.vstack(hourly) ** 2, axis=0)),
        np.sqrt(np.nanmean(np.vstack(steady) ** 2, axis=0)),
    )


def _life(scored: Sequence[tuple[History, Scored]]) -> Life:
    """Fit remaining life, and the margins by which it is a bound, each machine judged by a fit that never saw it."""
    pieces = [(place, *piece) for place, (history, found) in enumerate(scored) for piece in _failing(history, found)]
    last = [now[-1] for _, now, _, left in pieces if left[-1] <= DAY]
    life = Life(np.median(np.array(last), axis=0), np.zeros(len(FEATURES)), np.array(GROUPS), np.zeros(len(GROUPS) + 1))
    known = [features(now, before, life) for _, now, before, _ in pieces]
    logs = [np.log(left) for *_, left in pieces]
    errors: list[Floats] = []
    for place, (machine, *_) in enumerate(pieces):
        others = [other for other, (another, *_) in enumerate(pieces) if another != machine]
        weights = _ridge(np.vstack([known[o][0] for o in others]), np.concatenate([logs[o] for o in others]))
        errors.append(known[place][0] @ weights - logs[place])
    every, share = np.concatenate(errors), np.concatenate([part for _, part in known])
    group = np.searchsorted(life.shares, share)
    margins = np.array([upper_quantile(every[group == each], HOLDS) for each in range(len(GROUPS) + 1)])
    weights = _ridge(np.vstack([part for part, _ in known]), np.concatenate(logs))
    return replace(life, weights=weights, margins=margins)


def _failing(history: History, found: Scored) -> list[tuple[Floats, Floats, Floats]]:
    """Return, of each outage: symptoms, those of a day before, and the hours left, over hours of alarm before it."""
    at = found.first + np.arange(len(found.health)) + 1
    now, before = found.symptoms, found.symptoms_before
    known = ~np.isnan(now).any(axis=1) & ~np.isnan(before).any(axis=1) & (found.ratio >= ALARM)
    pieces: list[tuple[Floats, Floats, Floats]] = []
    for outage in history.outages:
        rows = known & (at > outage.onset) & (at < outage.failure)
        if rows.any():
            pieces.append((now[rows], before[rows], np.asarray(outage.failure - at[rows], np.float64)))
    return pieces


def _ridge(rows: Floats, target: Floats) -> Floats:
    penalty = LIFE_RIDGE * np.eye(rows.shape[1])
    penalty[0, 0] = 0
    return np.asarray(np.linalg.solve(rows.T @ rows + penalty, rows.T @ target), np.float64)


def _risk(scored: Sequence[tuple[History, Scored]]) -> Floats:
    """Fit the probability of failing within a week, by health over threshold (logistic, Newton's method)."""
    ratios: list[Floats] = []
    fails: list[Floats] = []
    for history, found in scored:
        at = found.first + np.arange(len(found.ratio)) + 1
        soon, failed = np.zeros(len(at)), np.zeros(len(at), dtype=bool)
        for outage in history.outages:
            soon[(at >= outage.failure - WEEK_HOURS) & (at < outage.failure)] = 1
            failed |= (at >= outage.failure) & (at < outage.repair + REACH)
        usable = ~np.isnan(found.ratio) & ~failed
        ratios.append(np.log(np.maximum(found.ratio[usable], 0.05)))
        fails.append(soon[usable])
    rows, target = np.concatenate(ratios), np.concatenate(fails)
    rows = np.column_stack([np.ones_like(rows), rows])
    weights = np.zeros(2)
    for _ in range(30):
        told = 1 / (1 + np.exp(-rows @ weights))
        slope = rows.T @ (target - told)
        curvature = (rows * (told * (1 - told))[:, None]).T @ rows + 1e-6 * np.eye(2)
        weights = weights + np.linalg.solve(curvature, slope)
    return weights
