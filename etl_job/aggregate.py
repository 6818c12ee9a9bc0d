"""Silver to Gold, first half: hourly partials.

A partial holds n, mean, M2 (the sum of squared distances from the mean), min, max, first and last of each channel's
usable values in one hour. Partials of neighbouring hours merge exactly, so a window is never computed from readings.
Readings are added in the order of their timestamps, so the same readings always give the same bits.
"""

# Arrow's stubs leave its arrays untyped:
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeArgument=false, reportCallIssue=false
# pyright: reportArgumentType=false

from collections.abc import Iterator
from functools import reduce
from operator import add, or_
from typing import Any, Final

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as f

from etl_job.arrays import INSTANT, Groups, arrow_schema, or_null
from etl_job.delta_tables import CHANNELS, PARTIALS_SCHEMA
from shared_code.arrays import DAY_US, HOUR_US, Floats, Integers, codes, floats, integers
from shared_code.readings import COMPRESSOR, DIFFERENTIAL, ORGANIZATION, SENSOR_FIELDS, STUCK, TIMESTAMP

SUMMED: Final = ("suspect_readings", "clock_readings", "received_values", "usable_values")


def partials(silver: DataFrame, batch_id: str) -> DataFrame:
    """Return the hourly partials of Silver rows, which must be all there are of each hour."""

    def add_up(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        received = list(batches)
        if received:
            yield from hourly(pa.Table.from_batches(received), batch_id).to_batches(max_chunksize=10_000)

    return usable(silver).repartition(ORGANIZATION, COMPRESSOR).mapInArrow(add_up, PARTIALS_SCHEMA)


def usable(silver: DataFrame) -> DataFrame:
    """Return Silver rows with the values that statistics may use, and what there is to count."""
    doubted = reduce(or_, (f.col(f"{field}_flag").isNotNull() for field in SENSOR_FIELDS))
    clock = f.col("clock_flag").isNotNull()
    undoubted = (f.col(f"{field}_flag").isNull() & ~clock for field in SENSOR_FIELDS)
    return silver.select(
        ORGANIZATION,
        COMPRESSOR,
        TIMESTAMP,
        "delivered_at",
        *(usable_value(field).alias(field) for field in SENSOR_FIELDS),
        (doubted | clock).cast("int").alias("suspect_readings"),
        clock.cast("int").alias("clock_readings"),
        reduce(add, (f.col(field).isNotNull().cast("int") for field in SENSOR_FIELDS)).alias("received_values"),
        reduce(add, (is_usable.cast("int") for is_usable in undoubted)).alias("usable_values"),
    )


def usable_value(field: str) -> Column:
    """The value where neither it nor its instant is in doubt.

    A stuck value is doubted and counted, but it stays: a sensor held at the end of its range is how the worst
    failures look.
    """
    flag = f.col(f"{field}_flag")
    return f.when((flag.isNull() | (flag == STUCK)) & f.col("clock_flag").isNull(), f.col(field))


def hourly(readings: pa.Table, batch_id: str) -> pa.Table:
    """Return the partials of whole hours of readings, in any order, as `usable` gives them."""
    readings = readings.combine_chunks()
    machine, at = (
        codes(readings.column(ORGANIZATION), readings.column(COMPRESSOR)),
        integers(readings.column(TIMESTAMP)),
    )
    order = np.lexsort((at, machine))
    readings, machine, at = readings.take(pa.array(order)).combine_chunks(), machine[order], at[order]
    hours = Groups(machine, at // HOUR_US)
    opened = at[hours.first] // HOUR_US * HOUR_US
    columns: dict[str, Any] = {
        ORGANIZATION: readings.column(ORGANIZATION).take(pa.array(hours.first)),
        COMPRESSOR: readings.column(COMPRESSOR).take(pa.array(hours.first)),
        "hour": pa.array(opened, INSTANT),
        "date": pa.array((opened // DAY_US).astype(np.int32), pa.date32()),
        "reading_count": hours.sizes,
        **{name: hours.sum(integers(readings.column(name))) for name in SUMMED},
        "last_reading_at": pa.array(at[hours.last], INSTANT),
        "last_delivered_at": pa.array(hours.max(integers(readings.column("delivered_at"))), INSTANT),
        "batch_id": pa.repeat(batch_id, len(hours)),
    }
    values = {field: floats(readings.column(field)) for field in SENSOR_FIELDS}
    values[DIFFERENTIAL] = values["discharge_pressure_psi"] - values["suction_pressure_psi"]
    for channel in CHANNELS:
        for part, column in moments(values[channel], at, hours).items():
            columns[f"{channel}_{part}"] = column
    return pa.table({name: columns[name] for name in PARTIALS_SCHEMA.names}).cast(arrow_schema(PARTIALS_SCHEMA))


def moments(values: Floats, at: Integers, hours: Groups) -> dict[str, Any]:
    """Return n, mean, M2, min, max, first and last of each hour's values; NaN stands for none."""
    there = ~np.isnan(values)
    n = hours.sum(there.astype(np.int64))
    empty = n == 0
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = hours.sum(np.where(there, values, 0.0)) / n
    distance = np.where(there, values - mean[hours.of], 0.0)
    place = np.arange(len(values))
    first = np.where(empty, 0, hours.min(np.where(there, place, len(values))))
    last = np.where(empty, 0, hours.max(np.where(there, place, -1)))
    return {
        "n": n,
        "mean": or_null(mean),
        "m2": or_null(np.where(empty, np.nan, hours.sum(distance * distance))),
        "min": or_null(np.where(empty, np.nan, hours.min(np.where(there, values, np.inf)))),
        "max": or_null(np.where(empty, np.nan, hours.max(np.where(there, values, -np.inf)))),
        "first": or_null(np.where(empty, np.nan, values[first])),
        "first_at": pa.array(at[first], INSTANT, mask=empty),
        "last": or_null(np.where(empty, np.nan, values[last])),
        "last_at": pa.array(at[last], INSTANT, mask=empty),
    }
