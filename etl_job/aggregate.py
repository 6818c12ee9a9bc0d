"""Silver to Gold, first half: hourly partials.

A partial holds n, mean, M2 (the sum of squared distances from the mean), min, max, first and last of each channel's
usable values in one hour. Partials of neighbouring hours merge exactly, so a window is never computed from readings.
"""

from functools import reduce
from operator import add
from typing import Final

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as f

from etl_job.delta_tables import CHANNELS, PARTIALS_SCHEMA
from shared_code.readings import COMPRESSOR, ORGANIZATION, SENSOR_FIELDS, TIMESTAMP

DIFFERENTIAL: Final = "pressure_differential"


def partials(silver: DataFrame, batch_id: str) -> DataFrame:
    """Return the hourly partials of Silver rows, which must be all there are of each hour."""
    doubted = reduce(Column.__or__, (f.col(f"{field}_flag").isNotNull() for field in SENSOR_FIELDS))
    values = silver.select(
        ORGANIZATION,
        COMPRESSOR,
        f.date_trunc("hour", f.col(TIMESTAMP)).alias("hour"),
        "date",
        TIMESTAMP,
        "delivered_at",
        *(_usable(field).alias(field) for field in SENSOR_FIELDS),
        (_usable("discharge_pressure_psi") - _usable("suction_pressure_psi")).alias(DIFFERENTIAL),
        (doubted | f.col("clock_flag").isNotNull()).alias("suspect"),
        f.col("clock_flag").isNotNull().alias("clock"),
        reduce(add, (f.col(field).isNotNull().cast("int") for field in SENSOR_FIELDS)).alias("received"),
    )
    moments = [column for channel in CHANNELS for column in _moments(channel)]
    counts = [
        f.count("*").cast("int").alias("reading_count"),
        f.count_if("suspect").cast("int").alias("suspect_readings"),
        f.count_if("clock").cast("int").alias("clock_readings"),
        f.sum("received").cast("int").alias("received_values"),
        reduce(add, (f.count(field) for field in SENSOR_FIELDS)).cast("int").alias("usable_values"),
        f.max(TIMESTAMP).alias("last_reading_at"),
        f.max("delivered_at").alias("last_delivered_at"),
        f.lit(batch_id).alias("batch_id"),
    ]
    return (
        values.groupBy(ORGANIZATION, COMPRESSOR, "hour", "date").agg(*moments, *counts).select(*PARTIALS_SCHEMA.names)
    )


def _usable(field: str) -> Column:
    """The value where neither it nor its instant is in doubt."""
    return f.when(f.col(f"{field}_flag").isNull() & f.col("clock_flag").isNull(), f.col(field))


def _moments(channel: str) -> list[Column]:
    value = f.col(channel)
    at = f.when(value.isNotNull(), f.col(TIMESTAMP))
    columns = {
        "n": f.count(value).cast("int"),
        "mean": f.avg(value),
        "m2": f.var_pop(value) * f.count(value),
        "min": f.min(value),
        "max": f.max(value),
        "first": f.min_by(value, at),
        "first_at": f.min(at),
        "last": f.max_by(value, at),
        "last_at": f.max(at),
    }
    return [column.alias(f"{channel}_{part}") for part, column in columns.items()]
