from pathlib import Path

import numpy as np

from etl_job.prediction import models as kept
from etl_job.prediction.score import OTHER, Model, score
from simulator.fleet import MODELS
from tests.etl_job.prediction.machines import FIRST, hours


def test_models_come_back_to_the_bit(tmp_path: Path, models: dict[str, Model]) -> None:
    kept.write(models, tmp_path / "models.json")
    read = kept.read(tmp_path / "models.json")
    line = hours(5, fails=100)
    for name, model in models.items():
        before, after = (score(line, [], [], each, since=FIRST, until=FIRST + 120) for each in (model, read[name]))
        assert np.array_equal(before.bound, after.bound, equal_nan=True)
        assert np.array_equal(before.probability, after.probability, equal_nan=True)


def test_the_product_knows_every_machine_model_it_is_shown_with() -> None:
    assert set(kept.shipped()) == {OTHER, *(model.name for model in MODELS)}
    assert len({model.version for model in kept.shipped().values()}) == 1
