"""What a machine reads beside what a machine of its model would read under the same load.

A machine's hours stand on a line without holes, one place an hour, NaN where nothing usable was read. What is computed
for an hour depends on hours no farther back than REACH, added up in the same order wherever the line begins: an hour
that is scored alone comes out to the bit as one that is scored among years.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from shared_code.arrays import Booleans, Floats

CONTEXT: Final = ("constant", "power", "power before", "flow", "suction", "sine", "cosine")
"""What an hour is judged by: HP of this hour and the one before, Mcf/day, PSI, and the hour of the day."""
HEALTH: Final = ("vibration", "discharge_temp", "discharge_pressure")
"""The channels that tell of a machine's health: mm/s, deg F, PSI."""
SIGNALS: Final = (*HEALTH, *(f"{name}_spread" for name in HEALTH))
"""Each channel's hourly mean, and the logarithm of its standard deviation over a day."""
SPREAD_HOURS: Final = 24
LEAST_SPREAD_HOURS: Final = 12
SMOOTHED_HOURS: Final = 48
FORGETTING: Final = 0.15
"""Weight of the newest hour in the smoothed residual; after four hours half of it has gone."""
WEIGHTS: Final = FORGETTING * (1 - FORGETTING) ** np.arange(SMOOTHED_HOURS)[::-1]
LEAST_WEIGHT: Final = 0.5
"""Of all the weight, the share that hours with a value must have; a machine heard again after a gap is not judged."""
REACH: Final = SPREAD_HOURS + SMOOTHED_HOURS + 24


@dataclass(frozen=True, slots=True)
class Hours:
    """A machine's hours, one a place, from `first` (hours since 1970) on; NaN where there is no usable value."""

    first: int
    context: Floats
    """Shape (hour, context)."""
    means: Floats
    """Shape (hour, channel)."""
    squares: Floats
    """Sum of squared distances from the hour's mean, by channel, over its number of values."""

    def __len__(self) -> int:
        return len(self.context)

    def heard(self, start: int, stop: int) -> bool:
        """Whether a sensor of health was heard between these hours."""
        first, last = max(start - self.first, 0), max(stop - self.first, 0)
        return not np.isnan(self.means[first:last]).all()


@dataclass(frozen=True, slots=True)
class Regression:
    """What machines of a model read, by context."""

    weights: Floats
    """Shape (context, channel), for the context less `centre`, over `scale`."""
    centre: Floats
    scale: Floats
    lowest: Floats
    highest: Floats
    """What context the regression has seen; beyond, it knows nothing."""
    spread: Floats
    """The usual logarithm of each channel's spread over a day."""


def expected(hours: Hours, fleet: Regression) -> Floats:
    """Return what the model's machines would read, shape (hour, channel); NaN where the context is not known."""
    known = within(hours, fleet)
    scaled = (np.where(known[:, None], hours.context, fleet.centre) - fleet.centre) / fleet.scale
    scaled[:, 0] = 1.0
    total = np.zeros_like(hours.means)
    for place in range(len(CONTEXT)):
        total = total + scaled[:, place, None] * fleet.weights[place]
    return np.where(known[:, None], total, np.nan)


def within(hours: Hours, fleet: Regression) -> Booleans:
    """Say which hours' context is complete and such as the regression has seen: a drifted sensor of it is not."""
    seen = (hours.context >= fleet.lowest) & (hours.context <= fleet.highest)
    return np.asarray(seen.all(axis=1))


def signals(hours: Hours, fleet: Regression) -> Floats:
    """Return how far each channel and the logarithm of its spread over a day are from the fleet's, (hour, signal)."""
    left = hours.means - expected(hours, fleet)
    return np.hstack([left, _log_spread(left, hours.squares) - fleet.spread])


def _log_spread(left: Floats, squares: Floats) -> Floats:
    there = ~np.isnan(left)
    level, square, count = np.where(there, left, 0.0), np.where(there, squares, 0.0), there.astype(np.float64)
    n, total, inner = np.zeros_like(level), np.zeros_like(level), np.zeros_like(level)
    for back in range(SPREAD_HOURS):
        n, total, inner = n + shifted(count, back), total + shifted(level, back), inner + shifted(square, back)
    enough = n >= LEAST_SPREAD_HOURS
    mean = total / np.where(enough, n, 1.0)
    outer = np.zeros_like(level)
    for back in range(SPREAD_HOURS):
        distance = shifted(level, back) - mean
        outer = outer + shifted(count, back) * distance * distance
    variance = (inner + outer) / np.where(enough, n, 1.0)
    return np.where(enough & (variance > 0), 0.5 * np.log(np.where(variance > 0, variance, 1.0)), np.nan)


def smoothed(values: Floats) -> Floats:
    """Return the exponentially weighted mean of the hours up to each, over those that have a value.

    The weights end after SMOOTHED_HOURS; NaN where those of the hours with a value come to too little.
    """
    there = ~np.isnan(values)
    total, weight = _weighted(np.where(there, values, 0.0)), _weighted(there.astype(np.float64))
    enough = weight >= LEAST_WEIGHT * WEIGHTS.sum()
    return np.where(enough, total / np.where(enough, weight, 1.0), np.nan)


def _weighted(values: Floats) -> Floats:
    before = np.vstack([np.zeros((SMOOTHED_HOURS - 1, values.shape[1])), values])
    reached = np.lib.stride_tricks.sliding_window_view(before, SMOOTHED_HOURS, axis=0)
    # Added along the outermost axis, so hour by hour in one order, whatever the number of hours.
    return np.multiply(np.moveaxis(reached, -1, 0), WEIGHTS[:, None, None], order="C").sum(axis=0)


def shifted(values: Floats, hours: int) -> Floats:
    """Return the values of so many hours before, 0 where the line had not begun."""
    if not hours:
        return values
    moved = np.zeros_like(values)
    moved[hours:] = values[:-hours]
    return moved
