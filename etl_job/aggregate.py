"""Silver to Gold: hourly partials, and the 1 h, 4 h and 24 h windows merged from them.

A partial holds n, mean, M2 (the sum of squared distances from the mean), min, max, first and last of each channel's
usable values in one hour. Partials of neighbouring hours merge exactly, so a window is never computed from readings.
"""

from collections.abc import Mapping
from functools import reduce
from operator import add, or_
from typing import Final

from pyspark.sql import Column, DataFrame, WindowSpec
from pyspark.sql import functions as f

from etl_job.delta_tables import AGGREGATES_SCHEMA, CHANNELS, PARTIALS_SCHEMA
from etl_job.quality import machine
from shared_code.readings import COMPRESSOR, ORGANIZATION, SENSOR_FIELDS, TIMESTAMP
from shared_code.thresholds import Limits, Thresholds

HOURS: Final[Mapping[str, int]] = {"1hr": 1, "4hr": 4, "24hr": 24}
DIFFERENTIAL: Final = "pressure_differential"

PUBLISHED_AS: Final[Mapping[str, str]] = {
    "vibration": "vibration_mms",
    "discharge_temp": "discharge_temp_f",
    "suction_pressure": "suction_pressure_psi",
    "discharge_pressure": "discharge_pressure_psi",
    "pressure_delta": DIFFERENTIAL,
    "horsepower": "horsepower_consumption",
    "gas_flow": "gas_flow_mcf",
}
"""Prefix of the published columns -> channel."""

ROUNDING: Final = 1e-14
"""A sum of squares this small beside what it was taken from is rounding: the values were all the same."""


def partials(silver: DataFrame, batch_id: str) -> DataFrame:
    """Return the hourly partials of Silver rows, which must be all there are of each hour."""
    doubted = reduce(or_, (f.col(f"{field}_flag").isNotNull() for field in SENSOR_FIELDS))
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
    return values.groupBy(ORGANIZATION, COMPRESSOR, "hour", "date").agg(*moments, *counts).select(*PARTIALS_SCHEMA.names)


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


def windows(hours: DataFrame, limits: Thresholds, reading_interval_minutes: int, batch_id: str) -> DataFrame:
    """Return the windows that a batch changed.

    Args:
        hours: partials; all that any of those windows contains, some of them written by the batch.
        limits: normal ranges, whose middles keep merged sums of squares exact.
        reading_interval_minutes: how often a machine is read, to tell how many readings are missing.
        batch_id: windows without a partial that this batch wrote are left out.

    Returns:
        A row a machine, window type and hour with readings; the window ends with that hour and is half-open.
    """
    merged = hours.select(
        ORGANIZATION,
        COMPRESSOR,
        "hour",
        *(
            column
            for window_type, length in HOURS.items()
            for column in _window_columns(_frame(length), window_type, limits, reading_interval_minutes, batch_id)
        ),
    )
    return merged.select(
        ORGANIZATION,
        COMPRESSOR,
        f.inline(f.array(*(_as_row(window_type) for window_type in HOURS))),
    ).where("touched").select(*(f.lit(batch_id).alias(n) if n == "batch_id" else f.col(n) for n in AGGREGATES_SCHEMA.names))


def _frame(length: int) -> WindowSpec:
    """The machine's hours from `length - 1` before up to this one, whatever hours are missing in between."""
    return machine().orderBy(f.unix_seconds("hour")).rangeBetween(-(length - 1) * 3600, 0)


def _window_columns(
    frame: WindowSpec, window_type: str, limits: Thresholds, reading_interval_minutes: int, batch_id: str
) -> list[Column]:
    length = HOURS[window_type]
    readings = f.sum("reading_count").over(frame).cast("int")
    expected = length * 60 // reading_interval_minutes
    columns = {
        **{name: _statistic(name, frame, limits) for name in AGGREGATES_SCHEMA.names if _channel_of(name)},
        "reading_count": readings,
        "missing_readings": f.greatest(f.lit(expected) - readings, f.lit(0)),
        "suspect_readings": f.sum("suspect_readings").over(frame).cast("int"),
        "touched": f.max(f.col("batch_id") == batch_id).over(frame),
    }
    return [column.alias(f"{name}@{window_type}") for name, column in columns.items()]


def _as_row(window_type: str) -> Column:
    end = f.col("hour") + f.expr("INTERVAL 1 HOUR")
    given = {"window_type": f.lit(window_type), "agg_timestamp": end, "date": f.to_date(end)}
    names = [name for name in AGGREGATES_SCHEMA.names if name not in {ORGANIZATION, COMPRESSOR, "batch_id"}]
    columns = [given.get(name, f.col(f"`{name}@{window_type}`")).alias(name) for name in (*names, "touched")]
    return f.struct(*columns)


def _channel_of(published: str) -> str | None:
    for prefix, channel in PUBLISHED_AS.items():
        if published.startswith(f"{prefix}_"):
            return channel
    return None


def _statistic(published: str, frame: WindowSpec, limits: Thresholds) -> Column:
    """Return one published column of one window."""
    prefix = next(prefix for prefix in PUBLISHED_AS if published.startswith(f"{prefix}_"))
    channel = PUBLISHED_AS[prefix]
    statistic = published.removeprefix(f"{prefix}_")
    if statistic == "min":
        return f.min(f"{channel}_min").over(frame)
    if statistic == "max":
        return f.max(f"{channel}_max").over(frame)
    if statistic == "rate_of_change":
        return _rate_per_hour(channel, frame)
    return _mean_or_deviation(channel, statistic, frame, _anchor(channel, limits))


def _mean_or_deviation(channel: str, statistic: str, frame: WindowSpec, anchor: float) -> Column:
    """Merge means and M2 about an anchor near the values, so that little is lost in taking the difference."""
    n, mean, m2 = (f.col(f"{channel}_{part}") for part in ("n", "mean", "m2"))
    away = mean - anchor
    count = f.sum(n).over(frame)
    total = f.sum(n * away).over(frame)
    if statistic == "mean":
        return f.when(count > 0, anchor + total / count)
    squares = f.sum(m2 + n * away * away).over(frame)
    within = squares - total * total / count
    exact = f.when(within > squares * ROUNDING, within).otherwise(0.0)
    return f.when(count > 1, f.sqrt(exact / (count - 1)))


def _rate_per_hour(channel: str, frame: WindowSpec) -> Column:
    """Change from the first to the last usable value over the time between them, per hour."""
    first, last = (f.first(f"{channel}_first", ignorenulls=True), f.last(f"{channel}_last", ignorenulls=True))
    began, ended = f.min(f"{channel}_first_at"), f.max(f"{channel}_last_at")
    hours = (f.unix_micros(ended.over(frame)) - f.unix_micros(began.over(frame))) / f.lit(3.6e9)
    return f.when(hours > 0, (last.over(frame) - first.over(frame)) / hours)


def _anchor(channel: str, limits: Thresholds) -> float:
    known: Mapping[str, Limits] = {**limits.sensors, **limits.derived}
    low, high = known[channel].normal or (0.0, 0.0)
    return (low + high) / 2
