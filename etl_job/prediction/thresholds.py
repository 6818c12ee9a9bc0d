"""Where the health of a machine is an alarm: so far out as healthy machines are once in so many months."""

from math import ceil
from typing import Final

import numpy as np

from shared_code.arrays import Floats

WANTED: Final = 0.1
"""False alarms a machine and month, at most."""
AIMED_AT: Final = 0.05
"""What the threshold is set for: a month may hold more than one alarm, and other machines are other machines."""
MONTH_HOURS: Final = 720


def upper_quantile(values: Floats, share: float) -> float:
    """Return what the next value does not pass with this probability, if it comes from where the values came from.

    The conformal quantile: the ceil((n + 1) share)-th smallest. Raises ValueError where so few values cannot tell.
    """
    place = ceil((len(values) + 1) * share)
    if place > len(values):
        raise ValueError(f"{len(values)} values say nothing about a share of {share}")
    return float(np.sort(values)[place - 1])


def month_maxima(health: Floats) -> Floats:
    """Return the highest health of each whole month of one machine, NaN left out; `health` has a place an hour."""
    months = len(health) // MONTH_HOURS
    by_month = health[: months * MONTH_HOURS].reshape(months, MONTH_HOURS)
    known = by_month[~np.isnan(by_month).all(axis=1)]
    return np.nanmax(known, axis=1) if len(known) else np.empty(0)
