"""How good a machine's data of one UTC day is: freshness, completeness, consistency, accuracy."""

from typing import Final

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as f

from shared_code.readings import COMPRESSOR, ORGANIZATION
from shared_code.thresholds import PassLimits

PUBLISHED: Final = (
    ORGANIZATION,
    COMPRESSOR,
    "metric_type",
    "metric_timestamp",
    "metric_value",
    "pass_threshold",
    "passed",
    "details",
    "batch_id",
)


def metrics(hours: DataFrame, limits: PassLimits, reading_interval_minutes: int, batch_id: str) -> DataFrame:
    """Return four metrics for each machine and day that a batch touched.

    | metric | value |
    |---|---|
    | completeness | readings received of those expected so far, 0 to 1 |
    | consistency | readings whose clock is not in doubt, of those received |
    | accuracy | usable sensor values of those received |
    | freshness | minutes from the day's last reading to the end of what is known of the day |

    What is known of a day ends with the day, or with the last delivery before that.

    Args:
        hours: partials, all there are of each day.
        limits: what a day must reach.
        reading_interval_minutes: how often a machine is read.
        batch_id: days without a partial that this batch wrote are left out.
    """
    minute = f.lit(60)
    day_start = f.unix_seconds(f.col("date").cast("timestamp"))
    days = (
        hours.groupBy(ORGANIZATION, COMPRESSOR, "date")
        .agg(
            f.sum("reading_count").alias("readings"),
            f.sum("clock_readings").alias("clock"),
            f.sum("received_values").alias("received"),
            f.sum("usable_values").alias("usable"),
            f.unix_seconds(f.max("last_reading_at")).alias("last_reading"),
            f.unix_seconds(f.max("last_delivered_at")).alias("last_delivery"),
            f.max(f.col("batch_id") == batch_id).alias("touched"),
        )
        .where("touched")
        .select("*", f.least(day_start + 86_400, f.greatest("last_delivery", "last_reading")).alias("known_until"))
        .select(
            "*",
            f.greatest(
                f.col("readings"), f.floor((f.col("known_until") - day_start) / (minute * reading_interval_minutes))
            ).alias("expected"),
        )
    )
    values = {
        "completeness": (f.col("readings") / f.col("expected"), limits.completeness, True),
        "consistency": (1 - f.col("clock") / f.col("readings"), limits.consistency, True),
        "accuracy": (_share(f.col("usable"), f.col("received")), limits.accuracy, True),
        "freshness": ((f.col("known_until") - f.col("last_reading")) / minute, limits.freshness_minutes, False),
    }
    rows = [_row(name, value, limit, at_least) for name, (value, limit, at_least) in values.items()]
    details = f.to_json(f.struct("readings", "expected", "received", "usable", "clock")).alias("details")
    end = f.timestamp_seconds(day_start + 86_400).alias("metric_timestamp")
    return days.select(
        ORGANIZATION, COMPRESSOR, end, details, f.lit(batch_id).alias("batch_id"), f.inline(f.array(*rows))
    ).select(*PUBLISHED)


def _share(part: Column, whole: Column) -> Column:
    return f.when(whole > 0, part / whole).otherwise(0.0)


def _row(name: str, value: Column, limit: float, at_least: bool) -> Column:  # noqa: FBT001 - read in one table above
    passed = value >= limit if at_least else value <= limit
    return f.struct(
        f.lit(name).alias("metric_type"),
        value.cast("double").alias("metric_value"),
        f.lit(float(limit)).alias("pass_threshold"),
        passed.alias("passed"),
    )
