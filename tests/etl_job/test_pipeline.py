from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from etl_job import publish
from etl_job.delta_tables import AGGREGATES, BRONZE, PARTIALS, QUARANTINE, SILVER
from shared_code.database.engines import Database
from shared_code.database.tables import sensor_readings_agg
from tests.etl_job.customer import Customer, Key, Row, an_organization, published
from tests.factories.landing import (
    HOUR,
    MINUTE,
    MONDAY,
    as_csv,
    as_parquet,
    deliver,
    deliver_fleet,
    readings,
    with_column,
    with_value,
)

LATER = MONDAY + 100 * HOUR
NOBODY = "00000000-0000-4000-8000-00000000dead"
WINDOWS_OF_AN_HOUR = 1 + 4 + 24


def changed(before: dict[Key, Row], after: dict[Key, Row]) -> set[Key]:
    return {key for key in before | after if before.get(key) != after.get(key)}


def windows_with(compressor_id: str, hour: int) -> set[Key]:
    """Return the keys of the windows that contain an hour, counted from Monday."""
    return {
        (compressor_id, window_type, MONDAY + (hour + 1 + later) * HOUR)
        for window_type, length in (("1hr", 1), ("4hr", 4), ("24hr", 24))
        for later in range(length)
    }


def test_a_small_delivery_arrives_in_every_table(customer: Customer) -> None:
    deliver_fleet(customer.landing, ["COMP-001"])
    deliver(customer.landing, "a.parquet", readings(count=6), at=LATER)
    summary = customer.run()
    assert (summary.files_read, summary.rows_read, summary.rows_written) == (1, 6, 6)
    assert not summary.something_was_kept_aside
    assert [len(customer.table(layout)) for layout in (BRONZE, SILVER, PARTIALS, AGGREGATES)] == [6, 6, 1, 3]
    assert set(customer.published()) == {("COMP-001", kind, MONDAY + HOUR) for kind in ("1hr", "4hr", "24hr")}
    assert summary.windows_published == 3


def test_files_in_folders_and_with_odd_names_are_found(customer: Customer) -> None:
    place = replace(customer, folder=customer.folder / "a lake, 50% full")
    place.folder.mkdir()
    names = ("gateway 7/2026-01/a b.parquet", "gateway 7/100%20.csv", "gåte/#1+2.parquet")
    deliver_fleet(place.landing, ["COMP-001"])
    for hour, name in enumerate(names):
        deliver(place.landing, name, readings(start=MONDAY + hour * HOUR, count=6), at=LATER)
    assert place.run().rows_written == 18
    assert {row["source_file"] for row in place.table(SILVER)} == set(names)
    assert len(place.published()) == 9


