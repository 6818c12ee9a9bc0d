# What Arrow's stubs leave open.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
import math
import statistics
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from itertools import groupby
from math import nan
from random import Random
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl_job.aggregate import SUMMED, hourly
from etl_job.arrays import INSTANT, arrow_schema
from etl_job.delta_tables import CHANNELS, PARTIALS_SCHEMA
from shared_code.readings import SENSOR_FIELDS
from tests.factories.landing import HOUR, MINUTE, MONDAY

Row = dict[str, Any]
READINGS = pa.schema(
    [
        pa.field("organization_id", pa.string()),
        pa.field("compressor_id", pa.string()),
        pa.field("timestamp", INSTANT),
        pa.field("delivered_at", INSTANT),
        *(pa.field(field, pa.float64()) for field in SENSOR_FIELDS),
        *(pa.field(name, pa.int32()) for name in SUMMED),
    ]
)
PARTS = ("n", "mean", "m2", "min", "max", "first", "first_at", "last", "last_at")
NOTHING = dict.fromkeys(PARTS) | {"n": 0}


def reading(at: datetime = MONDAY, **columns: object) -> Row:
    """Return a reading as `usable` gives it; what is not given is not there."""
    made: Row = dict.fromkeys(SENSOR_FIELDS) | dict.fromkeys(SUMMED, 0)
    made |= {"organization_id": "org-1", "compressor_id": "COMP-001", "timestamp": at, "delivered_at": at + HOUR}
    return made | columns


def vibrations(values: Sequence[float | None], start: datetime = MONDAY) -> list[Row]:
    """Return readings ten minutes apart."""
    return [reading(start + place * 10 * MINUTE, vibration_mms=value) for place, value in enumerate(values)]


def partials(rows: Sequence[Row]) -> list[Row]:
    """Return partials by machine and hour."""
    found = hourly(pa.Table.from_pylist(rows, READINGS), "now")
    assert found.schema.equals(arrow_schema(PARTIALS_SCHEMA))
    return sorted(found.to_pylist(), key=lambda row: (row["organization_id"], row["compressor_id"], row["hour"]))


def parts(partial: Row, channel: str = "vibration_mms") -> Row:
    return {part: partial[f"{channel}_{part}"] for part in PARTS}


def test_an_hour_is_summed_up_in_nine_figures() -> None:
    (hour,) = partials(vibrations([2.0, 9.0, 4.0]))
    assert parts(hour) == {
        "n": 3,
        "mean": 5.0,
        "m2": 9.0 + 16.0 + 1.0,
        "min": 2.0,
        "max": 9.0,
        "first": 2.0,
        "first_at": MONDAY,
        "last": 4.0,
        "last_at": MONDAY + 20 * MINUTE,
    }


def test_an_hour_says_whose_and_when_it_is() -> None:
    (hour,) = partials([reading(MONDAY + 23 * HOUR + 50 * MINUTE)])
    known = ("organization_id", "compressor_id", "hour", "date", "batch_id", "reading_count")
    assert [hour[name] for name in known] == ["org-1", "COMP-001", MONDAY + 23 * HOUR, date(2026, 1, 5), "now", 1]


def test_null_and_nan_are_not_there() -> None:
    (hour,) = partials(vibrations([None, 2.0, nan, 4.0, None]))
    found = parts(hour)
    assert (hour["reading_count"], found["n"], found["mean"], found["m2"]) == (5, 2, 3.0, 2.0)
    assert (found["first"], found["first_at"]) == (2.0, MONDAY + 10 * MINUTE)
    assert (found["last"], found["last_at"]) == (4.0, MONDAY + 30 * MINUTE)


@pytest.mark.parametrize("nothing", [None, nan])
def test_an_hour_without_a_usable_value_is_counted_and_has_no_figures(nothing: float | None) -> None:
    hours = partials(vibrations([2.0] * 6 + [nothing] * 3 + [None] * 3 + [4.0]))
    assert [hour["reading_count"] for hour in hours] == [6, 6, 1]
    assert [hour["vibration_mms_mean"] for hour in hours] == [2.0, None, 4.0]
    assert parts(hours[1]) == NOTHING


