"""Machines made of a few lines: hours of sensors that follow the load, some of them on the way to a failure."""

import numpy as np

from etl_job.prediction.residuals import Hours
from etl_job.prediction.training import History, Outage

FIRST = 24 * 20_000
"""The first hour of a UTC day."""


def hours(
    days: int, *, seed: int = 0, fails: float | None = None, over: float = 96, offset: float = 0.0, first: int = FIRST
) -> Hours:
    """Return hours of a machine; one that fails shows it in all sensors over so many hours before."""
    random = np.random.default_rng(seed)
    count = days * 24
    place = np.arange(count)
    power = 1300 + 100 * np.sin(place / 7) + random.normal(0, 5, count)
    worn = np.zeros(count)
    if fails is not None:
        worn = np.where(place < fails + 48, np.clip((place - fails + over) / over, 0, 1), 0)
    swing = worn * np.sin(place * np.pi / 2 + 0.3)
    angle = 2 * np.pi * ((first + place) % 24) / 24
    context = np.column_stack(
        [
            np.ones(count),
            power,
            np.append(power[:1], power[:-1]),
            7 * power + random.normal(0, 20, count),
            60 + random.normal(0, 0.5, count),
            np.sin(angle),
            np.cos(angle),
        ]
    )
    healthy = np.column_stack(
        [
            2 + power / 1300 + offset + random.normal(0, 0.05, count),
            150 + power / 26 + 5 * offset + random.normal(0, 1, count),
            700 + power / 4 + 20 * offset + random.normal(0, 5, count),
        ]
    )
    worse = np.column_stack([healthy[:, 0] * (np.exp(1.5 * worn) - 1), 60 * worn, 200 * swing])
    squares = np.column_stack([np.full(count, 0.01), np.full(count, 1.0), 25 + (150 * worn) ** 2])
    return Hours(first, context, healthy + worse, squares)


def history(number: int, *, days: int = 60, model: str = "A") -> History:
    """Return a machine that fails on its fortieth day, where its number is odd."""
    fails = 40 * 24.0 if number % 2 else None
    outages = [Outage(FIRST + fails - 96, FIRST + fails, FIRST + fails + 48)] if fails else []
    offset = np.random.default_rng(number).normal(0, 0.2)
    its_hours = hours(days, seed=number, fails=fails, offset=float(offset))
    resets = [int(outage.repair) for outage in outages]
    return History(f"COMP-{number:03}", model, its_hours, outages, resets)
