"""What is usual for one machine: how it differs from its model, learned from days on which it was well.

A baseline is settled at midnight, from the machine's approved days before; so what a day is judged by does not depend
on when it is judged.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from shared_code.arrays import Floats

LOOK_BACK_DAYS: Final = 30
TRIMMED: Final = 0.1
"""The share of the days, those farthest from the machine's middle, that are left out."""
LEAST_HOURS: Final = 12


@dataclass(frozen=True, slots=True)
class Day:
    """A day of a machine: the mean of each signal, and whether it may be learned from."""

    number: int
    """Days since 1970."""
    means: Floats
    approved: bool


@dataclass(frozen=True, slots=True)
class Spread:
    """How far machines of a model lie apart, and how far one's days do, by signal."""

    between: Floats
    """Variance of machines' means."""
    within: Floats
    """Variance of a machine's daily means."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """A machine's usual distance from its model, by signal, how uncertain that is, and the days it rests on."""

    offset: Floats
    variance: Floats
    days: int

    @property
    def confidence(self) -> float:
        """How much of what is known of the machine it has shown itself, 0 to 1; the rest leans on the fleet."""
        return self.days / (self.days + 1)


def settled(days: Iterable[Day], spread: Spread, *, before: int, after: int | None) -> Baseline:
    """Return the baseline of a day.

    Args:
        days: the machine's.
        spread: of its model; the fewer days there are, the more the baseline leans on it.
        before: the day, in days since 1970; only earlier ones count.
        after: the day of the last maintenance that made another machine of it; only later ones count.
    """
    since = before - LOOK_BACK_DAYS if after is None else max(before - LOOK_BACK_DAYS, after + 1)
    usable = [day.means for day in days if since <= day.number < before and day.approved]
    return _shrunken(_trimmed(usable, spread), spread)


def _trimmed(days: Sequence[Floats], spread: Spread) -> Sequence[Floats]:
    out = int(TRIMMED * len(days))
    if not out:
        return days
    middle = np.median(np.array(days), axis=0)
    distance = [float(((day - middle) ** 2 / spread.within).sum()) for day in days]
    kept = sorted(range(len(days)), key=lambda place: (distance[place], place))[: len(days) - out]
    return [days[place] for place in sorted(kept)]


def _shrunken(days: Sequence[Floats], spread: Spread) -> Baseline:
    total = np.zeros_like(spread.within)
    for day in days:
        total = total + day
    weight = len(days) + spread.within / spread.between
    return Baseline(total / weight, spread.within / weight, len(days))
