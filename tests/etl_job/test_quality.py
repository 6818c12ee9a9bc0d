from collections.abc import Sequence
from datetime import datetime
from math import inf, nan
from typing import Any

import pytest
from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as f
from pyspark.sql.types import ArrayType, DateType, DoubleType, StringType, StructField, StructType, TimestampType

from etl_job import quality
from shared_code.readings import SENSOR_FIELDS
from shared_code.thresholds import thresholds
from tests.factories.landing import HOUR, MINUTE, MONDAY, NORMAL

LIMITS = thresholds()
VIBRATION = LIMITS.sensors["vibration_mms"]
ROW = StructType(
    [
        StructField("organization_id", StringType()),
        StructField("compressor_id", StringType()),
        StructField("timestamp", TimestampType()),
        StructField("date", DateType()),
        *(StructField(field, DoubleType()) for field in SENSOR_FIELDS),
        StructField("operating_hours", DoubleType()),
        StructField("unparsed_fields", ArrayType(StringType())),
    ]
)
CALM = [3.0, 3.1, 2.9, 3.0, 3.2, 2.8]
"""An hour of vibration, mm/s."""


def ten_minutes_apart(count: int, start: datetime = MONDAY) -> list[datetime]:
    return [start + i * 10 * MINUTE for i in range(count)]


def flagged(
    spark: SparkSession,
    *,
    vibration: Sequence[float | None] | None = None,
    times: Sequence[datetime] | None = None,
    counter: Sequence[float | None] | None = None,
    unparsed: Sequence[str] = (),
    machines: Sequence[str] | None = None,
) -> list[dict[str, Any]]:
    """Flag readings of a machine that is well but for what is given; return them in the order given."""
    count = len(vibration or counter or times or [])
    times = times or ten_minutes_apart(count)
    rows = [
        (
            "org",
            machines[i] if machines else "COMP-001",
            times[i],
            times[i].date(),
            *(usual for usual, _ in NORMAL.values()),
            counter[i] if counter else 20_000 + (times[i] - MONDAY) / HOUR,
            list(unparsed),
        )
        for i in range(count)
    ]
    if vibration is not None:
        rows = [(*row[:4], value, *row[5:]) for row, value in zip(rows, vibration, strict=True)]
    found = quality.flag(spark.createDataFrame(rows, ROW).coalesce(1), LIMITS).collect()
    by_key = {(row["compressor_id"], row["timestamp"]): row.asDict() for row in found}
    assert len(by_key) == len(found) == count
    return [by_key[row[1], row[2].astimezone().replace(tzinfo=None)] for row in rows]


def flags(rows: Sequence[dict[str, Any]], field: str = "vibration_mms_flag") -> list[str | None]:
    return [row[field] for row in rows]


def told(spark: SparkSession, rule: Column, values: Sequence[float | None]) -> list[bool | None]:
    return [row[0] for row in spark.createDataFrame([(v,) for v in values], "value double").select(rule).collect()]


def test_not_finite(spark: SparkSession) -> None:
    assert told(spark, quality.not_finite(f.col("value")), [3.0, nan, inf, -inf, None]) == [
        False,
        True,
        True,
        True,
        None,
    ]


def test_implausible_is_outside_what_a_working_sensor_can_say(spark: SparkSession) -> None:
    rule = quality.implausible(f.col("value"), VIBRATION)
    assert told(spark, rule, [0.0, 50.0, -0.001, 50.001, -999.0]) == [False, False, True, True, True]


def test_in_warning_is_beyond_a_limit_and_not_on_it(spark: SparkSession) -> None:
    vibration = quality.in_warning(f.col("value"), VIBRATION)
    suction = quality.in_warning(f.col("value"), LIMITS.sensors["suction_pressure_psi"])
    assert told(spark, vibration, [3.0, 6.0, 6.1]) == [False, False, True]
    assert told(spark, suction, [60.0, 30.0, 29.9]) == [False, False, True]


def test_each_fault_of_a_value_is_named_and_the_value_stays(spark: SparkSession) -> None:
    rows = flagged(spark, vibration=[3.0, None, nan, inf, -999.0, 1e6, 9.5])
    assert flags(rows) == [None, "missing", "not_finite", "not_finite", "implausible", "implausible", None]
    assert rows[4]["vibration_mms"] == -999.0


def test_text_that_is_no_number_is_told_from_a_missing_value(spark: SparkSession) -> None:
    (row,) = flagged(spark, vibration=[None], unparsed=["vibration_mms"])
    assert row["vibration_mms_flag"] == "not_a_number"
    assert row["gas_flow_mcf_flag"] is None


def test_a_fault_of_one_sensor_says_nothing_about_the_others(spark: SparkSession) -> None:
    (row,) = flagged(spark, vibration=[nan])
    assert [name for name, value in row.items() if name.endswith("_flag") and value] == ["vibration_mms_flag"]


def test_one_reading_that_jumps_away_and_back_is_a_spike(spark: SparkSession) -> None:
    rows = flagged(spark, vibration=[*CALM, *CALM, 12.0, *CALM])
    assert flags(rows) == [None] * 12 + ["spike"] + [None] * 6