def test_bad_input_is_put_aside_by_reason_and_the_rest_arrives(customer: Customer) -> None:
    deliver_fleet(customer.landing, ["COMP-001", "COMP-002"])
    good = readings(count=6)
    two = readings("COMP-002", count=2)
    torn = as_csv(readings(count=2, start=MONDAY + 2 * HOUR)) + b"COMP-001,2026-01-05\n"
    timestamps = ["2026-01-05T03:00:00Z", "soon", "2099-01-01T00:00:00Z", "1970-01-01T00:00:00Z", ""]
    machines = pa.array(["COMP-001", "COMP-404", None])
    owners = pa.array([str(customer.organization_id), NOBODY, "Acme"])
    files: dict[str, pa.Table | bytes] = {
        "good.parquet": good,
        "truncated.parquet": as_parquet(good)[:-40],
        "random.csv": b"\xff\xfe\x00" * 40,
        "notes.txt": b"hello",
        "missing.parquet": two.drop_columns(["gas_flow_mcf"]),
        "doubled.parquet": two.append_column("timestamp", two.column("timestamp")),
        "wrong.parquet": with_column(two, "vibration_mms", pa.array([True, False])),
        "torn.csv": torn,
        "times.parquet": with_column(readings(count=5), "timestamp", pa.array(timestamps)),
        "machines.parquet": with_column(readings(count=3, start=MONDAY + 4 * HOUR), "compressor_id", machines),
        "owners.parquet": with_column(
            readings(count=3, start=MONDAY + 5 * HOUR, organization_id=NOBODY), "organization_id", owners
        ),
        "empty.parquet": readings(count=0),
    }
    for name, content in files.items():
        deliver(customer.landing, name, content, at=LATER)
    summary = customer.run()
    expected = {
        "unreadable_file": 3,
        "missing_column": 2,
        "doubled_column": 2,
        "wrong_type": 2,
        "wrong_field_count": 1,
        "bad_timestamp": 1,
        "future_timestamp": 1,
        "ancient_timestamp": 1,
        "missing_timestamp": 1,
        "unknown_compressor": 1,
        "missing_compressor": 1,
        "unknown_organization": 1,
        "bad_organization": 1,
    }
    assert summary.quarantined == expected
    assert (summary.rows_written, summary.rows_repeated) == (6 + 2 + 1 + 1 + 1, 0)
    assert summary.rows_quarantined == sum(expected.values())
    assert summary.something_was_kept_aside
    kept_aside = customer.table(QUARANTINE)
    assert Counter(row["problem"] for row in kept_aside) == expected
    assert {row["content"] for row in kept_aside if row["source_file"] == "notes.txt"} == {b"hello"}
    assert len(customer.table(BRONZE)) == summary.rows_read


def test_a_file_delivered_twice_is_repeated_and_changes_nothing(customer: Customer) -> None:
    deliver_fleet(customer.landing, ["COMP-001"])
    deliver(customer.landing, "a.parquet", readings(count=12), at=LATER)
    deliver(customer.landing, "b.csv", readings(count=12), at=LATER + HOUR)
    first = customer.run()
    assert (first.rows_read, first.rows_written, first.rows_repeated) == (24, 12, 12)
    before = customer.published()
    deliver(customer.landing, "c.parquet", readings(count=12), at=LATER + 2 * HOUR)
    again = customer.run()
    assert (again.rows_read, again.rows_written, again.rows_repeated) == (12, 0, 12)
    assert (again.rows_quarantined, again.windows_published) == (0, 0)
    assert customer.published() == before


@pytest.mark.parametrize("runs", [1, 2])
def test_of_two_different_rows_for_an_instant_the_later_delivery_counts(customer: Customer, runs: int) -> None:
    deliver_fleet(customer.landing, ["COMP-001"])
    wrong = with_value(readings(count=6), "gas_flow_mcf", 2, 4000.0)
    deliver(customer.landing, "b.parquet", wrong, at=LATER)
    if runs == 2:
        customer.run()
    deliver(customer.landing, "a.parquet", readings(count=6), at=LATER + HOUR)
    summary = customer.run()
    assert [row["gas_flow_mcf"] for row in customer.table(SILVER) if row["gas_flow_mcf"] < 5000] == []
    (loser,) = customer.table(QUARANTINE)
    assert (loser["problem"], loser["gas_flow_mcf"], loser["source_file"]) == (
        "conflicting_duplicate",
        4000.0,
        "b.parquet",
    )
    assert summary.something_was_kept_aside
    if runs == 1:
        assert summary.quarantined == {"conflicting_duplicate": 1}
        assert (summary.rows_written, summary.rows_repeated) == (6, 5)
    else:
        assert (summary.rows_superseded, summary.rows_written, summary.rows_repeated) == (1, 1, 5)


def test_an_earlier_delivery_that_comes_to_light_later_does_not_win(customer: Customer) -> None:
    deliver_fleet(customer.landing, ["COMP-001"])
    deliver(customer.landing, "a.parquet", readings(count=6), at=LATER)
    customer.run()
    before = customer.published()
    deliver(customer.landing, "b.parquet", with_value(readings(count=6), "gas_flow_mcf", 2, 4000.0), at=LATER - HOUR)
    summary = customer.run()
    assert summary.quarantined == {"conflicting_duplicate": 1}
    assert (summary.rows_written, summary.rows_repeated) == (0, 5)
    assert customer.published() == before


