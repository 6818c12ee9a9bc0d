from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from shared_code.database.engines import Database
from tests.etl_job.customer import Customer, an_organization


@pytest.fixture
def customer(spark: SparkSession, database: Database, tmp_path: Path) -> Customer:
    return Customer(spark, database, tmp_path, an_organization(database))
