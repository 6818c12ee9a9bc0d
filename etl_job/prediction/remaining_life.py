"""How many hours remain at least: a lower bound that holds nine times in ten.

What a failing machine shows grows: the logarithm of its vibration, its temperature, the swing of its pressure. Each is
taken as a share of what it comes to when machines fail; the share and how fast it grows say when it will be there.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from shared_code.arrays import Floats

SHOWN_HOURS: Final = 168.0
"""Beyond a week no bound is told."""
HOLDS: Final = 0.9
SLOPE_HOURS: Final = 24
LEAST: Final = 0.01
FEATURES: Final = ("constant", "hours to go", "hours gone", "share", "share left", "rate")


@dataclass(frozen=True, slots=True)
class Life:
    """How the logarithm of the remaining hours depends on FEATURES, and what is taken off so that it is a bound."""

    at_failure: Floats
    """What each symptom comes to when a machine fails: of vibration, temperature and pressure swing."""
    weights: Floats
    shares: Floats
    """Bounds between groups by share of the way; each group has a margin of its own."""
    margins: Floats


def features(now: Floats, before: Floats, life: Life) -> tuple[Floats, Floats]:
    """Return FEATURES, shape (hour, feature), and the share of the way that has been gone.

    Args:
        now: the symptoms, shape (hour, symptom).
        before: those of SLOPE_HOURS earlier.
        life: of the model.
    """
    share_of_each = np.maximum(now / life.at_failure, 0.0)
    rates = (share_of_each - np.maximum(before / life.at_failure, 0.0)) / SLOPE_HOURS
    share = np.clip(np.sort(share_of_each, axis=1)[:, 1:].mean(axis=1), LEAST, None)
    rate = np.clip(np.sort(rates, axis=1)[:, 1:].mean(axis=1), LEAST / SLOPE_HOURS, None)
    left = np.clip(1.0 - share, 0.05, None)
    columns = (np.ones_like(share), np.log(left / rate), np.log(share / rate), np.log(share), np.log(left), share)
    return np.column_stack(columns), share


def lower_bound(now: Floats, before: Floats, life: Life) -> Floats:
    """Return the hours that remain at least, with HOLDS probability; NaN where no bound of a week can be told."""
    if not len(now):
        return np.empty(0)
    known, share = features(now, before, life)
    total = np.zeros(len(known))
    for place in range(len(FEATURES)):
        total = total + known[:, place] * life.weights[place]
    hours = np.exp(np.minimum(total - life.margins[np.searchsorted(life.shares, share)], 10.0))
    return np.where(hours <= SHOWN_HOURS, hours, np.nan)
