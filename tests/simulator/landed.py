"""A landing folder as tests look at it: every delivered row once, the truth, and the files."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from shared_code.readings import LANDING_READINGS
from simulator.delivery import simulate
from simulator.simulation import Simulation

Row = dict[str, Any]


@dataclass(frozen=True)
class Landed:
    """What a simulation in Parquet left in a folder."""

    folder: Path
    simulation: Simulation

    @property
    def files(self) -> list[Path]:
        return sorted((self.folder / LANDING_READINGS).iterdir())

    @cached_property
    def rows(self) -> dict[tuple[str, datetime], Row]:
        """Every reading by machine and instant; a repeated delivery adds nothing."""
        return {(row["compressor_id"], row["timestamp"]): row for path in self.files for row in rows_of(path)}

    @cached_property
    def truth(self) -> list[Row]:
        return rows_of(self.folder / "truth" / "faults.parquet")

    def injected(self, *kinds: str) -> list[Row]:
        return [row for row in self.truth if row["kind"] in kinds]

    def struck(self, *kinds: str) -> set[tuple[str, datetime, str | None]]:
        """Machine, instant and sensor of every reading that faults of these kinds cover."""
        return {(row["compressor_id"], at, row["sensor"]) for row in self.injected(*kinds) for at in self.covered(row)}

    def covered(self, row: Row) -> list[datetime]:
        """The scheduled readings from a fault's start up to its end or the period's."""
        step = timedelta(minutes=self.simulation.interval_minutes)
        readings = (min(row["end"], self.simulation.end) - row["start"]) // step
        return [row["start"] + step * n for n in range(readings)]

    def series(self, compressor: str, sensor: str, first_day: float, last_day: float) -> NDArray[np.float64]:
        """Days since the start and values, shape (2, readings), of the delivered readings that have a value."""
        pairs = [
            ((at - self.simulation.start) / timedelta(days=1), row[sensor])
            for (machine, at), row in sorted(self.rows.items())
            if machine == compressor and row[sensor] is not None
        ]
        days, values = np.array(pairs).T
        within = (first_day <= days) & (days < last_day)
        return np.array([days[within], values[within]])


def rows_of(path: Path) -> list[Row]:
    return pq.read_table(path).to_pylist()  # pyright: ignore[reportUnknownMemberType]


def delivered_at(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)


def landed(folder: Path, simulation: Simulation, processes: int = 1) -> Landed:
    simulate(simulation, folder, processes, lambda _done, _total: None)
    return Landed(folder, simulation)


def digest(folder: Path) -> dict[str, tuple[str, float]]:
    """Hash of the bytes and time of change of every file under a folder."""
    return {
        str(path.relative_to(folder)): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime)
        for path in folder.rglob("*")
        if path.is_file()
    }
