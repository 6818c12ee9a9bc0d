"""The models as they are kept: coefficients in JSON, by the name of the machine's model."""

import json
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from etl_job.prediction.baseline import Spread
from etl_job.prediction.remaining_life import Life
from etl_job.prediction.residuals import Regression
from etl_job.prediction.score import Model
from shared_code.settings import CONFIG

SHIPPED: Final = CONFIG / "prediction_models.json"
ARRAYS: Final = ("hourly", "steady", "risk")
NESTED: Final = {"regression": Regression, "spread": Spread, "life": Life}


@cache
def shipped() -> dict[str, Model]:
    """Return the models that the product comes with, by machine model."""
    return read(SHIPPED)


def read(file: Path) -> dict[str, Model]:
    """Return the models of a file."""
    return {name: _model(kept) for name, kept in json.loads(file.read_text(encoding="utf-8")).items()}


def write(models: dict[str, Model], file: Path) -> None:
    """Write models to a file; numbers come back to the bit."""
    file.write_text(
        json.dumps({name: _kept(model) for name, model in models.items()}, indent=1) + "\n", encoding="utf-8"
    )


def _kept(value: Any) -> Any:  # noqa: ANN401 - what JSON takes
    if is_dataclass(value):
        return {each.name: _kept(getattr(value, each.name)) for each in fields(value)}
    return value.tolist() if isinstance(value, np.ndarray) else value


def _model(kept: dict[str, Any]) -> Model:
    values: dict[str, Any] = {}
    for name, value in kept.items():
        if name in NESTED:
            values[name] = NESTED[name](**{key: np.array(part) for key, part in value.items()})
        else:
            values[name] = np.array(value) if name in ARRAYS else value
    return Model(**values)