def test_a_sustained_shift_is_never_a_spike(spark: SparkSession) -> None:
    levels = {"a little": 4.4, "warning": 7.0, "critical": 12.0, "extreme": 40.0}
    shifts = {f"{name}, and stays": CALM * 3 + [level] * 12 for name, level in levels.items()}
    shifts |= {f"{name}, twice": [*CALM * 3, level, level + 0.2, *CALM * 2] for name, level in levels.items()}
    rows = flagged(
        spark,
        vibration=[value for values in shifts.values() for value in values],
        times=[at for values in shifts.values() for at in ten_minutes_apart(len(values))],
        machines=[name for name, values in shifts.items() for _ in values],
    )
    assert [(row["compressor_id"], row["timestamp"]) for row in rows if row["vibration_mms_flag"]] == []


def test_a_failing_machine_is_no_outlier(spark: SparkSession) -> None:
    rising = [3.0 + 0.01 * i**2 for i in range(36)]
    assert max(rising) > 15
    assert set(flags(flagged(spark, vibration=rising))) == {None}


def test_a_peak_of_a_machine_in_warning_is_no_spike(spark: SparkSession) -> None:
    warning = [value + 3.5 for value in CALM]
    assert set(flags(flagged(spark, vibration=[*warning, *warning, 16.0, *warning]))) == {None}
    only_before = [*CALM, *CALM, 3.0, 6.4, 16.0, 5.9, *CALM]
    assert set(flags(flagged(spark, vibration=only_before))) == {None}


@pytest.mark.parametrize(("readings", "flag"), [(14, "spike"), (13, None)])
def test_twelve_comparisons_make_a_fence_and_fewer_do_not(spark: SparkSession, readings: int, flag: str | None) -> None:
    values = [*CALM, *CALM, *CALM][:readings]
    values[6] = 14.0
    assert flags(flagged(spark, vibration=values))[6] == flag


def test_readings_more_than_an_hour_apart_say_nothing_about_each_other(spark: SparkSession) -> None:
    values = [*CALM, *CALM, 12.0, *CALM, *CALM]
    times = [*ten_minutes_apart(12), MONDAY + 4 * HOUR, *ten_minutes_apart(12, MONDAY + 6 * HOUR)]
    assert set(flags(flagged(spark, vibration=values, times=times))) == {None}


@pytest.mark.parametrize("place", [71, 72], ids=["last of the day", "first of the next"])
def test_a_spike_at_midnight_is_seen_from_both_days(spark: SparkSession, place: int) -> None:
    values = CALM * 24
    values[place] = 12.0
    rows = flagged(spark, vibration=values, times=ten_minutes_apart(len(values), MONDAY + 12 * HOUR))
    assert [place for place, flag in enumerate(flags(rows)) if flag] == [place]


def test_a_value_in_doubt_is_no_neighbour(spark: SparkSession) -> None:
    rows = flagged(spark, vibration=[*CALM, *CALM, -999.0, 12.0, *CALM])
    assert flags(rows) == [None] * 12 + ["implausible"] + [None] * 7


def test_another_machine_is_no_neighbour(spark: SparkSession) -> None:
    values = [*CALM, *CALM, *CALM, 12.0, *CALM, *CALM, *CALM]
    machines = ["COMP-001"] * 18 + ["COMP-002"] + ["COMP-001"] * 18
    assert set(flags(flagged(spark, vibration=values, machines=machines))) == {None}


def test_the_order_of_arrival_changes_no_flag(spark: SparkSession) -> None:
    values = [*CALM, *CALM, 12.0, *CALM]
    times = ten_minutes_apart(len(values))
    backwards = flagged(spark, vibration=values[::-1], times=times[::-1])
    assert flags(backwards)[::-1] == flags(flagged(spark, vibration=values, times=times))


def counting(times: Sequence[datetime]) -> list[float]:
    return [20_000 + (at - MONDAY) / HOUR for at in times]


@pytest.mark.parametrize("hours_off", [9, -9])
def test_readings_stamped_nine_hours_off_amid_a_day_are_flagged(spark: SparkSession, hours_off: int) -> None:
    taken = ten_minutes_apart(144)
    wrong = range(66, 72)
    stamped = [at + hours_off * HOUR + MINUTE if i in wrong else at for i, at in enumerate(taken)]
    rows = flagged(spark, times=stamped, counter=counting(taken))
    assert [i for i, flag in enumerate(flags(rows, "clock_flag")) if flag] == list(wrong)
    assert {flag for flag in flags(rows, "clock_flag") if flag} == {"clock"}


def test_a_stop_of_five_hours_is_no_wrong_clock(spark: SparkSession) -> None:
    def counter(at: datetime, stop_at: int) -> float:
        ran = (at - MONDAY) / HOUR
        return 20_000.0 + min(ran, stop_at) + max(ran - stop_at - 5, 0)

    heard = [(f"stops at {hour}", at, counter(at, hour)) for hour in (3, 10, 12, 17) for at in ten_minutes_apart(144)]
    unheard = [
        (f"silent at {hour}", at, counter(at, hour))
        for hour in (3, 10, 12, 17)
        for at in ten_minutes_apart(144)
        if not hour < (at - MONDAY) / HOUR < hour + 5
    ]
    machines, times, counters = zip(*heard, *unheard, strict=True)
    rows = flagged(spark, times=times, counter=counters, machines=machines)
    assert [(row["compressor_id"], row["timestamp"]) for row in rows if row["clock_flag"]] == []


def test_a_missing_counter_says_nothing_about_the_clock(spark: SparkSession) -> None:
    rows = flagged(spark, counter=[20_000.0, None, 20_000.3, None, 20_000.7])
    assert set(flags(rows, "clock_flag")) == {None}
