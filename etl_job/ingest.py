"""Landing files to Bronze: which files are new, what is known of fleets, and every row decoded and appended once."""

from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Final
from uuid import UUID

from pyspark.sql import DataFrame, Observation, SparkSession
from pyspark.sql.types import BinaryType, LongType, StringType, StructField, StructType, TimestampType

from etl_job import clean, publish
from etl_job.decode import Rules, decode_batches
from etl_job.delta_tables import BRONZE, Lake
from shared_code.database import transactions
from shared_code.database.engines import Database
from shared_code.settings import JobSettings

BYTES_PER_ARROW_BATCH: Final = "spark.sql.execution.arrow.maxBytesPerBatch"
WHOLE_FILES_BYTES: Final = 64_000_000
SILVER_MARGIN: Final = timedelta(days=3)
"""Silver keeps so much more than what is let in, because a reading is judged beside the days around it."""

BINARY_FILE: Final = StructType(
    [
        StructField("path", StringType()),
        StructField("modificationTime", TimestampType()),
        StructField("length", LongType()),
        StructField("content", BinaryType()),
    ]
)


def landing_files(spark: SparkSession, folder: str, settings: JobSettings) -> DataFrame:
    """Return a stream of the files under a folder; its checkpoint knows which ones are new."""
    return (
        spark.readStream.format("binaryFile")
        .schema(BINARY_FILE)
        .option("recursiveFileLookup", "true")
        .option("maxFilesPerTrigger", settings.files_per_batch)
        .option("maxFileAge", "36500d")  # a late file may be as old as it likes
        .load(folder)
    )


def rules(database: Database, settings: JobSettings, default_organization: UUID | None, now: datetime) -> Rules:
    """Return what decides whether a row can go on, as the database knows fleets now."""
    with transactions.job(database) as connection:
        owners, machines = publish.known_organizations(connection), publish.known_machines(connection)
        retired = publish.retired_machines(connection)
    return Rules(
        clock_tolerance=settings.clock_tolerance,
        earliest=settings.horizon(now),
        default_organization=str(default_organization) if default_organization else None,
        organizations=frozenset(map(str, owners)),
        machines=frozenset(f"{owner}/{machine}" for owner, machine in machines),
        retired=frozenset(f"{owner}/{machine}" for owner, machine in retired),
    )


def to_bronze(
    lake: Lake, files: DataFrame, root: str, known: Rules, *, batch_id: str, writer: str, version: int
) -> Observation | None:
    """Decode files, whatever their state, and append every row once.

    Returns:
        The counts of the rows appended, or None where they were not counted on the way.
    """
    spark = files.sparkSession
    decode = partial(decode_batches, rules=spark.sparkContext.broadcast(known), root=root, batch_id=batch_id)
    rows = files.select("path", "modificationTime", "content").mapInArrow(decode, BRONZE.schema)
    # Delta passes over an append that it has made already, and then there is nothing to observe.
    arrivals = None if lake.exists(BRONZE) else Observation("arrivals")
    counted = rows.observe(arrivals, *clean.arrival_counts()) if arrivals else rows
    with whole_files(spark):
        lake.append(BRONZE, counted, writer=writer, version=version)
    return arrivals


@contextmanager
def whole_files(spark: SparkSession) -> Generator[None]:
    """Hand rows that hold whole files to Python a few at a time: elsewhere ten thousand rows are one batch."""
    before = str(spark.conf.get(BYTES_PER_ARROW_BATCH))
    spark.conf.set(BYTES_PER_ARROW_BATCH, WHOLE_FILES_BYTES)
    try:
        yield
    finally:
        spark.conf.set(BYTES_PER_ARROW_BATCH, before)
