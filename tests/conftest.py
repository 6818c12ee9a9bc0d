"""What every test may ask for: one real PostgreSQL and one Spark session for the whole run."""

from collections.abc import Generator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from functions.limits import counters
from shared_code.database.engines import Database
from shared_code.database.home import open_database
from shared_code.settings import DatabaseSettings, JobSettings, read

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

NOW = datetime(2026, 1, 12, tzinfo=UTC)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep a module's tests of the Spark session in one process, where the run is shared between two."""
    for item in items:
        if "spark" in getattr(item, "fixturenames", ()) and not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Generator[Database]:
    """An embedded PostgreSQL of the run's own, migrated, with the demo's two organizations."""
    folder = tmp_path_factory.mktemp("postgresql") / "data"
    database = open_database(read(DatabaseSettings, data_dir=folder), now=NOW)
    yield database
    database.dispose()


@pytest.fixture(autouse=True)
def a_patient_counter(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is no database that hangs."""
    monkeypatch.setattr(counters, "PATIENCE", 60.0)


@pytest.fixture(scope="session")
def spark() -> Generator["SparkSession"]:
    """Start the job's own session once for all tests: small, and on two threads."""
    from etl_job import spark_session  # noqa: PLC0415 - tests without Spark need not wait for it

    session = spark_session.start(read(JobSettings, master="local[2]", driver_memory="1g"))
    session.conf.set("spark.sql.shuffle.partitions", "2")
    # Compiling a plan to Java takes longer than these few rows do without.
    session.conf.set("spark.sql.codegen.wholeStage", "false")
    session.conf.set("spark.sql.codegen.factoryMode", "NO_CODEGEN")
    yield session
    spark_session.stop(session)
