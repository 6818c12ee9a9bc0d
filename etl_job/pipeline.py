"""What a run can do: take in what is new, compute Gold again, or take up what was put aside.

Spark's streaming checkpoint knows which landing files are new and gives them out in numbered batches; a batch that
was interrupted is given out again under its number.
"""

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import Final
from uuid import uuid4

from pyspark.sql import DataFrame, SparkSession

from etl_job import files, fleet, ingest, publish, quarantine
from etl_job.batch import Batch, Job, timed
from etl_job.delta_tables import BRONZE
from etl_job.summary import Summary
from shared_code.database import transactions
from shared_code.readings import LANDING_READINGS

CHECKPOINTS: Final = "_checkpoints"
LANDING_CHECKPOINT: Final = f"{CHECKPOINTS}/landing"


def run(spark: SparkSession, job: Job) -> Summary:
    """Do everything that is new and return what was done."""
    total = Summary()
    _take_in_fleets(spark, job, total)
    for readings in _existing(spark, job, [LANDING_READINGS]):
        _stream(spark, job, readings, total)
    return total


def rebuild(spark: SparkSession, job: Job) -> Summary:
    """Compute all of Gold again from Silver, and publish it."""
    with _resumable(spark, job, "rebuild") as name:
        batch = Batch(job, spark, writer=name, number=0)
        batch.rebuild()
    return batch.summary


def replay(spark: SparkSession, job: Job) -> Summary:
    """Try again what is in quarantine, after a mend: rows that can go on now leave it and go through."""
    total = Summary()
    _take_in_fleets(spark, job, total)
    with _resumable(spark, job, "replay") as name:
        batch = Batch(job, spark, writer=name, number=0)
        with batch.stage("quarantine"):
            rules = ingest.rules(job.database, job.settings, job.default_organization, job.now)
            with ingest.whole_files(spark):
                rows = quarantine.mended(batch.lake, rules, batch.batch_id).localCheckpoint()
        batch.process(rows)
        quarantine.release(batch.lake, rows)
    total.add(batch.summary)
    return total


def _take_in_fleets(spark: SparkSession, job: Job, total: Summary) -> None:
    """Write what the landing folder says of stations, machines and maintenance."""
    with timed(job, total, "fleet"):
        data = fleet.read(spark, _existing(spark, job, fleet.KINDS), job.default_organization)
        with transactions.job(job.database) as connection:
            saved = publish.save_fleet(connection, data)
        total.fleet_refused.extend([*data.refused, *saved.refused])
        total.fleet_overruled += saved.overruled


def _existing(spark: SparkSession, job: Job, folders: Iterable[str]) -> list[str]:
    """Return those of the landing folders that are there."""
    return files.existing(spark, (f"{job.landing}/{folder}" for folder in folders))


def _stream(spark: SparkSession, job: Job, readings: str, total: Summary) -> None:
    """Take every new landing file through the lake, in batches; one that fails is handed out again by the next run."""
    failures: list[Exception] = []

    def process(arriving: DataFrame, number: int) -> None:
        try:
            # A checkpoint that starts anew numbers from 0 again, but under a new name.
            writer = str(spark.sparkContext.getLocalProperty("sql.streaming.queryId"))
            total.add(take_in(job, readings, arriving, writer, number))
        except Exception as failure:
            failures.append(failure)  # Spark would report no more than that something failed
            raise

    query = (
        ingest.landing_files(spark, readings, job.settings)
        .writeStream.foreachBatch(process)
        .option("checkpointLocation", f"{job.lake}/{LANDING_CHECKPOINT}")
        .trigger(availableNow=True)
        .start()
    )
    try:
        query.awaitTermination()
    except Exception:
        if failures:
            raise failures[0] from None
        raise
    finally:
        query.stop()


def take_in(job: Job, root: str, arriving: DataFrame, writer: str, number: int) -> Summary:
    """Take a batch of landing files to SQL."""
    batch = Batch(job, arriving.sparkSession, writer, number)
    with batch.stage("bronze"):
        rules = ingest.rules(job.database, job.settings, job.default_organization, job.now)
        arrivals = ingest.to_bronze(
            batch.lake, arriving, root, rules, batch_id=batch.batch_id, writer=writer, version=number
        )
    batch.process(batch.lake.read_batch(BRONZE, batch.batch_id), arrivals)
    return batch.summary


@contextmanager
def _resumable(spark: SparkSession, job: Job, task: str) -> Generator[str]:
    """Give a task the name under which its rows are written; one that was interrupted goes on under its old name."""
    note = f"{job.lake}/{CHECKPOINTS}/{task}"
    name = files.read_note(spark, note) or f"{task}/{uuid4()}"
    files.write_note(spark, note, name)
    yield name
    files.remove_note(spark, note)
