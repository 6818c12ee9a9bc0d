import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl_job.windows import CHANNELS, LENGTHS, NEEDED, merge

MIDNIGHT = datetime(2026, 1, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)
STATISTICS = {
    "vibration": ("mean", "std", "max", "min"),
    "discharge_temp": ("mean", "std", "max"),
    "suction_pressure": ("mean", "std", "min"),
    "discharge_pressure": ("mean", "std", "max"),
    "pressure_delta": ("mean",),
    "horsepower": ("mean", "std"),
    "gas_flow": ("mean",),
}


@dataclass(frozen=True)
class Reading:
    """One value that every channel shows, scaled; None is a value in doubt."""

    at: datetime
    value: float | None
    organization: str = "org-1"
    machine: str = "COMP-001"


def hour_of(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


def scaled(prefix: str, value: float) -> float:
    """Make channels differ, so that none can stand for another."""
    return value * (1 + list(CHANNELS).index(prefix))


def partial(group: Sequence[Reading], batch_id: str) -> dict[str, Any]:
    usable = [reading for reading in group if reading.value is not None]
    row: dict[str, Any] = {
        "organization_id": group[0].organization,
        "compressor_id": group[0].machine,
        "hour": hour_of(group[0].at),
        "batch_id": batch_id,
        "reading_count": len(group),
        "suspect_readings": len(group) - len(usable),
    }
    for prefix, channel in CHANNELS.items():
        values = [scaled(prefix, reading.value) for reading in usable if reading.value is not None]
        mean = math.fsum(values) / len(values) if values else None
        row |= {
            f"{channel}_n": len(values),
            f"{channel}_mean": mean,
            f"{channel}_m2": math.fsum((value - (mean or 0)) ** 2 for value in values) if values else None,
            f"{channel}_min": min(values, default=None),
            f"{channel}_max": max(values, default=None),
            f"{channel}_first": values[0] if values else None,
            f"{channel}_first_at": usable[0].at if usable else None,
            f"{channel}_last": values[-1] if values else None,
            f"{channel}_last_at": usable[-1].at if usable else None,
        }
    return row


def machine_hour(reading: Reading) -> tuple[str, str, datetime]:
    return reading.organization, reading.machine, hour_of(reading.at)


def hours(readings: Iterable[Reading], batch_id: str = "now") -> pa.Table:
    ordered = sorted(readings, key=lambda reading: (machine_hour(reading), reading.at))
    rows = [partial(list(group), batch_id) for _, group in groupby(ordered, machine_hour)]
    kinds = {"batch_id": pa.string(), "organization_id": pa.string(), "compressor_id": pa.string()}
    instant = pa.timestamp("us", "UTC")
    fields = [
        (
            name,
            kinds.get(name)
            or (instant if name == "hour" or name.endswith("_at") else None)
            or (pa.int32() if name.endswith(("_n", "reading_count", "_readings")) else pa.float64()),
        )
        for name in NEEDED
    ]
    return pa.Table.from_pylist(rows, pa.schema(fields))


def by_key(table: pa.Table) -> dict[tuple[Any, ...], dict[str, Any]]:
    keyed = {
        (row["organization_id"], row["compressor_id"], row["window_type"], row["agg_timestamp"]): row
        for row in table.to_pylist()
    }
    assert len(keyed) == table.num_rows
    return keyed


def merged(table: pa.Table) -> dict[tuple[Any, ...], dict[str, Any]]:
    return by_key(merge(table, 10, "now"))


def recomputed(readings: Sequence[Reading], organization: str, machine: str, end: datetime, length: int) -> Any:  # noqa: ANN401 - a row
    """Compute a window from nothing but its readings."""
    inside = sorted(
        (
            reading
            for reading in readings
            if (reading.organization, reading.machine) == (organization, machine)
            and end - length * HOUR <= reading.at < end
        ),
        key=lambda reading: reading.at,
    )
    usable = [(reading.at, reading.value) for reading in inside if reading.value is not None]
    row: dict[str, Any] = {
        "reading_count": len(inside),
        "missing_readings": max(length * 6 - len(inside), 0),
        "suspect_readings": len(inside) - len(usable),
    }
    for prefix, wanted in STATISTICS.items():
        values = [scaled(prefix, value) for _, value in usable]
        known = {
            "mean": statistics.fmean(values) if values else None,
            "std": statistics.stdev(values) if len(values) > 1 else None,
            "min": min(values, default=None),
            "max": max(values, default=None),
        }
        row |= {f"{prefix}_{name}": known[name] for name in wanted}
    row["discharge_temp_rate_of_change"] = None
    if len(usable) > 1:
        (began_at, began), (ended_at, ended) = usable[0], usable[-1]
        rise = scaled("discharge_temp", ended) - scaled("discharge_temp", began)
        row["discharge_temp_rate_of_change"] = rise / ((ended_at - began_at) / HOUR)
    return row


@st.composite
def fleets(draw: st.DrawFn) -> list[Reading]:
    """Draw machines that are heard in some hours of three days, with gaps of any length and values in doubt."""
    owners = [("org-1", "COMP-001"), ("org-1", "COMP-002"), ("org-2", "COMP-001")]
    found: list[Reading] = []
    for organization, machine in draw(st.lists(st.sampled_from(owners), min_size=1, max_size=3, unique=True)):
        slots = draw(st.sets(st.integers(0, 72 * 6 - 1), min_size=1, max_size=40))
        value = st.one_of(st.none(), st.floats(0.5, 2000, allow_nan=False, width=32))
        found += [Reading(MIDNIGHT + slot * HOUR / 6, draw(value), organization, machine) for slot in sorted(slots)]
    return found


@given(fleets())
@settings(max_examples=80, deadline=None)
def test_windows_equal_a_recomputation_from_the_readings(readings: list[Reading]) -> None:
    windows = merged(hours(readings))
    heard = {machine_hour(reading) for reading in readings}
    assert set(windows) == {(o, m, window_type, hour + HOUR) for o, m, hour in heard for window_type in LENGTHS}
    for (organization, machine, window_type, end), window in windows.items():
        expected = recomputed(readings, organization, machine, end, LENGTHS[window_type])
        found = {name: window[name] for name in expected}
        assert found == {
            name: value if value is None or isinstance(value, int) else pytest.approx(value, rel=1e-9, abs=1e-9)
            for name, value in expected.items()
        }


def regular(count: int, *, start: datetime = MIDNIGHT) -> list[Reading]:
    return [Reading(start + i * HOUR / 6, 100.0 + i) for i in range(count)]


def test_windows_hold_6_24_and_144_readings_and_none_twice() -> None:
    windows = merged(hours(regular(300)))
    end = MIDNIGHT + 40 * HOUR
    counts = {kind: windows["org-1", "COMP-001", kind, end]["reading_count"] for kind in LENGTHS}
    assert counts == {"1hr": 6, "4hr": 24, "24hr": 144}


def test_a_window_holds_its_first_instant_and_not_its_last() -> None:
    windows = merged(hours(regular(13)))
    first_hour = windows["org-1", "COMP-001", "1hr", MIDNIGHT + HOUR]
    assert (first_hour["vibration_min"], first_hour["vibration_max"]) == (100.0, 105.0)
    assert windows["org-1", "COMP-001", "1hr", MIDNIGHT + 3 * HOUR]["reading_count"] == 1


def test_missing_readings_are_counted_from_the_start() -> None:
    window = merged(hours(regular(6)))["org-1", "COMP-001", "24hr", MIDNIGHT + HOUR]
    assert (window["reading_count"], window["missing_readings"]) == (6, 138)


def test_the_rate_divides_by_the_time_between_the_values_whatever_the_gap() -> None:
    readings = [Reading(MIDNIGHT, 10.0), Reading(MIDNIGHT + 3.5 * HOUR, 24.0)]
    window = merged(hours(readings))["org-1", "COMP-001", "4hr", MIDNIGHT + 4 * HOUR]
    assert window["discharge_temp_rate_of_change"] == pytest.approx(scaled("discharge_temp", 4.0))


def test_one_usable_value_has_a_mean_and_no_spread_or_rate() -> None:
    readings = [Reading(MIDNIGHT, None), Reading(MIDNIGHT + HOUR / 6, 5.0)]
    window = merged(hours(readings))["org-1", "COMP-001", "1hr", MIDNIGHT + HOUR]
    assert (window["vibration_mean"], window["reading_count"], window["suspect_readings"]) == (5.0, 2, 1)
    assert window["vibration_std"] is None
    assert window["discharge_temp_rate_of_change"] is None


def test_hours_without_a_usable_value_give_no_statistics() -> None:
    window = merged(hours([Reading(MIDNIGHT, None)]))["org-1", "COMP-001", "24hr", MIDNIGHT + HOUR]
    assert window["reading_count"] == 1
    assert {window[f"{prefix}_{name}"] for prefix, names in STATISTICS.items() for name in names} == {None}


@pytest.mark.parametrize("value", [0.1, 1050.3, 1e-3, 9999.999])
def test_a_constant_series_does_not_stray(value: float) -> None:
    readings = [Reading(MIDNIGHT + i * HOUR / 6, value) for i in range(200)]
    for window in merged(hours(readings)).values():
        assert window["vibration_std"] <= 1e-9 * value
        assert window["discharge_temp_rate_of_change"] == pytest.approx(0.0, abs=1e-9)


def test_a_small_spread_about_a_large_mean_is_not_lost() -> None:
    readings = [Reading(MIDNIGHT + i * HOUR / 6, 1e6 + (i % 2) * 1e-3) for i in range(144)]
    window = merged(hours(readings))["org-1", "COMP-001", "24hr", MIDNIGHT + 24 * HOUR]
    assert window["vibration_std"] == pytest.approx(statistics.stdev([0.0, 1e-3] * 72), rel=1e-6)


@given(fleets(), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_order_and_other_machines_change_no_bit(readings: list[Reading], random: Any) -> None:  # noqa: ANN401 - random.Random
    whole = merged(hours(readings))
    order = list(range(hours(readings).num_rows))
    random.shuffle(order)
    assert merged(hours(readings).take(pa.array(order, pa.int64()))) == whole
    alone = [reading for reading in readings if (reading.organization, reading.machine) == ("org-1", "COMP-001")]
    expected = {key: row for key, row in whole.items() if key[:2] == ("org-1", "COMP-001")}
    assert (merged(hours(alone)) if alone else {}) == expected


def test_organizations_with_machines_of_one_name_never_mix() -> None:
    readings = [
        Reading(MIDNIGHT + i * HOUR / 6, value, organization)
        for organization, value in (("org-1", 1.0), ("org-2", 2.0))
        for i in range(12)
    ]
    for (organization, *_), window in merged(hours(readings)).items():
        assert window["vibration_mean"] == {"org-1": 1.0, "org-2": 2.0}[organization]


def test_only_windows_that_contain_an_hour_of_the_batch_come_out() -> None:
    earlier = hours(regular(60 * 6), batch_id="before")
    names = ["now" if hour == MIDNIGHT + 10 * HOUR else "before" for hour in earlier.column("hour").to_pylist()]
    touched = merged(earlier.set_column(earlier.column_names.index("batch_id"), "batch_id", pa.array(names)))
    ends = {kind: sorted(key[3] for key in touched if key[2] == kind) for kind in LENGTHS}
    assert ends == {
        kind: [MIDNIGHT + (11 + later) * HOUR for later in range(length)] for kind, length in LENGTHS.items()
    }
    assert {row["batch_id"] for row in touched.values()} == {"now"}
