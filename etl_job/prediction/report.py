"""A machine's predictions as a picture: what each sensor read and should have read, health, threshold and alarm."""

# Matplotlib's stubs leave much untyped:
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from matplotlib.figure import Figure

from etl_job.prediction.hours import CHANNELS

CRITICAL: Final = "#D62728"
HEALTHY: Final = "#2CA02C"
INFO: Final = "#1F77B4"
SIZE: Final = (11, 9)


def draw(machine: str, predictions: Sequence[Mapping[str, Any]], file: Path) -> None:
    """Draw a machine's predictions, rows of `gold/predictions` in order of time, into a PNG."""
    at = [row["predicted_at"] for row in predictions]
    told = [{each["sensor"]: each for each in json.loads(row["explanation"])["channels"]} for row in predictions]
    figure = Figure(figsize=SIZE, layout="constrained")
    *sensors, health = figure.subplots(len(CHANNELS) + 1, 1, sharex=True)
    for sensor, axes in zip(CHANNELS, sensors, strict=True):
        axes.plot(at, [_number(each[sensor]["actual"]) for each in told], color=INFO, label="read")
        axes.plot(at, [_number(each[sensor]["expected"]) for each in told], color=HEALTHY, label="expected")
        axes.set_ylabel(sensor)
    sensors[0].legend(loc="upper left")
    sensors[0].set_title(machine)
    far, limit = ([_number(row[name]) for row in predictions] for name in ("health", "threshold"))
    health.plot(at, far, color=INFO, label="health")
    health.plot(at, limit, color=CRITICAL, linestyle="--", label="threshold")
    alarm = [value >= beyond for value, beyond in zip(far, limit, strict=True)]
    health.fill_between(at, 0, far, where=alarm, color=CRITICAL, alpha=0.3, label="alarm")
    health.set_ylabel("usual sizes")
    health.set_xlabel("UTC")
    health.legend(loc="upper left")
    figure.savefig(file)


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
