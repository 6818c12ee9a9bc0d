from pathlib import Path

import pytest

from simulator.simulation import Simulation
from tests.simulator.landed import Landed, landed


@pytest.fixture(scope="session")
def default_week(tmp_path_factory: pytest.TempPathFactory) -> Landed:
    return landed(tmp_path_factory.mktemp("default_week"), Simulation())


@pytest.fixture(scope="session")
def big_fleet(tmp_path_factory: pytest.TempPathFactory) -> Landed:
    return landed(tmp_path_factory.mktemp("big_fleet"), Simulation(compressors=200, days=3))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "landing"
