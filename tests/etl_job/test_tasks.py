"""What a run can do beside taking in what is new."""

from datetime import timedelta
from typing import Any

import pytest

from etl_job import batch, housekeeping, ingest, pipeline, publish
from etl_job.delta_tables import AGGREGATES, BRONZE, PARTIALS, QUARANTINE, SILVER, Lake
from tests.etl_job.customer import Customer
from tests.factories.landing import HOUR, MONDAY, as_parquet, deliver, deliver_fleet, readings, with_value

LATER = MONDAY + 100 * HOUR


def state(customer: Customer) -> list[Any]:
    return [*(customer.content(layout) for layout in (SILVER, PARTIALS, AGGREGATES)), customer.published()]


@pytest.fixture
def two_days(customer: Customer) -> Customer:
    deliver_fleet(customer.landing, ["COMP-001"])
    deliver(customer.landing, "a.parquet", readings(count=48 * 6), at=LATER)
    customer.run()
    return customer


def test_a_rebuild_of_sound_tables_changes_nothing(two_days: Customer) -> None:
    before = state(two_days)
    assert two_days.run(pipeline.rebuild).windows_published == 0
    assert state(two_days) == before


def test_a_rebuild_mends_gold_and_sql(two_days: Customer) -> None:
    before = state(two_days)
    two_days.delta(PARTIALS).update(set={"vibration_mms_mean": "99D"})
    two_days.delta(AGGREGATES).delete("window_type = '24hr'")
    two_days.delta(AGGREGATES).update(set={"vibration_mean": "99D"})
    assert state(two_days) != before
    two_days.run(pipeline.rebuild)
    assert state(two_days) == before


def test_a_rebuild_keeps_windows_of_hours_that_silver_no_longer_holds(two_days: Customer) -> None:
    before = two_days.content(AGGREGATES), two_days.published()
    two_days.delta(SILVER).delete("date = '2026-01-05'")
    two_days.run(pipeline.rebuild)
    assert (two_days.content(AGGREGATES), two_days.published()) == before


