import re
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shared_code.readings import REQUIRED_FIELDS, SENSOR_FIELDS
from simulator.landing import delivery_times, whole_file
from simulator.simulation import BATCH_MINUTES, Simulation
from tests.simulator.landed import Landed, delivered_at, rows_of

FILE_NAME = re.compile(r"(\d{8}T\d{6}Z)-(station-[abcd])-(\d{6})\.parquet")
SCHEMA = pa.schema(
    [
        ("compressor_id", pa.string()),
        ("timestamp", pa.timestamp("us", tz="UTC")),
        *((name, pa.float64()) for name in (*SENSOR_FIELDS, "operating_hours")),
    ]
)


def parts(path: Path) -> tuple[datetime, str, int]:
    match = FILE_NAME.fullmatch(path.name)
    assert match
    return datetime.strptime(match[1], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC), match[2], int(match[3])


def repeats(fleet: Landed) -> list[list[Path]]:
    of_batch: dict[tuple[str, int], list[Path]] = defaultdict(list)
    for path in fleet.files:
        of_batch[parts(path)[1:]].append(path)
    return list(of_batch.values())


def test_a_file_is_named_and_dated_by_its_delivery(default_week: Landed) -> None:
    for path in default_week.files:
        assert parts(path)[0] == delivered_at(path)


def test_a_file_has_the_agreed_columns_and_types(default_week: Landed) -> None:
    schema = pq.read_schema(default_week.files[0])  # pyright: ignore[reportUnknownMemberType]
    assert tuple(schema.names) == REQUIRED_FIELDS
    assert schema.equals(SCHEMA)


def test_every_gateway_delivers_every_six_hours(default_week: Landed) -> None:
    batches = {parts(path)[1:] for path in default_week.files}
    assert batches == {(f"station-{letter}", n) for letter in "abcd" for n in range(1, 29)}


def test_no_reading_is_later_than_its_files_delivery(default_week: Landed) -> None:
    for path in default_week.files:
        assert max(row["timestamp"] for row in rows_of(path)) < delivered_at(path)


def test_a_file_holds_six_hours_of_one_station_in_order(default_week: Landed) -> None:
    for path in default_week.files:
        rows = rows_of(path)
        keys = [(row["timestamp"], row["compressor_id"]) for row in rows]
        assert keys == sorted(set(keys))
        assert keys[-1][0] - keys[0][0] < timedelta(hours=6)


def test_a_repeated_delivery_is_an_exact_copy_with_a_later_name(default_week: Landed) -> None:
    twice = [paths for paths in repeats(default_week) if len(paths) > 1]
    assert twice
    for first, second in twice:
        assert first.read_bytes() == second.read_bytes()
        assert delivered_at(first) < delivered_at(second)


def test_a_few_files_come_hours_late_and_a_few_twice() -> None:
    simulation = Simulation(days=365)
    late, times = zip(*(delivery_times(simulation, 0, batch) for batch in range(1460)), strict=True)
    delays = [
        (at[0] - simulation.instant((batch + 1) * BATCH_MINUTES)) / timedelta(hours=1) for batch, at in enumerate(times)
    ]
    assert 0.015 < np.mean(late) < 0.05
    assert 0.01 < np.mean([len(at) == 2 for at in times]) < 0.04
    assert all(
        (1 <= delay <= 20.3) if was_late else (0 < delay < 0.25) for was_late, delay in zip(late, delays, strict=True)
    )


def test_the_week_has_more_than_fifty_thousand_sensor_values(default_week: Landed) -> None:
    values = sum(row[sensor] is not None for row in default_week.rows.values() for sensor in SENSOR_FIELDS)
    assert values > 50_000


def test_a_file_that_cannot_be_finished_does_not_appear(tmp_path: Path) -> None:
    def fail() -> None:
        with whole_file(tmp_path / "readings.parquet", datetime(2026, 1, 5, tzinfo=UTC)) as unfinished:
            unfinished.write_bytes(b"half")
            raise OSError

    with pytest.raises(OSError):  # noqa: PT011  (whichever way it failed)
        fail()
    assert list(tmp_path.iterdir()) == []
