"""One machine's hours, judged: how far it is from its usual self, which channels say so, and what follows from it."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Final

import numpy as np

from etl_job.prediction.baseline import Baseline, Day, Spread, settled
from etl_job.prediction.remaining_life import SLOPE_HOURS, Life, lower_bound
from etl_job.prediction.residuals import HEALTH, REACH, SIGNALS, Hours, Regression, expected, signals, smoothed
from shared_code.arrays import Floats

DAY: Final = 24
CLIPPED: Final = 6.0
"""Times its usual size that one hour's residual counts at most: one bad hour is no failing machine."""
ALARM: Final = 1.0
"""Health over threshold, from which on it is an alarm."""
LEAST_APPROVED_HOURS: Final = 12
LEAST_VIBRATION: Final = 0.01
SWING: Final = SIGNALS.index("discharge_pressure_spread")
OTHER: Final = ""
"""The name under which the model stands of machines whose own model is not known."""
SHARE_SEEN: Final = 0.8
"""A day with an hour so near the threshold is not learned from."""


@dataclass(frozen=True, slots=True)
class Model:
    """What is known of machines of one model."""

    version: str
    regression: Regression
    spread: Spread
    hourly: Floats
    """Usual size of one hour's residual, by signal."""
    steady: Floats
    """Usual size of the smoothed residual, by signal."""
    threshold: float
    life: Life
    risk: Floats
    """Of failing within a week: constant, and weight of the logarithm of health over threshold."""


@dataclass(frozen=True, slots=True)
class Scored:
    """What was found of hours, one a place from `first` (hours since 1970) on; NaN where nothing can be said."""

    first: int
    health: Floats
    """How far out the second farthest of the three sensors is, in usual sizes."""
    ratio: Floats
    """Health over threshold; from 1 on it is an alarm."""
    off: Floats
    """How far out each signal is, in usual sizes, shape (hour, signal)."""
    actual: Floats
    """Shape (hour, channel)."""
    expected: Floats
    bound: Floats
    """Hours that remain at least."""
    probability: Floats
    confidence: Floats
    symptoms: Floats
    """Growth of vibration, rise of temperature and swing of pressure, and the same a day before."""
    symptoms_before: Floats
    days: Sequence[Day] = ()
    """Those that were heard, for later baselines; the last may not be over."""


def score(hours: Hours, days: Sequence[Day], resets: Sequence[int], model: Model, *, since: int, until: int) -> Scored:
    """Judge a machine's hours.

    Args:
        hours: of the machine; those before `since` that are within REACH of it, too.
        days: that were judged before `since`.
        resets: hours since 1970 at which maintenance made another machine of it.
        model: of the machine's model.
        since: the first hour to judge, the first of a UTC day.
        until: the first hour no more to judge.
    """
    known = list(days)
    usual, left = expected(hours, model.regression), signals(hours, model.regression)
    pieces: list[Scored] = []
    for start in range(since, until, DAY):
        stop = min(start + DAY, until)
        if not hours.heard(start, stop):
            pieces.append(_nothing(start, stop))
            continue
        judged = [_judged(hours, usual, left, known, model, part) for part in _parts(start, stop, resets)]
        pieces += judged
        known.append(_day(hours.first, left, judged, start))
    return replace(_joined(pieces, since), days=known[len(days) :])


def _nothing(start: int, stop: int) -> Scored:
    none = np.full(stop - start, np.nan)
    signal, channel = np.full((stop - start, len(SIGNALS)), np.nan), np.full((stop - start, len(HEALTH)), np.nan)
    return Scored(start, none, none, signal, channel, channel, none, none, none, channel, channel)


@dataclass(frozen=True, slots=True)
class _Part:
    """Hours of one day that have one baseline."""

    start: int
    stop: int
    reset: int | None


def _parts(start: int, stop: int, resets: Sequence[int]) -> list[_Part]:
    within = sorted({hour for hour in resets if start < hour < stop})
    edges = [start, *within, stop]
    return [
        _Part(first, last, max((hour for hour in resets if hour <= first), default=None))
        for first, last in itertools.pairwise(edges)
    ]


