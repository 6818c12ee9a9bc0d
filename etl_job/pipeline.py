"""One run: what is new in the landing folder, through Bronze, Silver and Gold, into SQL.

Spark's streaming checkpoint knows which landing files are new and gives them out in numbered batches; a batch that
was interrupted is given out again under its number. Each step of a batch is found by that number in the tables it
wrote, so going through a batch again changes nothing and misses nothing.
"""

import time
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from typing import Final
from uuid import UUID

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, Observation, SparkSession
from pyspark.sql import functions as f
from pyspark.sql.types import BinaryType, LongType, StringType, StructField, StructType, TimestampType

from etl_job import aggregate, clean, daily_quality, fleet, publish, spark_session
from etl_job.decode import Rules, decode_batches
from etl_job.delta_tables import AGGREGATES, BRONZE, PARTIALS, QUARANTINE, SILVER, Lake
from etl_job.summary import Summary
from etl_job.windows import windows
from shared_code.database import transactions
from shared_code.database.engines import Database
from shared_code.database.tables import data_quality_metrics, sensor_readings_agg
from shared_code.errors import AltavizError
from shared_code.readings import COMPRESSOR, LANDING_READINGS, ORGANIZATION, TIMESTAMP
from shared_code.settings import JobSettings
from shared_code.thresholds import Thresholds

FILES_PER_ARROW_BATCH: Final = 4
ROWS_PER_ARROW_BATCH: Final = 10_000
ARROW_BATCH: Final = "spark.sql.execution.arrow.maxRecordsPerBatch"

BINARY_FILE: Final = StructType(
    [
        StructField("path", StringType()),
        StructField("modificationTime", TimestampType()),
        StructField("length", LongType()),
        StructField("content", BinaryType()),
    ]
)


@dataclass(frozen=True, slots=True)
class Job:
    """What a run needs to know."""

    landing: str
    lake: str
    database: Database
    settings: JobSettings
    limits: Thresholds
    default_organization: UUID | None
    run_id: UUID
    now: datetime
    version: str
    progress: Callable[[str], None]


def run(spark: SparkSession, job: Job) -> Summary:
    """Do everything that is new and return what was done."""
    total = Summary()
    with timed(job, total, "fleet"):
        data = fleet.read(spark, _existing(spark, job.landing, fleet.KINDS), job.default_organization)
        with transactions.job(job.database) as connection:
            total.fleet_refused.extend([*data.refused, *publish.save_fleet(connection, data)])
    for readings in _existing(spark, job.landing, [LANDING_READINGS]):
        _stream(spark, job, readings, total)
    return total


def _existing(spark: SparkSession, root: str, folders: Iterable[str]) -> list[str]:
    """Return those of the folders under a root that are there."""
    return spark_session.existing(spark, (f"{root}/{folder}" for folder in folders))


