"""Doubts about readings, each a named rule from columns to a column.

A doubt is written beside the value as a flag; the value stays as it arrived. A flagged value is left out of the
aggregates and counted. Every rule is a function of the set of readings of the machine around the reading, so the
order in which they arrived changes nothing.
"""

from collections.abc import Mapping
from math import pi, sqrt
from typing import Final

from pyspark.sql import Column, DataFrame, Window, WindowSpec
from pyspark.sql import functions as f

from shared_code.readings import COMPRESSOR, OPERATING_HOURS, ORGANIZATION, SENSOR_FIELDS, TIMESTAMP
from shared_code.thresholds import SensorLimits, Thresholds

VALUE_FLAGS: Final = ("not_a_number", "missing", "not_finite", "implausible", "spike")
CLOCK_FLAG: Final = "clock"

MEAN_ABSOLUTE_TO_SIGMA: Final = sqrt(pi / 2)
"""A normal variable's standard deviation over its mean absolute value."""


# Every window has the machine first and then the day, so that one sort serves them all.


def machine() -> WindowSpec:
    """Return the window of a machine's rows."""
    return Window.partitionBy(ORGANIZATION, COMPRESSOR)


def in_time() -> WindowSpec:
    """Return the window of a machine's readings in the order of their timestamps."""
    return machine().orderBy("date", TIMESTAMP)


def its_day() -> WindowSpec:
    """Return the window of a machine's readings of one UTC day."""
    return Window.partitionBy(ORGANIZATION, COMPRESSOR, "date")


def not_a_number(field: str, unparsed_fields: Column) -> Column:
    """Whether the gateway sent text that is no number."""
    return f.array_contains(unparsed_fields, field)


def not_finite(value: Column) -> Column:
    """Whether a value is NaN or infinite."""
    return f.isnan(value) | (f.abs(value) == f.lit(float("inf")))


def implausible(value: Column, limits: SensorLimits) -> Column:
    """Whether a value lies outside what a working sensor can say."""
    low, high = limits.plausible
    return ~value.between(low, high)


def unusable(field: str, limits: SensorLimits) -> Column:
    """Name what is wrong with a value by itself; NULL where nothing is."""
    value = f.col(field)
    return (
        f.when(not_a_number(field, f.col("unparsed_fields")), "not_a_number")
        .when(value.isNull(), "missing")
        .when(not_finite(value), "not_finite")
        .when(implausible(value, limits), "implausible")
    )


def residual(before: Column, value: Column, after: Column) -> Column:
    """How far a value lies from the middle of its neighbours; NULL where one of the three is missing."""
    return value - (before + after) / 2


def in_warning(value: Column, limits: SensorLimits) -> Column:
    """Whether a value is beyond a warning limit."""
    above = value > limits.warning_above if limits.warning_above is not None else f.lit(col=False)
    below = value < limits.warning_below if limits.warning_below is not None else f.lit(col=False)
    return above | below


def isolated_spike(
    before: Column, value: Column, after: Column, *, sigma: Column, sigmas: float, limits: SensorLimits
) -> Column:
    """Whether one reading jumps away and the next is back.

    Neighbours that differ from each other are a shift, and neighbours in warning are a machine in trouble: neither
    is ever a spike.
    """
    fence = f.lit(sigmas) * sigma
    return (
        (f.abs(residual(before, value, after)) > fence)
        & (f.abs(before - after) <= fence)
        & ~in_warning(before, limits)
        & ~in_warning(after, limits)
    )


def clock_offset() -> Column:
    """Hours between the wall clock and the machine's running-hours counter.

    The counter never runs faster than time, so with a right clock this never falls.
    """
    return f.unix_micros(TIMESTAMP) / f.lit(3.6e9) - f.col(OPERATING_HOURS)


def flag(readings: DataFrame, limits: Thresholds) -> DataFrame:
    """Add the flag columns of Silver.

    Args:
        readings: one row a machine and timestamp, with `date` and `unparsed_fields`; all readings of each day, and
            those next to it, must be there.
        limits: from `config/thresholds.yaml`.

    Returns:
        The readings with `<sensor>_flag` and `clock_flag`.
    """
    own = readings.columns
    return (
        readings.select(*own, *_by_itself(limits.sensors), clock_offset().alias("offset"))
        .select("*", *_neighbours(limits), f.median("offset").over(its_day()).alias("usual_offset"))
        .select("*", *_spread(), *_agreeing_span(limits))
        .select(*own, *(_value_flag(field, limits) for field in SENSOR_FIELDS), _clock_flag(limits))
    )


def _by_itself(sensors: Mapping[str, SensorLimits]) -> list[Column]:
    return [unusable(field, sensors[field]).alias(f"{field}_fault") for field in SENSOR_FIELDS]


def _usable(field: str) -> Column:
    return f.when(f.col(f"{field}_fault").isNull(), f.col(field))


def _neighbours(limits: Thresholds) -> list[Column]:
    near = limits.quality.spike_neighbour_minutes * 60_000_000
    now = f.unix_micros(TIMESTAMP)
    close_before = now - f.lag(now).over(in_time()) <= near
    close_after = f.lead(now).over(in_time()) - now <= near
    return [
        column
        for field in SENSOR_FIELDS
        for column in (
            f.when(close_before, f.lag(_usable(field)).over(in_time())).alias(f"{field}_before"),
            f.when(close_after, f.lead(_usable(field)).over(in_time())).alias(f"{field}_after"),
        )
    ]


def _own_residual(field: str) -> Column:
    return residual(f.col(f"{field}_before"), _usable(field), f.col(f"{field}_after"))


def _spread() -> list[Column]:
    return [
        column
        for field in SENSOR_FIELDS
        for column in (
            f.avg(f.abs(_own_residual(field))).over(its_day()).alias(f"{field}_spread"),
            f.count(_own_residual(field)).over(its_day()).alias(f"{field}_compared"),
        )
    ]


def _agrees(limits: Thresholds) -> Column:
    return f.abs(f.col("offset") - f.col("usual_offset")) <= limits.quality.clock_disagreement_hours


def _agreeing_span(limits: Thresholds) -> list[Column]:
    agreed_at = f.when(_agrees(limits), f.col(TIMESTAMP))
    return [
        f.min(agreed_at).over(its_day()).alias("agreed_from"),
        f.max(agreed_at).over(its_day()).alias("agreed_until"),
    ]


def _value_flag(field: str, limits: Thresholds) -> Column:
    sensor, quality = limits.sensors[field], limits.quality
    sigma = f.greatest(f.col(f"{field}_spread") * MEAN_ABSOLUTE_TO_SIGMA, f.lit(sensor.noise_floor))
    spike = isolated_spike(
        f.col(f"{field}_before"),
        _usable(field),
        f.col(f"{field}_after"),
        sigma=sigma,
        sigmas=quality.spike_sigmas,
        limits=sensor,
    )
    enough = f.col(f"{field}_compared") >= quality.spike_min_readings
    return f.coalesce(f.col(f"{field}_fault"), f.when(enough & spike, "spike")).alias(f"{field}_flag")


def _clock_flag(limits: Thresholds) -> Column:
    """A reading that disagrees, between readings that agree: a counter cannot do that, so the stamp is wrong."""
    between = (f.col(TIMESTAMP) > f.col("agreed_from")) & (f.col(TIMESTAMP) < f.col("agreed_until"))
    return f.when(~_agrees(limits) & between, CLOCK_FLAG).alias("clock_flag")
