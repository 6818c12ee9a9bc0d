from collections.abc import Generator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from etl_job import spark_session
from shared_code.database.engines import Database
from shared_code.settings import JobSettings, read
from tests.etl_job.customer import Customer, an_organization


@pytest.fixture(scope="session")
def spark() -> Generator[SparkSession]:
    """Start the job's own session once for all tests: small, and on two threads."""
    session = spark_session.start(read(JobSettings, master="local[2]", driver_memory="1g"))
    session.conf.set("spark.sql.shuffle.partitions", "2")
    # Compiling a plan to Java takes longer than these few rows do without.
    session.conf.set("spark.sql.codegen.wholeStage", "false")
    session.conf.set("spark.sql.codegen.factoryMode", "NO_CODEGEN")
    yield session
    spark_session.stop(session)


@pytest.fixture
def customer(spark: SparkSession, database: Database, tmp_path: Path) -> Customer:
    return Customer(spark, database, tmp_path, an_organization(database))