@pytest.fixture
def three_days(customer: Customer) -> Customer:
    """Return a customer with three days of a machine taken in, but for the reading at 30:20 h."""
    deliver_fleet(customer.landing, ["COMP-001"])
    whole = readings(count=72 * 6)
    late = 30 * 6 + 2
    there = pa.concat_tables([whole.slice(0, late), whole.slice(late + 1)])
    deliver(customer.landing, "a.parquet", there, at=LATER)
    assert customer.run().rows_written == 72 * 6 - 1
    return customer


def test_a_correction_changes_the_windows_that_contain_it_and_no_other(three_days: Customer) -> None:
    before = three_days.published()
    corrected = with_value(readings(start=MONDAY + 40 * HOUR, count=1), "vibration_mms", 0, 3.4)
    deliver(three_days.landing, "b.parquet", corrected, at=LATER + HOUR)
    summary = three_days.run()
    assert changed(before, three_days.published()) == windows_with("COMP-001", 40)
    assert summary.windows_published == WINDOWS_OF_AN_HOUR


def test_a_late_reading_amid_old_ones_changes_the_windows_that_contain_it_and_no_other(three_days: Customer) -> None:
    before = three_days.published()
    deliver(three_days.landing, "b.csv", readings(start=MONDAY + 30 * HOUR + 20 * MINUTE, count=1), at=LATER + HOUR)
    summary = three_days.run()
    after = three_days.published()
    assert (summary.rows_read, summary.rows_written) == (1, 1)
    assert changed(before, after) == windows_with("COMP-001", 30)
    assert summary.windows_published == WINDOWS_OF_AN_HOUR
    key = ("COMP-001", "24hr", MONDAY + 31 * HOUR)
    assert (before[key]["missing_readings"], after[key]["missing_readings"]) == (1, 0)


def test_two_runs_end_in_the_state_of_one(spark: SparkSession, database: Database, tmp_path: Path) -> None:
    """The second delivery corrects, repeats, comes late, and makes the first one's readings doubtful."""
    midnight = 24 * 6
    whole = with_value(readings(count=36 * 6), "vibration_mms", midnight - 1, 12.0)  # a spike, once the next is there
    taken: list[Any] = whole.column("timestamp").to_pylist()
    astray = range(25 * 6, 25 * 6 + 3)  # stamped five hours late, before readings that tell
    stamped = [at + 5 * HOUR + MINUTE if i in astray else at for i, at in enumerate(taken)]
    whole = with_column(whole, "timestamp", pa.array(stamped, pa.timestamp("us", "UTC")))
    machine_2 = readings("COMP-002", count=20, shift=1.0)
    first = {
        "1.parquet": pa.concat_tables([whole.slice(0, 50), whole.slice(51, midnight - 51)]),
        "2.csv": machine_2,
        "3.parquet": whole.slice(astray[0], 12),
    }
    second = {
        "4.parquet": whole.slice(midnight),
        "5.parquet": with_value(readings(start=MONDAY + 5 * HOUR, count=4), "discharge_temp_f", 1, 202.0),
        "6.parquet": whole.slice(48, 5),
        "7.parquet": machine_2,
    }
    one, two = (Customer(spark, database, tmp_path / name, an_organization(database)) for name in ("one", "two"))
    for customer_ in (one, two):
        deliver_fleet(customer_.landing, ["COMP-001", "COMP-002"])
        for name, table in first.items():
            deliver(customer_.landing, name, table, at=LATER)
        if customer_ is two:
            customer_.run()
        for name, table in second.items():
            deliver(customer_.landing, name, table, at=LATER + HOUR)
        customer_.run()
    flags = Counter(
        (name, value)
        for row in one.table(SILVER)
        for name, value in row.items()
        if name.endswith("_flag") and value is not None
    )
    assert flags == {("vibration_mms_flag", "spike"): 1, ("clock_flag", "clock"): 3}
    for layout in (SILVER, PARTIALS, AGGREGATES):
        assert two.content(layout) == one.content(layout), layout.folder
    assert two.in_sql(sensor_readings_agg) == one.in_sql(sensor_readings_agg)


