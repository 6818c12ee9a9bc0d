from datetime import UTC, datetime
from uuid import UUID

from simulator.maintenance import maintenance_table
from simulator.simulation import Simulation
from tests.simulator.landed import Landed, rows_of

OWNER = UUID("11111111-2222-3333-4444-555555555555")


def test_every_machine_has_routine_work_before_and_some_during_the_period(default_week: Landed) -> None:
    rows = rows_of(default_week.folder / "maintenance/maintenance_events.parquet")
    machines = {machine for machine, _ in default_week.rows}
    for kind in ("scheduled", "inspection"):
        assert {row["compressor_id"] for row in rows if row["event_type"] == kind} == machines
    assert any(row["event_date"] >= default_week.simulation.start for row in rows)
    assert all(row["event_date"] < default_week.simulation.end for row in rows)


def test_the_failure_is_logged_when_it_happens_and_its_repair_two_days_later() -> None:
    rows = [row for row in maintenance_table(Simulation(days=9)).to_pylist() if row["compressor_id"] == "COMP-003"]
    broken = [(row["event_type"], row["event_date"]) for row in rows if row["event_type"] in {"failure", "unscheduled"}]
    assert broken == [
        ("failure", datetime(2026, 1, 11, tzinfo=UTC)),
        ("unscheduled", datetime(2026, 1, 13, tzinfo=UTC)),
    ]


def test_a_repair_after_the_period_is_not_logged_yet(default_week: Landed) -> None:
    rows = rows_of(default_week.folder / "maintenance/maintenance_events.parquet")
    assert [row["event_type"] for row in rows if row["severity"] in {"critical", "high"}] == ["failure"]


def test_event_ids_are_unique_and_the_same_each_time() -> None:
    first, second = (maintenance_table(Simulation(compressors=50)).column("event_id").to_pylist() for _ in range(2))
    assert first == second
    assert len(set(first)) == len(first)


def test_two_organizations_never_share_an_event_id() -> None:
    ours, theirs = (
        set(maintenance_table(Simulation(organization=owner)).column("event_id").to_pylist()) for owner in (None, OWNER)
    )
    assert not ours & theirs


def test_words_and_figures_are_those_of_the_log(default_week: Landed) -> None:
    rows = rows_of(default_week.folder / "maintenance/maintenance_events.parquet")
    assert {row["event_type"] for row in rows} <= {"scheduled", "unscheduled", "inspection", "failure"}
    assert {row["severity"] for row in rows} <= {"low", "medium", "high", "critical"}
    assert all(row["downtime_hours"] > 0 and row["cost_usd"] > 0 for row in rows)