def _judged(hours: Hours, usual: Floats, left: Floats, days: Sequence[Day], model: Model, part: _Part) -> Scored:
    base = settled(
        days, model.spread, before=part.start // DAY, after=None if part.reset is None else part.reset // DAY
    )
    from_hour = part.start - REACH if part.reset is None else max(part.start - REACH, part.reset)
    window, actual, there = (
        _cut(values, hours.first, from_hour, part.stop, pad=part.start - REACH) for values in (left, hours.means, usual)
    )
    distance = window - base.offset
    clipped = np.clip(distance, -CLIPPED * model.hourly, CLIPPED * model.hourly)
    size = np.sqrt(model.steady**2 + base.variance)
    now = slice(REACH, None)
    heard = np.asarray(~np.isnan(actual[now]).all(axis=1))
    off = np.where(heard[:, None], (smoothed(clipped) / size)[now], np.nan)
    health = _health(off)
    ratio = health / model.threshold
    there = there + base.offset[: len(HEALTH)]
    symptoms = _symptoms(actual, there, window, base, model)
    before = _before(symptoms)[now]
    current = symptoms[now]
    alarmed = np.flatnonzero((ratio >= ALARM) & ~np.isnan(current).any(axis=1) & ~np.isnan(before).any(axis=1))
    bound = np.full(len(health), np.nan)
    bound[alarmed] = lower_bound(current[alarmed], before[alarmed], model.life)
    log_ratio = np.log(np.maximum(ratio, 0.05))
    probability = 1 / (1 + np.exp(-(model.risk[0] + model.risk[1] * log_ratio)))
    confidence = np.where(np.isnan(health), np.nan, base.confidence)
    return Scored(
        part.start, health, ratio, off, actual[now], there[now], bound, probability, confidence, current, before
    )


def _cut(values: Floats, first: int, start: int, stop: int, *, pad: int) -> Floats:
    """Return the values of hours from `pad` to `stop`, NaN before `start` and where there are none."""
    cut = np.full((stop - pad, values.shape[1]), np.nan)
    begin, end = max(start, first), min(stop, first + len(values))
    if begin < end:
        cut[begin - pad : end - pad] = values[begin - first : end - first]
    return cut


def _health(off: Floats) -> Floats:
    """Return how far out the second farthest sensor is: one alone may be the sensor's fault, two are the machine's.

    A mean may be out on either side, a spread only above: a sensor that hardly moves is stuck.
    """
    count = len(HEALTH)
    wider = np.where(off[:, count:] < 0, 0.0, off[:, count:])
    by_sensor = np.fmax(np.abs(off[:, :count]), wider)
    known = np.count_nonzero(~np.isnan(by_sensor), axis=1) >= 2  # noqa: PLR2004 - two sensors
    ordered = np.sort(np.where(np.isnan(by_sensor), -np.inf, by_sensor), axis=1)
    return np.where(known, ordered[:, -2], np.nan)


def _symptoms(actual: Floats, usual: Floats, left: Floats, base: Baseline, model: Model) -> Floats:
    """Return growth of vibration (logarithm), rise of temperature, and swing of pressure, shape (hour, symptom)."""
    growth = np.log(np.maximum(actual[:, 0], LEAST_VIBRATION) / np.maximum(usual[:, 0], LEAST_VIBRATION))
    rise = actual[:, 1] - usual[:, 1]
    steady = smoothed(np.column_stack([growth, rise]))
    fleet = model.regression.spread[SWING - len(HEALTH)]
    swing = np.exp(2 * (fleet + left[:, SWING])) - np.exp(2 * (fleet + base.offset[SWING]))
    return np.column_stack([steady, np.sqrt(np.maximum(swing, 0.0))])


def _before(symptoms: Floats) -> Floats:
    moved = np.full_like(symptoms, np.nan)
    moved[SLOPE_HOURS:] = symptoms[:-SLOPE_HOURS]
    return moved


def _day(first: int, left: Floats, judged: Sequence[Scored], start: int) -> Day:
    """Return what is known of a day; it is approved if it was heard enough and nothing was wrong."""
    values = _cut(left, first, start, start + DAY, pad=start)
    ratio = np.concatenate([part.ratio for part in judged])
    there = ~np.isnan(values)
    count = there.sum(axis=0)
    total = np.zeros(len(SIGNALS))
    for hour in np.where(there, values, 0.0):
        total = total + hour
    enough = bool((count >= LEAST_APPROVED_HOURS).all())
    means = total / np.maximum(count, 1)
    return Day(start // DAY, means, enough and not bool((ratio >= SHARE_SEEN).any()))


def _joined(pieces: Sequence[Scored], since: int) -> Scored:
    names = [each.name for each in fields(Scored) if each.name not in {"first", "days"}]
    joined: dict[str, Floats] = {name: np.concatenate([getattr(piece, name) for piece in pieces]) for name in names}
    return Scored(since, days=(), **joined)
