"""Remaining life of turbofans run to failure (C-MAPSS FD001), by gradient boosting, with an interval.

Everything is chosen and calibrated on the training engines, whole engines apart; the test engines are scored once.
"""

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import lightgbm as lgb
import numpy as np

from etl_job.prediction.thresholds import upper_quantile
from shared_code.arrays import Booleans, Floats

CAP: Final = 125
"""Cycles; earlier, nothing shows yet, and no model is asked to tell 200 from 300."""
LONGEST: Final = 145
"""Of training engines, moments farther from their end than this are not calibrated on; no operator asks so early."""
EARLIEST_CYCLE: Final = 31
WINDOWS: Final = (10, 30, 60, 100)
"""Cycles; of four sets the one that did best on training engines held out."""
TREND_FROM: Final = 20
FOLDS: Final = 5
LIVING: Final = 8
"""Values that a sensor must take, or it tells nothing."""
SEEDS: Final = (1, 2, 3, 4, 5)
ROUNDS: Final = 300
PARAMETERS: Final[dict[str, Any]] = {
    "objective": "l2",
    "learning_rate": 0.03,
    "num_leaves": 15,
    "min_data_in_leaf": 100,
    "feature_fraction": 0.3,
    "bagging_fraction": 0.6,
    "bagging_freq": 1,
    "lambda_l2": 10,
    "num_threads": 1,
    "deterministic": True,
    "verbose": -1,
}
HOLDS: Final = 0.9
GROUPS: Final = 5
"""By predicted life, each with its own margins (Mondrian conformal)."""


@dataclass(frozen=True, slots=True)
class Found:
    """Errors in cycles; NASA's score; coverage of the interval by truth uncapped and capped, and its mean width."""

    rmse: float
    rmse_capped: float
    score: float
    coverage: float
    coverage_capped: float
    width: float
    rmse_in_training: float


@dataclass(frozen=True, slots=True)
class Engines:
    """Rows by engine and cycle: sensors scaled as in training, and cycles left where they are known."""

    engine: Floats
    cycle: Floats
    sensors: Floats


def measure(folder: Path) -> Found:
    """Return how the method does; raises FileNotFoundError where the data is not there."""
    raw, raw_test = (_table(folder / f"cmapss_{name}_FD001.txt.gz") for name in ("train", "test"))
    truth = _table(folder / "cmapss_RUL_FD001.txt.gz").ravel()
    living = [place for place in range(5, raw.shape[1]) if len(np.unique(raw[:, place])) > LIVING]
    mean, sigma = raw[:, living].mean(axis=0), raw[:, living].std(axis=0)
    train, test = (Engines(rows[:, 0], rows[:, 1], (rows[:, living] - mean) / sigma) for rows in (raw, raw_test))
    left = np.concatenate([np.arange(np.count_nonzero(train.engine == one))[::-1] for one in np.unique(train.engine)])
    left = left.astype(np.float64)

    apart = _out_of_fold(train, left)
    looked_at = (left <= LONGEST) & (train.cycle >= EARLIEST_CYCLE)
    edges, below, above = _margins(apart[looked_at], left[looked_at])

    everything = np.ones(len(left), dtype=bool)
    ends = np.append(np.flatnonzero(np.diff(test.engine)), len(test.engine) - 1)
    told: Floats = np.array([_model(train, left, everything, seed)(test)[ends] for seed in SEEDS]).mean(axis=0)
    group = np.asarray(np.searchsorted(edges, told))
    low, high = np.maximum(told - below[group], 0), told + above[group]
    late = told - truth
    score = np.where(late < 0, np.exp(-late / 13), np.exp(late / 10)) - 1
    return Found(
        rmse=_rmse(told, truth),
        rmse_capped=_rmse(np.minimum(told, CAP), np.minimum(truth, CAP)),
        score=float(score.sum()),
        coverage=float(((low <= truth) & (truth <= high)).mean()),
        coverage_capped=float(((low <= np.minimum(truth, CAP)) & (np.minimum(truth, CAP) <= high)).mean()),
        width=float((high - low).mean()),
        rmse_in_training=_rmse(apart[looked_at], left[looked_at]),
    )


