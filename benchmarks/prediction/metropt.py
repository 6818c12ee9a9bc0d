"""One real compressor, MetroPT-3 by the hour: does the method see its three failures, and is it quiet otherwise?

A ridge regression says what the machine reads at its duty and hour of the day; what is left over on
the bad side, as a multiple of what is usual, is its health. Regression, sizes and threshold come from February and
March alone.
"""

import csv
import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from etl_job.prediction.thresholds import upper_quantile
from shared_code.arrays import Booleans, Floats

FILE: Final = "metropt3_hourly.csv.gz"
START: Final = np.datetime64("2020-02-01T00", "h")
TEST_FROM: Final = int((np.datetime64("2020-04-01T00", "h") - START).astype(int))
HOURS_A_MONTH: Final = 730.5
MERGED_WITHIN: Final = 12
EXCUSED_BEFORE: Final = 24
TRIMMED: Final = 0.1
RIDGE: Final = 1.0

DUTY: Final = "Compressor_Outlet_Valve_Status"
"""The share of the hour in which the compressor stood under load."""
CHANNELS: Final = {
    "Tower_Discharge_Pressure_Drop_bar": 1.0,
    "Reservoir_Pressure_bar": -1.0,
    "Oil_Temperature_C": 1.0,
    "Motor_Current_A": 1.0,
}
"""What tells of health, and on which side it is bad: more air than usual through the tower, less of it kept, more heat,
more current."""
FAILURES: Final = (
    ("2020-04-18T00", "2020-04-18T23"),
    ("2020-05-29T23", "2020-05-30T06"),
    ("2020-06-05T10", "2020-06-07T14"),
)
MAINTENANCE: Final = (
    ("2020-04-12T11", "2020-04-12T23"),
    ("2020-04-18T00", "2020-04-19T01"),
    ("2020-04-29T03", "2020-04-29T04"),
    ("2020-04-29T22", "2020-04-29T22"),
    ("2020-05-13T14", "2020-05-13T23"),
    ("2020-05-18T05", "2020-05-18T05"),
    ("2020-05-19T10", "2020-05-19T11"),
    ("2020-05-19T22", "2020-05-20T20"),
    ("2020-05-23T09", "2020-05-23T10"),
    ("2020-05-29T23", "2020-05-30T06"),
    ("2020-06-01T15", "2020-06-01T15"),
    ("2020-06-03T10", "2020-06-03T11"),
    ("2020-06-05T10", "2020-06-07T14"),
)
"""First and last hour of each, as the data's own notes have them."""


@dataclass(frozen=True, slots=True)
class Found:
    """What came out: hours from onset to alarm, by failure (None: not seen), and false episodes in the months told."""

    delays: list[int | None]
    false_episodes: int
    months: float
    threshold: float
    baseline_days: int


def measure(folder: Path) -> Found:
    """Return how the method does; raises FileNotFoundError where the data is not there."""
    names, table = _hourly(folder / FILE)
    health = _held(_health(names, table))
    maxima = _by_day(health[:TEST_FROM])
    # The rarest that so many days can speak of: once in as many and one.
    threshold = upper_quantile(maxima, len(maxima) / (len(maxima) + 1))
    alarm = health > threshold
    alarm[:TEST_FROM] = False
    delays = [_delay(alarm, _place(first), _place(last)) for first, last in FAILURES]
    return Found(delays, _false(alarm), (len(health) - TEST_FROM) / HOURS_A_MONTH, threshold, len(maxima))


def _hourly(path: Path) -> tuple[list[str], Floats]:
    """Return the columns' names, and a row for every hour from START on."""
    with gzip.open(path, "rt", encoding="utf-8") as opened:
        names, *rows = csv.reader(opened)
    places = [_place(row[0][:13]) for row in rows]
    table = np.full((max(places) + 1, len(names) - 1), np.nan)
    for place, row in zip(places, rows, strict=True):
        table[place] = [float(value) if value else np.nan for value in row[1:]]
    return names[1:], table


def _health(names: list[str], table: Floats) -> Floats:
    duty = table[:, names.index(DUTY)]
    angle = 2 * np.pi * (np.arange(len(table)) % 24) / 24
    context = np.column_stack([np.ones_like(duty), duty, duty**2, np.sin(angle), np.cos(angle)])
    channels = table[:, [names.index(name) for name in CHANNELS]]
    known = np.asarray(~np.isnan(np.hstack([context, channels])).any(axis=1))
    learned = known & (np.arange(len(table)) < TEST_FROM)
    left = np.full_like(channels, np.nan)
    # The worst tenth is left out, and what is left is fitted again: the baseline holds bad hours that nobody noted.
    for _ in range(2):
        left = channels - context @ _ridge(context[learned], channels[learned])
        usual = np.sqrt((left[learned] ** 2).mean(axis=0))
        worst = np.abs(left / usual).max(axis=1)
        learned &= worst <= np.quantile(worst[learned], 1 - TRIMMED)
    bad = np.where(known[:, None], left * list(CHANNELS.values()), np.nan)
    # As far as a channel goes on nine days of ten is usual for it: some have rare excursions, others have none.
    usual = np.quantile(_by_day(bad[:TEST_FROM]), 1 - TRIMMED, axis=0)
    return (bad / usual).max(axis=1)


def _held(health: Floats) -> Floats:
    """Return what two hours in a row have reached: an alarm is raised when it has lasted from one into the next."""
    held = np.full_like(health, np.nan)
    held[1:] = np.minimum(health[1:], health[:-1])
    return held


def _by_day(values: Floats) -> Floats:
    """Return the highest value of each day that has one; the first axis is hours."""
    days = values[: len(values) // 24 * 24].reshape(-1, 24, *values.shape[1:])
    known = ~np.isnan(days).all(axis=tuple(range(1, days.ndim)))
    return np.nanmax(days[known], axis=1)


def _ridge(context: Floats, values: Floats) -> Floats:
    penalty = RIDGE * np.eye(context.shape[1])
    penalty[0, 0] = 0
    return np.asarray(np.linalg.solve(context.T @ context + penalty, context.T @ values), np.float64)


def _place(hour: str) -> int:
    return int((np.datetime64(hour.replace(" ", "T"), "h") - START).astype(int))


def _delay(alarm: Booleans, first: int, last: int) -> int | None:
    """Return hours from onset to the end of the first hour that is an alarm, at most the failure's own length."""
    raised = np.flatnonzero(alarm[first : last + 1])
    return int(raised[0]) if len(raised) else None


def _false(alarm: Booleans) -> int:
    """Count episodes none of whose hours lies in a maintenance window or the day before it."""
    excused = np.zeros(len(alarm), dtype=bool)
    for first, last in MAINTENANCE:
        excused[_place(first) - EXCUSED_BEFORE : _place(last) + 1] = True
    raised = np.flatnonzero(alarm)
    if not len(raised):
        return 0
    episodes = np.split(raised, np.flatnonzero(np.diff(raised) > MERGED_WITHIN) + 1)
    return sum(not excused[episode].any() for episode in episodes)
