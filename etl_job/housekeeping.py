"""What keeps the lake quick and small: files put together, those no longer needed removed, old readings let go."""

from typing import Final

from delta.tables import DeltaTable
from pyspark.sql import SparkSession

from etl_job.batch import Job, timed
from etl_job.delta_tables import (
    AGGREGATES,
    ALARMS,
    BRONZE,
    MACHINE_DAYS,
    PARTIALS,
    PREDICTIONS,
    QUARANTINE,
    SILVER,
    Lake,
)
from etl_job.ingest import SILVER_MARGIN
from etl_job.summary import Summary

TABLES: Final = (BRONZE, SILVER, PARTIALS, AGGREGATES, PREDICTIONS, MACHINE_DAYS, ALARMS, QUARANTINE)


def tidy(spark: SparkSession, job: Job) -> Summary:
    """Let old readings leave Silver, put small files together, remove files that nobody reads any more."""
    summary = Summary()
    lake = Lake(spark, job.lake)
    for layout in TABLES:
        if lake.exists(layout):
            with timed(job, summary, layout.folder):
                table = DeltaTable.forPath(spark, lake.path(layout))
                if layout is SILVER:
                    # As far back as a reading may still arrive, the days around it must be there to judge it by.
                    oldest = (job.settings.horizon(job.now) - SILVER_MARGIN).date()
                    table.delete(f"date < '{oldest}'")
                table.optimize().executeCompaction()
                table.vacuum(job.settings.delta_history_days * 24)
    return summary