def test_one_value_has_no_spread() -> None:
    (hour,) = partials(vibrations([None, 2.5]))
    assert (hour["vibration_mms_mean"], hour["vibration_mms_m2"]) == (2.5, 0.0)


def test_first_and_last_go_by_the_clock_and_not_by_arrival() -> None:
    (hour,) = partials(vibrations([2.0, 9.0, 4.0])[::-1])
    assert (hour["vibration_mms_first"], hour["vibration_mms_last"]) == (2.0, 4.0)


def test_an_hour_holds_its_first_instant_and_not_its_last() -> None:
    microsecond = timedelta(microseconds=1)
    instants = [MONDAY - microsecond, MONDAY, MONDAY + HOUR - microsecond, MONDAY + HOUR]
    hours = partials([reading(at, vibration_mms=float(place)) for place, at in enumerate(instants)])
    assert [(hour["hour"], hour["date"], hour["reading_count"]) for hour in hours] == [
        (MONDAY - HOUR, date(2026, 1, 4), 1),
        (MONDAY, date(2026, 1, 5), 2),
        (MONDAY + HOUR, date(2026, 1, 5), 1),
    ]
    assert (hours[1]["vibration_mms_first_at"], hours[1]["vibration_mms_last_at"]) == (instants[1], instants[2])


def test_the_differential_is_taken_where_both_pressures_are_there() -> None:
    pressures = [(1050.0, 60.0), (1040.0, None), (None, 50.0), (nan, 50.0), (1000.0, 70.0)]
    rows = [
        reading(MONDAY + place * MINUTE, discharge_pressure_psi=discharge, suction_pressure_psi=suction)
        for place, (discharge, suction) in enumerate(pressures)
    ]
    (hour,) = partials(rows)
    found = parts(hour, "pressure_differential")
    assert (found["n"], found["mean"], found["min"], found["max"]) == (2, 960.0, 930.0, 990.0)
    assert (found["first_at"], found["last_at"]) == (MONDAY, MONDAY + 4 * MINUTE)


def test_without_a_pair_of_pressures_there_is_no_differential() -> None:
    rows = [reading(discharge_pressure_psi=1050.0), reading(MONDAY + MINUTE, suction_pressure_psi=60.0)]
    (hour,) = partials(rows)
    assert parts(hour, "pressure_differential") == NOTHING


def test_each_count_is_summed_for_itself() -> None:
    marks = [dict(zip(SUMMED, counts, strict=True)) for counts in ((1, 0, 6, 5), (1, 1, 5, 0), (0, 0, 6, 6))]
    (hour,) = partials([reading(MONDAY + place * MINUTE, **mark) for place, mark in enumerate(marks)])
    assert [hour[name] for name in SUMMED] == [2, 1, 17, 11]


def test_the_last_delivery_need_not_be_the_last_reading() -> None:
    late = reading(MONDAY, delivered_at=MONDAY + 5 * HOUR)
    (hour,) = partials([late, reading(MONDAY + MINUTE, delivered_at=MONDAY + HOUR)])
    assert (hour["last_reading_at"], hour["last_delivered_at"]) == (MONDAY + MINUTE, MONDAY + 5 * HOUR)


def test_machines_of_one_name_never_mix() -> None:
    owners = [("org-1", "COMP-001"), ("org-1", "COMP-002"), ("org-2", "COMP-001")]
    rows = [
        {**row, "organization_id": organization, "compressor_id": machine}
        for value, (organization, machine) in enumerate(owners)
        for row in vibrations([float(value)] * 7)
    ]
    found = {(hour["organization_id"], hour["compressor_id"], hour["hour"]): hour for hour in partials(rows)}
    assert {key: (hour["reading_count"], hour["vibration_mms_mean"]) for key, hour in found.items()} == {
        (*owner, MONDAY + later): (count, float(value))
        for value, owner in enumerate(owners)
        for later, count in ((0 * HOUR, 6), (HOUR, 1))
    }