def _table(path: Path) -> Floats:
    with gzip.open(path, "rt", encoding="ascii") as opened:
        return np.loadtxt(opened, ndmin=2)


def _rmse(told: Floats, truth: Floats) -> float:
    return float(np.sqrt(((told - truth) ** 2).mean()))


def _out_of_fold(train: Engines, left: Floats) -> Floats:
    """Return predictions of each engine by models that never saw it."""
    order = np.random.default_rng(0).permutation(np.unique(train.engine))
    told = np.zeros(len(left))
    for fold in range(FOLDS):
        held = np.isin(train.engine, order[fold::FOLDS])
        told[held] = np.mean([_model(train, left, ~held, seed)(train)[held] for seed in SEEDS[:2]], axis=0)
    return told


def _margins(told: Floats, left: Floats) -> tuple[Floats, Floats, Floats]:
    """Return edges between groups of predictions, and how far below and above each group's truth lies."""
    edges = np.quantile(told, np.arange(1, GROUPS) / GROUPS)
    group = np.searchsorted(edges, told)
    margins = np.array([_shortest((left - told)[group == each]) for each in range(GROUPS)])
    return edges, margins[:, 0], margins[:, 1]


def _shortest(errors: Floats) -> tuple[float, float]:
    """Return how far below and above so many errors lie as the interval is to hold, in the shortest way."""
    tails = np.linspace(0.01, 1 - HOLDS - 0.01, 17)
    both = [(upper_quantile(-errors, 1 - low), upper_quantile(errors, HOLDS + low)) for low in tails.tolist()]
    return min(both, key=sum)


def _model(train: Engines, left: Floats, rows: Booleans, seed: int) -> Callable[[Engines], Floats]:
    direction = _direction(train.sensors[rows], np.minimum(left[rows], CAP))
    train_on: Any = lgb.train  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - its stubs
    data = lgb.Dataset(_features(train, direction)[rows], np.minimum(left[rows], CAP))
    booster: Any = train_on({**PARAMETERS, "seed": seed}, data, num_boost_round=ROUNDS)

    def told(engines: Engines) -> Floats:
        return np.asarray(booster.predict(_features(engines, direction)), np.float64)

    return told


def _direction(sensors: Floats, life: Floats) -> Floats:
    """Return the one direction of the sensors that tells most of life: a ridge regression's."""
    centred = sensors - sensors.mean(axis=0)
    inner, outer = centred.T @ centred, centred.T @ (life - life.mean())
    weights = np.asarray(np.linalg.solve(inner + 10 * np.eye(centred.shape[1]), outer), np.float64)
    return weights / np.linalg.norm(weights)


def _features(engines: Engines, direction: Floats) -> Floats:
    """Return, of each row, means and trends of the sensors over the cycles before it, and how they began."""
    values = np.column_stack([engines.sensors, engines.sensors @ direction])
    return np.vstack([_of_one(values[engines.engine == one]) for one in np.unique(engines.engine)])


def _of_one(values: Floats) -> Floats:
    count = np.arange(len(values))
    sums = np.vstack([np.zeros(values.shape[1]), np.cumsum(values, axis=0)])
    moments = np.vstack([np.zeros(values.shape[1]), np.cumsum(values * count[:, None], axis=0)])

    def mean(window: int) -> Floats:
        first = np.maximum(0, count - window + 1)
        return (sums[count + 1] - sums[first]) / (count - first + 1)[:, None]

    columns = [count[:, None] + 1.0, sums[count + 1] / (count + 1)[:, None]]
    for window in WINDOWS:
        columns.append(mean(window))
        if window >= TREND_FROM:
            first = np.maximum(0, count - window + 1)
            n, middle = (count - first + 1)[:, None], ((count + first) / 2)[:, None]
            together = moments[count + 1] - moments[first] - middle * (sums[count + 1] - sums[first])
            columns.append(together / np.maximum(n * (n * n - 1) / 12, 1))
    began = np.minimum(count + 1, TREND_FROM)
    columns.append(mean(10) - sums[began] / began[:, None])
    return np.hstack(columns, dtype=np.float64)