def test_a_run_that_failed_is_finished_by_the_next(customer: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    deliver_fleet(customer.landing, ["COMP-001"])
    deliver(customer.landing, "a.parquet", readings(count=6), at=LATER)

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("the database went away")

    with monkeypatch.context() as broken:
        broken.setattr(publish, "record", fail)
        with pytest.raises(RuntimeError, match="the database went away"):
            customer.run()
    assert customer.published() == {}
    summary = customer.run()
    assert (summary.rows_read, summary.rows_written, summary.windows_published) == (6, 6, 3)
    assert [len(customer.table(layout)) for layout in (BRONZE, SILVER, PARTIALS, AGGREGATES)] == [6, 6, 1, 3]
    assert len(customer.published()) == 3


def test_organizations_with_machines_of_one_name_never_mix(customer: Customer, database: Database) -> None:
    ours, theirs = customer.organization_id, an_organization(database)
    for owner, shift in ((ours, 0.0), (theirs, 1.5)):
        deliver_fleet(customer.landing, ["COMP-001"], organization_id=owner)
        deliver(customer.landing, f"{owner}.parquet", readings(count=12, organization_id=owner, shift=shift), at=LATER)
    summary = customer.run(default_organization=False)
    assert (summary.rows_read, summary.rows_written) == (24, 24)
    ours_windows, theirs_windows = published(database, ours), published(database, theirs)
    assert set(ours_windows) == set(theirs_windows)
    for key, window in ours_windows.items():
        assert theirs_windows[key]["vibration_mean"] == pytest.approx(window["vibration_mean"] + 1.5)
        assert window["reading_count"] in {6, 12}


def test_rows_of_unknown_machines_go_no_further(customer: Customer) -> None:
    deliver_fleet(customer.landing, ["COMP-001"])
    deliver(customer.landing, "a.parquet", readings("COMP-404", count=3), at=LATER)
    deliver(customer.landing, "b.parquet", readings(count=2), at=LATER)
    summary = customer.run()
    assert summary.quarantined == {"unknown_compressor": 3}
    assert {row["compressor_id"] for row in customer.table(SILVER)} == {"COMP-001"}
    assert {key[0] for key in customer.published()} == {"COMP-001"}


def test_a_delivery_of_nothing_good_publishes_nothing(customer: Customer) -> None:
    deliver(customer.landing, "a.parquet", b"broken", at=LATER)
    summary = customer.run()
    assert (summary.rows_read, summary.quarantined) == (1, {"unreadable_file": 1})
    assert customer.published() == {}


def test_faulty_values_are_counted_and_change_no_statistic(customer: Customer) -> None:
    table = readings(count=24)
    faulty = with_value(with_value(table, "vibration_mms", 8, -999.0), "gas_flow_mcf", 14, 1e6)
    absent = with_value(with_value(table, "vibration_mms", 8, None), "gas_flow_mcf", 14, None)
    other = replace(customer, folder=customer.folder / "other", organization_id=an_organization(customer.database))
    for who, delivered in ((customer, faulty), (other, absent)):
        deliver_fleet(who.landing, ["COMP-001"])
        deliver(who.landing, "a.parquet", delivered, at=LATER)
    summary = customer.run()
    assert summary.flagged == {"implausible": 2}
    assert summary.rows_flagged == 2
    assert other.run().flagged == {"missing": 2}
    windows = customer.published()
    assert customer.in_sql(sensor_readings_agg) == other.in_sql(sensor_readings_agg)
    assert windows["COMP-001", "4hr", MONDAY + 4 * HOUR]["suspect_readings"] == 2
    assert [row["vibration_mms"] for row in customer.table(SILVER) if row["vibration_mms_flag"]] == [-999.0]
