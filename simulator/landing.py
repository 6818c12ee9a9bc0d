"""Files the way a field gateway delivers them: in batches, named by delivery time, some late, some twice."""

import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from shared_code.readings import LANDING_READINGS, OPERATING_HOURS, SENSOR_FIELDS
from simulator.batches import collect
from simulator.fleet import STATIONS
from simulator.randomness import Purpose, generator
from simulator.sensors import FLOW
from simulator.simulation import BATCH_MINUTES, FileFormat, Simulation
from simulator.truth import Injected

SOONEST_MINUTES, LATEST_MINUTES = 3, 12
"""From the end of a batch to its delivery, over a working radio link."""
SHARE_LATE: Final = 0.03
LEAST_LATE_HOURS, MOST_LATE_HOURS = 1, 20
SHARE_REPEATED: Final = 0.02
SOONEST_REPEAT_MINUTES, LATEST_REPEAT_MINUTES = 10, 360
"""A gateway that missed the acknowledgement sends the same batch again."""

ISO_FORMAT: Final = pc.StrftimeOptions("%Y-%m-%dT%H:%M:%SZ")
HARDLY_REPEATING: Final = (SENSOR_FIELDS[FLOW], OPERATING_HOURS)
"""Columns too varied for a dictionary; the others' resolution is coarse, and with one they take half the room."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """What became of one batch: rows in it, how many files brought it, and what was injected."""

    rows: int
    files: int
    late: bool
    injected: list[Injected]


def deliver(simulation: Simulation, out: Path, station: int, batch: int) -> Delivered:
    """Collect one batch of a station and write its file, or two the same, under `out`."""
    collected = collect(simulation, station, batch)
    late, deliveries = delivery_times(simulation, station, batch)
    paths = [out / LANDING_READINGS / reading_file_name(simulation, station, batch, at) for at in deliveries]
    write(collected.table, paths[0], simulation.file_format, deliveries[0])
    for path, at in zip(paths[1:], deliveries[1:], strict=True):
        with whole_file(path, at) as unfinished:
            shutil.copyfile(paths[0], unfinished)
    return Delivered(len(collected.table), len(paths), late, collected.injected)


def delivery_times(simulation: Simulation, station: int, batch: int) -> tuple[bool, list[datetime]]:
    """Whether a batch comes late, and when its file arrives: once, or for a few twice; whole seconds, UTC."""
    drawn = generator(simulation.seed, Purpose.DELIVERY, station, batch).random(5)
    minutes = (batch + 1) * BATCH_MINUTES + _between(SOONEST_MINUTES, LATEST_MINUTES, drawn[0])
    late = bool(drawn[1] < SHARE_LATE)
    if late:
        minutes += 60 * _between(LEAST_LATE_HOURS, MOST_LATE_HOURS, drawn[2])
    first = simulation.instant(minutes).replace(microsecond=0)
    if drawn[3] >= SHARE_REPEATED:
        return late, [first]
    again = timedelta(minutes=_between(SOONEST_REPEAT_MINUTES, LATEST_REPEAT_MINUTES, drawn[4]))
    return late, [first, (first + again).replace(microsecond=0)]


def reading_file_name(simulation: Simulation, station: int, batch: int, delivered: datetime) -> str:
    """When it arrived, who sent it, and the sender's running number of the batch, which a repeat keeps."""
    gateway = STATIONS[station].station_id.lower()
    return f"{delivered:%Y%m%dT%H%M%SZ}-{gateway}-{batch + 1:06d}.{simulation.file_format}"


def _between(low: float, high: float, share: float) -> float:
    return float(low + share * (high - low))


@contextmanager
def whole_file(path: Path, modified: datetime) -> Generator[Path]:
    """A hidden path to write to; its file appears under `path` complete and dated `modified`, or not at all."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        yield unfinished
        os.utime(unfinished, (modified.timestamp(), modified.timestamp()))
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def write(table: pa.Table, path: Path, file_format: FileFormat, modified: datetime) -> None:
    """Write a table as one file; `modified` becomes its time of last change."""
    with whole_file(path, modified) as unfinished:
        if file_format == "parquet":
            _write_parquet(table, unfinished)
        else:
            _write_csv(table, unfinished)


def _write_parquet(table: pa.Table, path: Path) -> None:
    in_dictionary = [name for name in table.column_names if name not in HARDLY_REPEATING]
    # Without the stored Arrow schema, names come back as the plain strings they are, not as dictionaries.
    pq.write_table(  # pyright: ignore[reportUnknownMemberType]
        table,
        path,
        compression="zstd",
        use_dictionary=in_dictionary,  # pyright: ignore[reportArgumentType]  (the stub knows a bool only)
        store_schema=False,
    )


def _write_csv(table: pa.Table, path: Path) -> None:
    text = pa.Table.from_pydict({name: _plain_text(table.column(name)) for name in table.column_names})
    options = pyarrow.csv.WriteOptions(quoting_style="none", quoting_header="none")  # pyright: ignore[reportCallIssue]  (the stub is older)
    pyarrow.csv.write_csv(text, path, options)


def _plain_text(column: "pa.ChunkedArray[Any]") -> "pa.ChunkedArray[Any]":
    """The column as CSV takes it: instants as ISO 8601 ending in Z, dictionaries as their values."""
    if pa.types.is_timestamp(column.type):
        seconds = column.cast(pa.timestamp("s", tz="UTC"))
        return pc.call_function("strftime", [seconds], ISO_FORMAT)  # pyright: ignore[reportUnknownMemberType]
    if pa.types.is_dictionary(column.type):
        return column.cast(pa.string())
    return column
