"""What every test may ask for: one real PostgreSQL and one Spark session for the whole run."""

from collections.abc import Generator
from datetime import UTC, datetime

import pytest

from shared_code.database.engines import Database
from shared_code.database.home import open_database
from shared_code.settings import DatabaseSettings, read

NOW = datetime(2026, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Generator[Database]:
    """An embedded PostgreSQL of the run's own, migrated, with the demo's two organizations."""
    folder = tmp_path_factory.mktemp("postgresql") / "data"
    database = open_database(read(DatabaseSettings, data_dir=folder), now=NOW)
    yield database
    database.dispose()
