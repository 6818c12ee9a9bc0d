import pytest

from etl_job.prediction.score import Model
from etl_job.prediction.training import learned
from tests.etl_job.prediction.machines import history


@pytest.fixture(scope="session")
def models() -> dict[str, Model]:
    fitting = [history(number) for number in range(1, 9)]
    return learned(fitting, [history(number) for number in range(101, 161)], "test-1")


@pytest.fixture(scope="session")
def model(models: dict[str, Model]) -> Model:
    return models["A"]
