import csv
from datetime import datetime
from pathlib import Path
from uuid import UUID

import pytest

from simulator.simulation import Simulation
from tests.simulator.landed import Landed, digest, landed, rows_of

OWNER = UUID("11111111-2222-3333-4444-555555555555")


def test_the_same_seed_gives_the_same_bytes(default_week: Landed, out: Path) -> None:
    again = landed(out, default_week.simulation)
    assert digest(again.folder) == digest(default_week.folder)


def test_two_processes_give_the_same_bytes_as_one(out: Path) -> None:
    by_one, by_two = (landed(out / str(processes), Simulation(days=2), processes) for processes in (1, 2))
    assert digest(by_two.folder) == digest(by_one.folder)


def test_another_seed_gives_another_week(default_week: Landed, out: Path) -> None:
    other = landed(out, Simulation(seed=7))
    assert other.rows != default_week.rows


def test_csv_holds_the_same_values_as_parquet(out: Path) -> None:
    parquet = landed(out / "parquet", Simulation(days=2, organization=OWNER))
    as_csv = landed(out / "csv", Simulation(days=2, organization=OWNER, file_format="csv"))
    assert [path.with_suffix(".parquet").name for path in as_csv.files] == [path.name for path in parquet.files]
    for csv_path, parquet_path in zip(as_csv.files, parquet.files, strict=True):
        with csv_path.open(encoding="utf-8", newline="") as text:
            assert [typed(row) for row in csv.DictReader(text)] == rows_of(parquet_path)


def typed(row: dict[str, str]) -> dict[str, object]:
    names = ("organization_id", "compressor_id")
    return {
        field: value if field in names else datetime.fromisoformat(value) if field == "timestamp" else number(value)
        for field, value in row.items()
    }


def number(text: str) -> float | None:
    return float(text) if text else None


@pytest.mark.parametrize(
    "name",
    ["metadata/stations/stations", "metadata/compressors/compressors", "maintenance/maintenance_events"],
)
def test_every_table_carries_the_organization_when_there_is_one(name: str, out: Path) -> None:
    landed(out, Simulation(days=1, organization=OWNER))
    rows = rows_of(out / f"{name}.parquet")
    assert {next(iter(row.items())) for row in rows} == {("organization_id", str(OWNER))}


def test_a_fleet_smaller_than_its_stations_delivers_from_those_that_have_machines(out: Path) -> None:
    one = landed(out, Simulation(compressors=1, days=1))
    assert {path.name.split("-")[2] for path in one.files} == {"a"}


def test_a_large_fleet_delivers_every_reading(big_fleet: Landed) -> None:
    silent = len(big_fleet.struck("gap"))
    assert len(big_fleet.rows) == big_fleet.simulation.scheduled_readings - silent


@pytest.mark.parametrize("interval", [1, 60])
def test_the_shortest_and_the_longest_interval_work(interval: int, out: Path) -> None:
    fleet = landed(out, Simulation(interval_minutes=interval, days=2, compressors=30))
    assert len(fleet.rows) == fleet.simulation.scheduled_readings - len(fleet.struck("gap"))