def test_a_rebuild_that_was_interrupted_is_finished_by_the_next(
    two_days: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = state(two_days)
    two_days.delta(PARTIALS).update(set={"vibration_mms_mean": "99D"})

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no more memory")

    with monkeypatch.context() as broken:
        broken.setattr(batch, "windows", fail)
        with pytest.raises(RuntimeError, match="no more memory"):
            two_days.run(pipeline.rebuild)
    two_days.run(pipeline.rebuild)
    assert state(two_days) == before


def test_python_gets_thousands_of_rows_at_once_and_few_whole_files(two_days: Customer) -> None:
    """Limits that hold for whole files held for every row of a rebuild, too."""
    assert int(str(two_days.spark.conf.get("spark.sql.execution.arrow.maxRecordsPerBatch"))) >= 10_000
    usual = two_days.spark.conf.get(ingest.BYTES_PER_ARROW_BATCH)
    with ingest.whole_files(two_days.spark):
        assert two_days.spark.conf.get(ingest.BYTES_PER_ARROW_BATCH) == str(ingest.WHOLE_FILES_BYTES)
    assert two_days.spark.conf.get(ingest.BYTES_PER_ARROW_BATCH) == usual


def test_a_lake_without_readings_has_nothing_to_rebuild(customer: Customer) -> None:
    assert set(customer.run(pipeline.rebuild).counts().values()) == {0}


def test_rows_of_a_machine_that_is_registered_later_go_through_when_replayed(customer: Customer) -> None:
    deliver_fleet(customer.landing, ["COMP-001"])
    deliver(customer.landing, "a.parquet", readings(count=6), at=LATER)
    deliver(customer.landing, "b.parquet", readings("COMP-002", count=6), at=LATER)
    assert customer.run().quarantined == {"unknown_compressor": 6}
    deliver_fleet(customer.landing, ["COMP-001", "COMP-002"])
    summary = customer.run(pipeline.replay)
    assert (summary.rows_read, summary.rows_written, summary.windows_published) == (6, 6, 3)
    assert customer.table(QUARANTINE) == []
    assert {key[0] for key in customer.published()} == {"COMP-001", "COMP-002"}
    silver = [row for row in customer.table(SILVER) if row["compressor_id"] == "COMP-002"]
    assert {(row["source_file"], row["delivered_at"]) for row in silver} == {("b.parquet", LATER)}
    assert sorted(row["row_number"] for row in silver) == list(range(6))


def test_a_replay_does_not_undo_a_correction_delivered_since(customer: Customer) -> None:
    deliver_fleet(customer.landing, ["COMP-002"])
    deliver(customer.landing, "a.parquet", readings(count=2), at=LATER)
    customer.run()
    deliver_fleet(customer.landing, ["COMP-001", "COMP-002"])
    corrected = with_value(readings(count=2), "gas_flow_mcf", 0, 9000.0)
    deliver(customer.landing, "b.parquet", corrected, at=LATER + HOUR)
    customer.run()
    summary = customer.run(pipeline.replay)
    assert summary.quarantined == {"conflicting_duplicate": 1}
    assert min(row["gas_flow_mcf"] for row in customer.table(SILVER)) == 9000.0
    assert [row["problem"] for row in customer.table(QUARANTINE)] == ["conflicting_duplicate"]


def test_what_is_still_wrong_stays_in_quarantine(customer: Customer) -> None:
    deliver_fleet(customer.landing, ["COMP-001"])
    deliver(customer.landing, "a.parquet", readings("COMP-404", count=2), at=LATER)
    deliver(customer.landing, "b.parquet", as_parquet(readings(count=2))[:-9], at=LATER)
    customer.run()
    before = customer.table(QUARANTINE)
    summary = customer.run(pipeline.replay)
    assert (summary.rows_read, summary.rows_written) == (0, 0)
    assert customer.table(QUARANTINE) == before


def test_a_replay_that_was_interrupted_is_finished_by_the_next(
    customer: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver_fleet(customer.landing, ["COMP-002"])
    deliver(customer.landing, "a.parquet", readings(count=6), at=LATER)
    customer.run()
    deliver_fleet(customer.landing, ["COMP-001", "COMP-002"])

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("the database went away")

    for place in ("stage", "record"):
        with monkeypatch.context() as broken:
            broken.setattr(publish, place, fail)
            with pytest.raises(RuntimeError, match="the database went away"):
                customer.run(pipeline.replay)
    assert customer.published() == {}
    customer.run(pipeline.replay)
    assert len(customer.published()) == 3
    assert customer.table(QUARANTINE) == []
    assert [len(customer.table(layout)) for layout in (SILVER, PARTIALS, AGGREGATES)] == [6, 1, 3]


def test_housekeeping_puts_small_files_together_and_changes_no_row(two_days: Customer) -> None:
    for hour in range(48, 52):
        start = MONDAY + hour * HOUR
        deliver(two_days.landing, f"{hour}.parquet", readings(start=start, count=6), at=LATER + hour * HOUR)
        two_days.run()
    before = [*state(two_days), two_days.content(BRONZE)]
    files = len(two_days.spark.read.format("delta").load(str(two_days.folder / "lake" / BRONZE.folder)).inputFiles())
    assert files >= 5
    two_days.run(housekeeping.tidy)
    assert [*state(two_days), two_days.content(BRONZE)] == before
    for layout in (BRONZE, SILVER, PARTIALS, AGGREGATES):
        table = Lake(two_days.spark, str(two_days.folder / "lake")).read(layout)
        dates = {row["date"] for row in two_days.table(layout)} if layout.partitioned_by else {None}
        assert len(table.inputFiles()) == len(dates), layout.folder


def test_old_readings_leave_silver_and_nothing_as_old_comes_in(customer: Customer) -> None:
    deliver_fleet(customer.landing, ["COMP-001"])
    deliver(customer.landing, "a.parquet", readings(count=10 * 24 * 6), at=LATER + 200 * HOUR)
    customer.run()
    published = customer.published()
    now = MONDAY + timedelta(days=35)  # what is before the 10th may not arrive; Silver keeps from the 7th
    customer.run(housekeeping.tidy, now=now, silver_retention_days=30)
    assert min(row["date"] for row in customer.table(SILVER)) == (MONDAY + timedelta(days=2)).date()
    late = with_value(readings(start=MONDAY + timedelta(days=4, hours=23), count=12), "gas_flow_mcf", 0, 9_000.0)
    deliver(customer.landing, "b.parquet", late, at=now)
    summary = customer.run(now=now, silver_retention_days=30)
    assert summary.quarantined == {"ancient_timestamp": 6}
    assert summary.rows_repeated == 6
    assert customer.published() == published


def test_many_batches_in_one_run_end_in_the_state_of_one(two_days: Customer) -> None:
    """Deliver the same two days in pieces, out of order, with a repeat, and a value that the next file corrects."""
    whole = readings(count=48 * 6)
    pieces = [whole.slice(place, 48) for place in (96, 0, 240, 48, 144, 192, 0)]
    pieces.insert(0, with_value(whole.slice(100, 10), "vibration_mms", 3, 3.3))
    two_days.landing.joinpath("readings", "a.parquet").unlink()
    other = Customer(two_days.spark, two_days.database, two_days.folder / "other", two_days.organization_id)
    deliver_fleet(other.landing, ["COMP-001"])
    for number, piece in enumerate(pieces):
        deliver(other.landing, f"{9 - number}.parquet", piece, at=LATER - (10 - number) * HOUR)
    summary = other.run(files_per_batch=2)
    assert summary.files_read == len(pieces)
    assert summary.rows_read == 48 * 7 + 10
    same = {"source_file": None, "row_number": None, "delivered_at": None, "last_delivered_at": None}
    for layout in (SILVER, PARTIALS, AGGREGATES):
        ours, theirs = ([row | same for row in who.content(layout)] for who in (other, two_days))
        assert ours == theirs, layout.folder