def _stream(spark: SparkSession, job: Job, readings: str, total: Summary) -> None:
    """Take every new landing file through the lake, in batches; one that fails is handed out again by the next run."""
    files = (
        spark.readStream.format("binaryFile")
        .schema(BINARY_FILE)
        .option("recursiveFileLookup", "true")
        .option("maxFilesPerTrigger", job.settings.files_per_batch)
        .option("maxFileAge", "36500d")  # a late file may be as old as it likes
        .load(readings)
    )
    failures: list[Exception] = []

    def process(batch: DataFrame, number: int) -> None:
        try:
            total.add(_Batch(job, readings, batch, number).process())
        except Exception as failure:
            failures.append(_told(failure))  # Spark would report no more than that something failed
            raise

    query = (
        files.writeStream.foreachBatch(process)
        .option("checkpointLocation", f"{job.lake}/_checkpoints/landing")
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


def _told(failure: Exception) -> Exception:
    """Put a failure of Spark's into words while its Java process, which knows them, still runs."""
    return JobError(str(failure)) if isinstance(failure, PySparkException) else failure


class JobError(AltavizError):
    """Spark could not do its work."""


class _Batch:
    """One numbered batch of landing files on its way through the lake."""

    def __init__(self, job: Job, root: str, files: DataFrame, number: int) -> None:
        self.job = job
        self.root = root
        self.files = files
        self.number = number
        self.spark = files.sparkSession
        self.lake = Lake(self.spark, job.lake)
        # A checkpoint that starts anew numbers from 0 again, but under a new name.
        self.writer = str(self.spark.sparkContext.getLocalProperty("sql.streaming.queryId"))
        self.batch_id = f"{self.writer}/{number}"
        self.summary = Summary()
        # Where there is nothing yet, there is nothing to compare with, and all that is written is this batch's.
        self.is_first = not self.lake.exists(SILVER)

    def process(self) -> Summary:
        """Take the batch from landing files to SQL."""
        stage = partial(timed, self.job, self.summary)
        with stage("bronze"):
            self._to_bronze()
        with stage("silver"):
            dates = self._to_silver()
        if dates:
            with stage("partials"):
                self._to_partials(dates)
            with stage("windows"):
                self._to_windows(dates)
        with stage("publish"):
            self._publish(dates)
        if not self.summary.adds_up:
            raise RuntimeError(f"rows were lost or made up: {self.summary.counts()}")
        return self.summary

    def _to_bronze(self) -> None:
        """Decode the files, whatever their state, and append every row."""
        rules = self.spark.sparkContext.broadcast(self._rules())
        decode = partial(decode_batches, rules=rules, root=self.root, batch_id=self.batch_id)
        self.spark.conf.set(ARROW_BATCH, FILES_PER_ARROW_BATCH)
        rows = self.files.select("path", "modificationTime", "content").mapInArrow(decode, BRONZE.schema)
        self.lake.append(BRONZE, rows, writer=self.writer, version=self.number)
        self.spark.conf.set(ARROW_BATCH, ROWS_PER_ARROW_BATCH)

    def _rules(self) -> Rules:
        with transactions.job(self.job.database) as connection:
            owners, machines = publish.known_organizations(connection), publish.known_machines(connection)
        return Rules(
            clock_tolerance=timedelta(minutes=self.job.settings.clock_tolerance_minutes),
            default_organization=self._default_organization,
            organizations=frozenset(map(str, owners)),
            machines=frozenset(f"{owner}/{machine}" for owner, machine in machines),
        )

    @property
    def _default_organization(self) -> str | None:
        return str(self.job.default_organization) if self.job.default_organization else None

    def _to_silver(self) -> list[date]:
        """Merge the batch's rows into Silver, and put aside those that cannot go on; return the dates they lie on."""
        rows = clean.with_owner(self.lake.read_batch(BRONZE, self.batch_id), self._default_organization)
        dates = self._count_arrivals(rows)
        self.spark.conf.set("spark.sql.shuffle.partitions", self._shuffle_partitions())
        if not dates:
            self._quarantine(rows)
        elif self.is_first:
            self._first_silver(rows, dates)
        else:
            self._merge_into_silver(rows, dates)
        return dates

    def _count_arrivals(self, rows: DataFrame) -> list[date]:
        """Count rows read and refused; return the dates of those accepted."""
        starts_file = f.coalesce(f.col("row_number") == 0, f.lit(col=True))
        groups = (
            rows.groupBy("problem", "note", f.when(f.col("problem").isNull(), f.col("date")).alias("date"))
            .agg(f.count("*").alias("rows"), f.count_if(starts_file).alias("files"))
            .collect()
        )
        summary = self.summary
        for group in groups:
            summary.rows_read += group["rows"]
            summary.files_read += group["files"]
            if group["note"]:
                summary.notes[group["note"]] += group["rows"]
            if group["problem"]:
                summary.rows_quarantined += group["rows"]
                summary.quarantined[group["problem"]] += group["rows"]
        return sorted({group["date"] for group in groups if group["problem"] is None})

    def _shuffle_partitions(self) -> int:
        wanted = -(-self.summary.rows_read // self.job.settings.rows_per_partition)
        return max(wanted, self.spark.sparkContext.defaultParallelism)

    def _first_silver(self, rows: DataFrame, dates: list[date]) -> None:
        """Write Silver where there is none yet: nothing to compare with, so one pass does it all."""
        ranked = clean.with_outcome(clean.arrived(rows), self.batch_id)
        outcomes, flags = Observation("outcomes"), Observation("flags")
        judged = clean.judged(ranked.observe(outcomes, *clean.outcome_counts()), self.job.limits, self.batch_id)
        self.lake.upsert(SILVER, clean.silver_rows(judged.observe(flags, *clean.flag_counts())), dates=dates)
        self._count_outcomes(outcomes.get, flags.get)
        self._quarantine(rows, ranked)

    def _merge_into_silver(self, rows: DataFrame, dates: list[date]) -> None:
        """Meet the rows that Silver holds around these, and write what came out new or different."""
        arrived = clean.arrived(rows)
        machines = arrived.select(ORGANIZATION, COMPRESSOR).distinct()
        stored = clean.stored(self.lake.read(SILVER), dates, machines)
        # Computed once and kept: what Silver holds, which this depends on, changes below.
        ranked = clean.with_outcome(arrived.unionByName(stored), self.batch_id).localCheckpoint()
        judged = clean.judged(ranked, self.job.limits, self.batch_id).localCheckpoint()
        self._count_outcomes(
            ranked.agg(*clean.outcome_counts()).collect()[0].asDict(),
            judged.agg(*clean.flag_counts()).collect()[0].asDict(),
        )
        self._quarantine(rows, ranked)
        changed = clean.silver_rows(clean.changed(judged, dates))
        self.lake.upsert(SILVER, changed, dates=clean.days_around(dates, 1))

    def _count_outcomes(self, outcomes: Mapping[str, int], flags: Mapping[str, int | None]) -> None:
        summary = self.summary
        summary.rows_written += outcomes["written"]
        summary.rows_repeated += outcomes["repeated"]
        summary.rows_superseded += outcomes["superseded"]
        if outcomes["conflicting"]:
            summary.rows_quarantined += outcomes["conflicting"]
            summary.quarantined[clean.CONFLICTING] += outcomes["conflicting"]
        summary.rows_flagged += flags["rows"] or 0
        summary.flagged.update({name: count for name, count in flags.items() if name != "rows" and count})

    def _quarantine(self, rows: DataFrame, ranked: DataFrame | None = None) -> None:
        """Put aside, once a batch, rows with a problem and those that another one overruled."""
        if not (self.summary.rows_quarantined or self.summary.rows_superseded):
            return
        refused = rows.where(f.col("problem").isNotNull())
        if ranked is not None:
            refused = refused.unionByName(clean.conflicting(ranked, self.batch_id), allowMissingColumns=True)
        self.lake.append(QUARANTINE, refused.select(*QUARANTINE.schema.names), writer=self.writer, version=self.number)

    def _to_partials(self, dates: list[date]) -> None:
        """Compute again the hours that hold a row this batch wrote."""
        around = clean.days_around(dates, 1)
        silver = self.lake.read(SILVER)
        if not self.is_first:
            hour = f.date_trunc("hour", f.col(TIMESTAMP)).alias("hour")
            touched = self.lake.read_batch(SILVER, self.batch_id).select(ORGANIZATION, COMPRESSOR, hour).distinct()
            near = silver.where(f.col("date").isin(around)).select("*", hour)
            silver = near.join(touched, [ORGANIZATION, COMPRESSOR, "hour"], "left_semi")
        self.lake.upsert(PARTIALS, aggregate.partials(silver, self.batch_id), dates=around)

    def _to_windows(self, dates: list[date]) -> None:
        """Compute again the windows that contain an hour this batch wrote: up to 24 hours later, from 24 before."""
        around = clean.days_around(dates, 3)
        hours = self.lake.read(PARTIALS)
        if not self.is_first:
            touched = self.lake.read_batch(PARTIALS, self.batch_id).select(ORGANIZATION, COMPRESSOR).distinct()
            near = hours.where(f.col("date").isin(around))
            hours = near.join(touched, [ORGANIZATION, COMPRESSOR], "left_semi")
        changed = windows(hours, reading_interval_minutes=self._interval, batch_id=self.batch_id)
        self.lake.upsert(AGGREGATES, changed, dates=around)

    def _publish(self, dates: list[date]) -> None:
        """Bring what this batch wrote into SQL, with the record of the batch, in one transaction."""
        job = self.job
        with transactions.job(job.database) as connection:
            publish.clear_staging(connection, self.batch_id)
        if dates:
            hours = self.lake.read(PARTIALS).where(f.col("date").isin(clean.days_around(dates, 1)))
            metrics = daily_quality.metrics(hours, job.limits.quality.passing, self._interval, self.batch_id)
            publish.stage(self.lake.read_batch(AGGREGATES, self.batch_id), sensor_readings_agg, job.database)
            publish.stage(metrics, data_quality_metrics, job.database)
        with transactions.job(job.database) as connection:
            self.summary.windows_published = publish.merge(connection, sensor_readings_agg, self.batch_id)
            self.summary.quality_metrics_published = publish.merge(connection, data_quality_metrics, self.batch_id)
            publish.record(
                connection,
                batch_id=self.batch_id,
                run_id=job.run_id,
                now=job.now,
                version=job.version,
                summary=self.summary.as_json(),
            )

    @property
    def _interval(self) -> int:
        return self.job.settings.reading_interval_minutes


@contextmanager
def timed(job: Job, summary: Summary, stage: str) -> Generator[None]:
    """Show a stage while it works, and add the seconds it took."""
    job.progress(stage)
    began = time.monotonic()
    yield
    summary.seconds[stage] += time.monotonic() - began  # pyright: ignore[reportArgumentType]