def test_a_small_spread_about_a_large_mean_is_not_lost() -> None:
    (hour,) = partials(vibrations([1e6 + step * 1e-3 for step in (0, 1, 0, 1, 0, 1)]))
    assert hour["vibration_mms_m2"] == pytest.approx(6 * 0.5e-3**2, rel=1e-6)


OWNERS = [("org-1", "COMP-001"), ("org-1", "COMP-002"), ("org-2", "COMP-001")]


@st.composite
def fleets(draw: st.DrawFn) -> list[Row]:
    """Draw readings of a few machines in three hours across midnight, some values not there, in any order."""
    values = st.one_of(st.none(), st.just(nan), st.floats(-40, 20_000, width=32))
    slots = draw(st.sets(st.tuples(st.sampled_from(OWNERS), st.integers(0, 179)), min_size=1, max_size=40))
    return [
        reading(
            MONDAY - HOUR + minute * MINUTE,
            organization_id=organization,
            compressor_id=machine,
            delivered_at=MONDAY + draw(st.integers(3, 5)) * HOUR,
            **{field: draw(values) for field in SENSOR_FIELDS},
            **{name: draw(st.integers(0, 6)) for name in SUMMED},
        )
        for (organization, machine), minute in slots
    ]


def its_hour(row: Row) -> tuple[str, str, datetime]:
    hour = row["timestamp"].replace(minute=0, second=0, microsecond=0)
    return row["organization_id"], row["compressor_id"], hour


def value_of(row: Row, channel: str) -> float:
    """Return a channel's value, NaN where it is not there."""
    if channel == "pressure_differential":
        return value_of(row, "discharge_pressure_psi") - value_of(row, "suction_pressure_psi")
    return nan if row[channel] is None else row[channel]


def figures(rows: Sequence[Row], channel: str) -> Row:
    """Compute what there is to say of one hour's readings, in order, a value at a time."""
    there = [(row["timestamp"], value_of(row, channel)) for row in rows if not math.isnan(value_of(row, channel))]
    if not there:
        return NOTHING
    values = [value for _, value in there]
    (first_at, first), (last_at, last) = there[0], there[-1]
    return {
        "n": len(values),
        "mean": pytest.approx(statistics.fmean(values), rel=1e-9, abs=1e-9),
        "m2": pytest.approx(statistics.pvariance(values) * len(values), rel=1e-9, abs=1e-6),
        "min": min(values),
        "max": max(values),
        "first": first,
        "first_at": first_at,
        "last": last,
        "last_at": last_at,
    }


@given(fleets())
@settings(max_examples=60, deadline=None)
def test_partials_equal_a_recomputation_a_value_at_a_time(rows: list[Row]) -> None:
    ordered = sorted(rows, key=lambda row: (its_hour(row), row["timestamp"]))
    expected = {key: list(group) for key, group in groupby(ordered, its_hour)}
    found = {(hour["organization_id"], hour["compressor_id"], hour["hour"]): hour for hour in partials(rows)}
    assert found.keys() == expected.keys()
    for key, group in expected.items():
        for channel in CHANNELS:
            assert parts(found[key], channel) == figures(group, channel)
        assert {name: found[key][name] for name in SUMMED} == {name: sum(row[name] for row in group) for name in SUMMED}
        assert found[key]["reading_count"] == len(group)
        assert found[key]["last_reading_at"] == group[-1]["timestamp"]
        assert found[key]["last_delivered_at"] == max(row["delivered_at"] for row in group)


@given(fleets(), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_order_and_other_machines_change_no_bit(rows: list[Row], random: Random) -> None:
    whole = partials(rows)
    assert partials(random.sample(rows, len(rows))) == whole
    alone = [row for row in rows if (row["organization_id"], row["compressor_id"]) == OWNERS[0]]
    expected = [hour for hour in whole if (hour["organization_id"], hour["compressor_id"]) == OWNERS[0]]
    assert (partials(alone) if alone else []) == expected
