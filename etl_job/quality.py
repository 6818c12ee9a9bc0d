"""Doubts about readings, each a named rule from arrays to an array.

A doubt is written beside the value as a flag; the value stays as it arrived. Every rule is a function of the machine's
readings around the reading, no farther than a day, so the order in which they arrived changes nothing.

Arrays hold one element a reading, sorted by machine and time; NaN stands for a value that is not there, and every
comparison with it is false.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import pi, sqrt
from typing import Final

import numpy as np
import numpy.typing as npt

from etl_job.arrays import Groups
from shared_code.arrays import DAY_US, HOUR_US, Booleans, Floats, Integers
from shared_code.readings import STUCK
from shared_code.thresholds import QualityLimits, SensorLimits, Thresholds

NOT_A_NUMBER: Final = "not_a_number"
VALUE_FLAGS: Final = (NOT_A_NUMBER, "missing", "not_finite", "implausible", STUCK, "spike")
"""What may be wrong with a value, the first that holds; a flag is a place in this list, or NO_FLAG."""
NO_FLAG: Final = -1
CLOCK_FLAG: Final = "clock"

MEAN_ABSOLUTE_TO_SIGMA: Final = sqrt(pi / 2)
"""A normal variable's standard deviation over its mean absolute value."""

Flags = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Timeline:
    """Whose the readings are (a number a machine) and when they were taken (us since 1970), sorted by both."""

    machine: Integers
    at: Integers

    @cached_property
    def days(self) -> Groups:
        """The readings of one machine and UTC day."""
        return Groups(self.machine, self.at // DAY_US)

    def follows(self, minutes: float) -> Booleans:
        """Return which readings come at most so long after the same machine's one before."""
        found = np.zeros(len(self.at), dtype=bool)
        found[1:] = (self.machine[1:] == self.machine[:-1]) & (np.diff(self.at) <= minutes * 60_000_000)
        return found


@dataclass(frozen=True)
class Channel:
    """What one sensor said."""

    values: Floats
    missing: Booleans
    not_a_number: Booleans
    """Where the gateway sent text that means nothing."""


def not_finite(values: Floats, missing: Booleans) -> Booleans:
    """Which values are NaN or infinite."""
    return ~np.isfinite(values) & ~missing


def implausible(values: Floats, limits: SensorLimits) -> Booleans:
    """Which values lie outside what a working sensor can say."""
    low, high = limits.plausible
    return (values < low) | (values > high)


def stuck(values: Floats, timeline: Timeline, *, hours: float, readings: int, neighbour_minutes: float) -> Booleans:
    """Which values have been repeated to the last digit for so many hours and readings in a row.

    A working sensor has noise. Zero is what it says of a machine that stands, so zero is never stuck.
    """
    repeats = np.zeros(len(values), dtype=bool)
    repeats[1:] = values[1:] == values[:-1]
    repeats &= timeline.follows(neighbour_minutes)
    runs = Groups(np.cumsum(~repeats))
    lasted = timeline.at[runs.last] - timeline.at[runs.first]
    return ((lasted >= hours * HOUR_US) & (runs.sizes >= readings))[runs.of] & (values != 0)


def residual(before: Floats, values: Floats, after: Floats) -> Floats:
    """How far each value lies from the middle of its neighbours."""
    return values - (before + after) / 2


def in_warning(values: Floats, limits: SensorLimits) -> Booleans:
    """Which values are beyond a warning limit."""
    above = values > limits.warning_above if limits.warning_above is not None else np.zeros(len(values), dtype=bool)
    below = values < limits.warning_below if limits.warning_below is not None else np.zeros(len(values), dtype=bool)
    return above | below


def isolated_spike(
    before: Floats, values: Floats, after: Floats, *, sigma: Floats, sigmas: float, limits: SensorLimits
) -> Booleans:
    """Which values jump away while the next one is back.

    Neighbours that differ from each other are a shift, and neighbours in warning are a machine in trouble: neither
    is ever a spike.
    """
    fence = sigmas * sigma
    return (
        (np.abs(residual(before, values, after)) > fence)
        & (np.abs(before - after) <= fence)
        & ~in_warning(before, limits)
        & ~in_warning(after, limits)
    )


def neighbours(values: Floats, timeline: Timeline, minutes: float) -> tuple[Floats, Floats]:
    """Return the machine's value before and after each, NaN where there is none within so many minutes."""
    follows = timeline.follows(minutes)
    before, after = np.full_like(values, np.nan), np.full_like(values, np.nan)
    before[1:] = np.where(follows[1:], values[:-1], np.nan)
    after[:-1] = np.where(follows[1:], values[1:], np.nan)
    return before, after


def spread(residuals: Floats, timeline: Timeline) -> tuple[Floats, Integers]:
    """Return, for each reading, sigma of its day's residuals, and how many there are."""
    present = ~np.isnan(residuals)
    counts = timeline.days.sum(present.astype(np.int64))
    total = timeline.days.sum(np.where(present, np.abs(residuals), 0.0))
    sigma = total / np.maximum(counts, 1) * MEAN_ABSOLUTE_TO_SIGMA
    return sigma[timeline.days.of], counts[timeline.days.of]


def value_flags(channel: Channel, timeline: Timeline, limits: SensorLimits, quality: QualityLimits) -> Flags:
    """Return each value's flag."""
    values, near = channel.values, quality.spike_neighbour_minutes
    flags = np.full(len(values), NO_FLAG, dtype=np.int8)
    rules = {
        NOT_A_NUMBER: channel.not_a_number,
        "missing": channel.missing,
        "not_finite": not_finite(values, channel.missing),
        "implausible": implausible(values, limits),
    }
    for name, found in rules.items():
        flags[(flags == NO_FLAG) & found] = VALUE_FLAGS.index(name)
    sound = np.where(flags == NO_FLAG, values, np.nan)
    is_stuck = stuck(
        sound, timeline, hours=quality.stuck_hours, readings=quality.stuck_min_readings, neighbour_minutes=near
    )
    flags[is_stuck] = VALUE_FLAGS.index(STUCK)
    moving = np.where(is_stuck, np.nan, sound)
    before, after = neighbours(moving, timeline, near)
    sigma, compared = spread(residual(before, moving, after), timeline)
    spikes = isolated_spike(
        before,
        moving,
        after,
        sigma=np.maximum(sigma, limits.noise_floor),
        sigmas=quality.spike_sigmas,
        limits=limits,
    )
    flags[spikes & (compared >= quality.spike_min_readings)] = VALUE_FLAGS.index("spike")
    return flags


def clock_offset(at: Integers, counter: Floats) -> Floats:
    """Hours between the wall clock and the machine's running-hours counter.

    The counter never runs faster than time, so with a right clock this never falls.
    """
    return np.where(np.isfinite(counter), at / HOUR_US - counter, np.nan)


def daily_median(values: Floats, timeline: Timeline) -> Floats:
    """Return, for each reading, the median of its day's values; NaN where there is none."""
    present = np.flatnonzero(~np.isnan(values))
    if not len(present):
        return values
    day, known = timeline.days.of[present], values[present]
    order = np.lexsort((known, day))
    groups = Groups(day[order])
    low, high = groups.first + (groups.sizes - 1) // 2, groups.first + groups.sizes // 2
    medians = np.full(len(timeline.days), np.nan)
    medians[day[order][groups.first]] = (known[order][low] + known[order][high]) / 2
    return medians[timeline.days.of]


def wrong_clock(timeline: Timeline, counter: Floats, *, hours: float) -> Booleans:
    """Which readings disagree, by so many hours, between readings of their day that agree.

    A counter cannot do that, so the stamp is wrong.
    """
    offset = clock_offset(timeline.at, counter)
    off = np.abs(offset - daily_median(offset, timeline))
    agrees = off <= hours
    days, at = timeline.days, timeline.at
    agreed_from = days.min(np.where(agrees, at, np.iinfo(np.int64).max))
    agreed_until = days.max(np.where(agrees, at, np.iinfo(np.int64).min))
    return (off > hours) & (at > agreed_from[days.of]) & (at < agreed_until[days.of])


def flag(
    timeline: Timeline, channels: Mapping[str, Channel], counter: Floats, limits: Thresholds
) -> tuple[dict[str, Flags], Booleans]:
    """Judge readings: return each sensor's flags, and which readings' clock is in doubt.

    Args:
        timeline: one element a machine and instant; all readings of each day, and those next to it, must be there.
        channels: sensor field -> what it said.
        counter: running hours.
        limits: from `config/thresholds.yaml`.
    """
    flags = {
        field: value_flags(channel, timeline, limits.sensors[field], limits.quality)
        for field, channel in channels.items()
    }
    return flags, wrong_clock(timeline, counter, hours=limits.quality.clock_disagreement_hours)
