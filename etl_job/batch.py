"""One batch of Bronze rows on its way through Silver and Gold into SQL.

Each step finds what the one before it wrote by the batch's name, so going through a batch again changes nothing and
misses nothing.
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import partial
from time import monotonic
from typing import Any, Final
from uuid import UUID

from pyspark.sql import DataFrame, Observation, SparkSession
from pyspark.sql import functions as f

from etl_job import aggregate, alarms, clean, daily_quality, foretell, publish, publish_alarms
from etl_job.delta_tables import (
    AGGREGATES,
    ALARMS,
    MACHINE_DAYS,
    PARTIALS,
    PREDICTIONS,
    QUARANTINE,
    SILVER,
    Lake,
)
from etl_job.extent import Extent
from etl_job.prediction import models
from etl_job.progress import Progress
from etl_job.quality import CLOCK_FLAG, VALUE_FLAGS
from etl_job.summary import Summary
from etl_job.windows import windows
from shared_code.database import transactions
from shared_code.database.engines import Database
from shared_code.database.tables import alert_history, data_quality_metrics, ml_predictions, sensor_readings_agg
from shared_code.readings import COMPRESSOR, ORGANIZATION, TIMESTAMP
from shared_code.settings import JobSettings
from shared_code.thresholds import Thresholds

FEW_ROWS: Final = 200_000
MIDNIGHT_UTC: Final = "00:00:00+00:00"


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
    progress: Progress


class Batch:
    """The rows that go through together, under one name."""

    def __init__(self, job: Job, spark: SparkSession, writer: str, number: int) -> None:
        """Take a name that is the same at every attempt: the writer's, and a number that only rises."""
        self.job = job
        self.spark = spark
        self.lake = Lake(spark, job.lake)
        self.writer = writer
        self.number = number
        self.batch_id = f"{writer}/{number}"
        self.summary = Summary()
        self.stage = partial(timed, job, self.summary)
        # Where there is nothing yet, there is nothing to compare with, and all that is written is this batch's.
        self.is_first = not self.lake.exists(SILVER)
        # What was found, until it is published; an interrupted batch finds the same again.
        self.alarms: DataFrame | None = None
        # Of each machine that predictions judged, from which day on.
        self.foretold: DataFrame | None = None

    def process(self, bronze: DataFrame, arrivals: Observation | None = None) -> None:
        """Take Bronze rows to SQL.

        Args:
            bronze: the batch's rows.
            arrivals: `clean.arrival_counts` of the rows, where they have been counted on their way.
        """
        owner = str(self.job.default_organization) if self.job.default_organization else None
        rows = clean.with_owner(bronze, owner)
        with self.stage("silver"):
            extent = self._count_arrivals(rows, arrivals.get if arrivals else {})
            self._set_shuffle_partitions(self.summary.rows_read)
            changed = self._to_silver(rows, extent)
        if changed:
            with self.stage("partials"):
                self._to_partials(changed)
            with self.stage("windows"):
                self._to_windows(changed)
            with self.stage("predictions"):
                hours = self.lake.read(PARTIALS).where(changed.around(0))
                self._foretell(foretell.changed_since(hours, self.batch_id), changed)
            with self.stage("alarms"):
                self._to_alarms(changed)
        with self.stage("publish"):
            self._publish(changed)
        if not self.summary.adds_up:
            raise RuntimeError(f"rows were lost or made up: {self.summary.counts()}")

    def rebuild(self) -> None:
        """Compute Gold again from all that Silver holds, in the place of what stands there, and publish it."""
        silver = self.lake.read(SILVER)
        measures = Extent.measures(f.col("date"), f.col(COMPRESSOR))
        (held,) = silver.agg(*measures, f.count("*").alias("rows")).collect()
        extent = Extent.of(held.asDict())
        if extent is None:
            return
        first, last = extent.days[0], extent.days[-1]
        self._set_shuffle_partitions(held["rows"])
        with self.stage("partials"):
            partials = aggregate.partials(silver, self.batch_id)
            self.lake.replace(PARTIALS, partials, f"date >= '{first}' AND date <= '{last}'")
        with self.stage("windows"):
            made = windows(self.lake.read(PARTIALS), reading_interval_minutes=self._interval, batch_id=self.batch_id)
            # A window that ends with the first midnight is of the hour before, which Silver no longer holds.
            after_first_midnight = f"date >= '{first}' AND agg_timestamp > TIMESTAMP'{first} {MIDNIGHT_UTC}'"
            self.lake.replace(AGGREGATES, made, after_first_midnight)
        with self.stage("predictions"):
            everybody = self.lake.read(PARTIALS).where(f.col("date") >= f.lit(first)).select(*foretell.MACHINE)
            self._foretell(everybody.distinct().select("*", f.lit(first).alias("since")), extent)
        with self.stage("alarms"):
            midnight = datetime.combine(first, time(), UTC)
            self._judge_alarms(silver, alarms.all_since(silver, midnight))
        with self.stage("publish"):
            self._publish(extent)

    @property
    def _interval(self) -> int:
        return self.job.settings.reading_interval_minutes

    def _set_shuffle_partitions(self, rows: int) -> None:
        wanted = max(-(-rows // self.job.settings.rows_per_partition), self.spark.sparkContext.defaultParallelism)
        self.spark.conf.set("spark.sql.shuffle.partitions", wanted)

    def _count_arrivals(self, rows: DataFrame, seen: Mapping[str, Any]) -> Extent | None:
        """Count rows read and refused; return the extent of those accepted, None where none was."""
        summary = self.summary
        if seen and not seen["remarkable"]:
            summary.rows_read += seen["rows"]
            summary.files_read += seen["files"]
            return Extent.of(seen)
        groups = rows.groupBy("problem", "note", clean.accepted_date()).agg(*clean.arrival_counts()).collect()
        for group in groups:
            summary.rows_read += group["rows"]
            summary.files_read += group["files"]
            if group["note"]:
                summary.notes[group["note"]] += group["rows"]
            if group["problem"]:
                summary.rows_quarantined += group["rows"]
                summary.quarantined[group["problem"]] += group["rows"]
        extents = (Extent.of(group.asDict()) for group in groups)
        return Extent.union(extent for extent in extents if extent)

    def _to_silver(self, rows: DataFrame, extent: Extent | None) -> Extent | None:
        """Merge the rows into Silver, put aside those that cannot go on, and return the extent of what changed."""
        if not extent:
            self._quarantine(rows)
            return None
        return self._first_silver(rows, extent) if self.is_first else self._merge_into_silver(rows, extent)

    def _first_silver(self, rows: DataFrame, extent: Extent) -> Extent:
        """Write Silver where there is none yet: nothing to compare with, so one pass does it all."""
        judged = clean.judge(clean.arrived(rows), self.job.limits, self.batch_id)
        counted = Observation("counts")
        silver = clean.silver_rows(judged.observe(counted, *clean.counts()), self.batch_id)
        self.lake.upsert(SILVER, silver, extent.around(0, "old"))
        self._count_outcomes(counted.get)
        self._quarantine(rows, judged)
        return extent

    def _merge_into_silver(self, rows: DataFrame, extent: Extent) -> Extent | None:
        """Meet the rows that Silver holds around these, and write what came out new or different."""
        arrived = clean.arrived(rows)
        machines = arrived.select(ORGANIZATION, COMPRESSOR).distinct()
        stored = clean.stored(self.lake.read(SILVER), extent, machines)
        # Computed once and kept: what Silver holds, which this depends on, changes below.
        judged = clean.judge(arrived.unionByName(stored), self.job.limits, self.batch_id).localCheckpoint()
        counted = judged.agg(*clean.counts(), *clean.news_extent()).collect()[0].asDict()
        self._count_outcomes(counted)
        self._quarantine(rows, judged)
        news = Extent.of(counted)
        changed = news.among(extent.days_around(1)) if news else None
        if changed:
            silver = clean.silver_rows(clean.changed(judged, extent), self.batch_id)
            self.lake.upsert(SILVER, silver, changed.around(0, "old"))
        return changed

    def _count_outcomes(self, counted: Mapping[str, Any]) -> None:
        summary = self.summary
        summary.rows_written += counted["written"]
        summary.rows_repeated += counted["repeated"]
        summary.rows_superseded += counted["superseded"]
        if counted["conflicting"]:
            summary.rows_quarantined += counted["conflicting"]
            summary.quarantined[clean.CONFLICTING] += counted["conflicting"]
        summary.rows_flagged += counted["flagged"]
        summary.flagged.update({name: counted[name] for name in (*VALUE_FLAGS, CLOCK_FLAG) if counted[name]})

    def _quarantine(self, rows: DataFrame, judged: DataFrame | None = None) -> None:
        """Put aside, once a batch, rows with a problem and those that another one overruled."""
        if not (self.summary.rows_quarantined or self.summary.rows_superseded):
            return
        refused = rows.where(f.col("problem").isNotNull())
        if judged is not None and (self.summary.quarantined[clean.CONFLICTING] or self.summary.rows_superseded):
            refused = refused.unionByName(clean.conflicting(judged, self.batch_id), allowMissingColumns=True)
        self.lake.append(QUARANTINE, refused.select(*QUARANTINE.schema.names), writer=self.writer, version=self.number)

    def _to_partials(self, extent: Extent) -> None:
        """Compute again the hours that hold a row this batch wrote."""
        silver = self.lake.read(SILVER)
        if not self.is_first:
            hour = f.date_trunc("hour", f.col(TIMESTAMP)).alias("hour")
            near = silver.where(extent.around(0)).select("*", hour)
            touched = near.where(f.col("batch_id") == self.batch_id).select(ORGANIZATION, COMPRESSOR, "hour").distinct()
            silver = near.join(self._broadcast_if_few(touched), [ORGANIZATION, COMPRESSOR, "hour"], "left_semi")
        self.lake.upsert(PARTIALS, aggregate.partials(silver, self.batch_id), extent.around(0, "old"))

    def _broadcast_if_few(self, rows: DataFrame) -> DataFrame:
        """Send rows, no more than the batch has, to every executor; not where they would weigh on the driver."""
        return f.broadcast(rows) if self.summary.rows_read <= FEW_ROWS else rows

    def _to_windows(self, extent: Extent) -> None:
        """Compute again the windows that contain an hour this batch wrote: up to 24 hours later, from 24 before."""
        hours = self.lake.read(PARTIALS)
        if not self.is_first:
            near = hours.where(extent.around(1))
            touched = near.where(f.col("batch_id") == self.batch_id).select(ORGANIZATION, COMPRESSOR).distinct()
            hours = near.join(f.broadcast(touched), [ORGANIZATION, COMPRESSOR], "left_semi")
        changed = windows(hours, reading_interval_minutes=self._interval, batch_id=self.batch_id)
        self.lake.upsert(AGGREGATES, changed, extent.around(1, "old"))

    def _foretell(self, machines: DataFrame, extent: Extent) -> None:
        """Judge what becomes of machines, anew from their day `since` on."""
        with transactions.job(self.job.database) as connection:
            facts = publish.machine_facts(connection)
        known = self.spark.createDataFrame(facts, foretell.MACHINES_SCHEMA)
        days, reach = self.lake.read(MACHINE_DAYS), timedelta(days=foretell.RESETS_DAYS)
        recent = days.where(f.col("date") >= f.lit(extent.days[0] - reach))
        machines = foretell.with_facts(machines, known, recent).localCheckpoint()
        first_day = foretell.first_day(machines)
        if first_day is None:
            return
        near = self.lake.read(PARTIALS).where(f.col("date") >= f.lit(first_day - timedelta(days=foretell.REACH_DAYS)))
        found = foretell.judge(
            machines,
            near,
            days.where(f.col("date") >= f.lit(first_day - reach)),
            models.shipped(),
            readings_an_hour=60 // self._interval,
            batch_id=self.batch_id,
        ).localCheckpoint()  # once, and kept: the days, which this depends on, change below
        within = f.col("old.date") >= f.lit(first_day)
        of_hours = found.where(f.col("predicted_at").isNotNull()).select(*PREDICTIONS.schema.names)
        of_days = found.where(f.col("predicted_at").isNull()).select(*MACHINE_DAYS.schema.names)
        self.lake.upsert(PREDICTIONS, of_hours, within)
        self.lake.upsert(MACHINE_DAYS, of_days, within)
        self.foretold = machines

    def _to_alarms(self, extent: Extent) -> None:
        """Judge machines anew from the first reading on that this batch wrote."""
        silver = self.lake.read(SILVER)
        if self.is_first:
            needed = alarms.readings_from_the_start(silver, self.lake.read(PREDICTIONS))
            self._keep_alarms(alarms.judge(needed, self._no_alarms(), self._rules(), self.batch_id))
        else:
            self._judge_alarms(silver, alarms.changed_since(silver.where(extent.around(0)), self.batch_id))

    def _rules(self) -> alarms.Rules:
        with transactions.job(self.job.database) as connection:
            return alarms.Rules(self.job.limits, publish_alarms.wanted_rules(connection))

    def _no_alarms(self) -> DataFrame:
        return self.spark.createDataFrame([], ALARMS.schema).select("*", f.lit(None).cast("timestamp").alias("since"))

    def _judge_alarms(self, silver: DataFrame, machines: DataFrame) -> None:
        if self.foretold is not None:
            machines = alarms.no_later(machines, self.foretold)
        known = alarms.with_known(machines, self.lake.read(ALARMS))
        machines = alarms.needed_from(machines, known).localCheckpoint()
        first_day = alarms.first_day(machines)
        of_those_days = f.col("date") >= f.lit(first_day)
        predictions = self.lake.read(PREDICTIONS).where(of_those_days)
        needed = alarms.readings(silver.where(of_those_days), predictions, machines)
        self._keep_alarms(alarms.judge(needed, known, self._rules(), self.batch_id))

    def _keep_alarms(self, found: DataFrame) -> None:
        # Computed once and kept: the table of alarms, which this depends on, changes below.
        self.alarms = found.localCheckpoint()
        episodes = self.alarms.where(f.col("rule").isNotNull())
        if not episodes.isEmpty():
            self.lake.upsert(ALARMS, episodes, f.lit(col=True), gone="gone")

    def _publish(self, extent: Extent | None) -> None:
        """Bring what this batch wrote into SQL, with the record of the batch, in one transaction."""
        job = self.job
        with transactions.job(job.database) as connection:
            publish.clear_staging(connection, self.batch_id)
        windows_staged = metrics_staged = predictions_staged = 0
        if self.alarms is not None:
            publish.stage(alarms.published(self.alarms), alert_history, job.database)
        if extent:
            hours = self.lake.read(PARTIALS).where(extent.around(0))
            metrics = daily_quality.metrics(hours, job.limits.quality.passing, self._interval, self.batch_id)
            changed = self.lake.read_batch(AGGREGATES, self.batch_id)
            windows_staged = publish.stage(changed, sensor_readings_agg, job.database)
            metrics_staged = publish.stage(metrics, data_quality_metrics, job.database)
            foretold = foretell.published(self.lake.read_batch(PREDICTIONS, self.batch_id))
            predictions_staged = publish.stage(foretold, ml_predictions, job.database)
        with transactions.job(job.database) as connection:
            summary = self.summary
            # Alerts before versions, in the order in which people's requests change them: neither waits for the other.
            if self.alarms is not None:
                summary.alerts_published = publish_alarms.merge(connection, self.batch_id, now=job.now)
            summary.windows_published = publish.merge(connection, sensor_readings_agg, self.batch_id, windows_staged)
            summary.quality_metrics_published = publish.merge(
                connection, data_quality_metrics, self.batch_id, metrics_staged
            )
            summary.predictions_published = publish.merge(connection, ml_predictions, self.batch_id, predictions_staged)
            publish.record(
                connection,
                batch_id=self.batch_id,
                run_id=job.run_id,
                now=job.now,
                version=job.version,
                summary=summary.as_json(),
            )


@contextmanager
def timed(job: Job, summary: Summary, stage: str) -> Generator[None]:
    """Show a stage while it works, and add the seconds it took."""
    began = monotonic()
    with job.progress.stage(stage):
        yield
    summary.seconds[stage] += monotonic() - began  # pyright: ignore[reportArgumentType]
