"""What is simulated: the arguments of a run, their bounds, and its division into batches."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

FileFormat = Literal["parquet", "csv"]

DEFAULT_START: Final = datetime(2026, 1, 5, tzinfo=UTC)
BATCH_MINUTES: Final = 360
"""A gateway delivers what it collected every six hours."""
DAY_MINUTES: Final = 1440

MOST_DAYS: Final = 3650
MOST_COMPRESSORS: Final = 100_000
MOST_READINGS_PER_BATCH: Final = 4_000_000
"""Of the whole fleet; a quarter of it is what one process holds in memory."""
INTERVALS: Final = (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60)
"""The divisors of an hour, so that windows of whole hours hold equal numbers of readings."""
EARLIEST_YEAR: Final = 1990
LATEST_YEAR: Final = 2100


class InvalidSimulation(ValueError):  # noqa: N818  (reads as what is wrong, as the shared errors do)
    """An argument is outside its bounds; the text tells the person at the keyboard what to mend."""


@dataclass(frozen=True, slots=True)
class Simulation:
    """The arguments that decide every byte of a simulation; raises InvalidSimulation where they make no sense."""

    days: int = 7
    compressors: int = 10
    interval_minutes: int = 10
    seed: int = 42
    start: datetime = DEFAULT_START
    file_format: FileFormat = "parquet"
    organization: UUID | None = None
    failures: int | None = None
    """How many machines fail in the period, the demonstrated ones among them; by chance where nothing is said."""

    def __post_init__(self) -> None:
        _require(1 <= self.days <= MOST_DAYS, f"days must be 1 to {MOST_DAYS}, not {self.days}")
        _require(
            1 <= self.compressors <= MOST_COMPRESSORS,
            f"compressors must be 1 to {MOST_COMPRESSORS}, not {self.compressors}",
        )
        _require(
            self.interval_minutes in INTERVALS,
            f"interval-minutes must divide an hour ({', '.join(map(str, INTERVALS))}), not {self.interval_minutes}",
        )
        _require(self.seed >= 0, f"seed must be 0 or more, not {self.seed}")
        _require(self.start.utcoffset() == timedelta(0), "start must be in UTC")
        _require(
            EARLIEST_YEAR <= self.start.year <= LATEST_YEAR,
            f"start must be between the years {EARLIEST_YEAR} and {LATEST_YEAR}, not {self.start.year}",
        )
        _require(self.start.microsecond == 0, "start must be a whole second")
        _require(
            self.compressors * self.readings_per_batch <= MOST_READINGS_PER_BATCH,
            f"{self.compressors} compressors every {self.interval_minutes} min are more than {MOST_READINGS_PER_BATCH} "
            "readings in six hours; take fewer compressors or a longer interval",
        )

    @property
    def end(self) -> datetime:
        """The instant after the last reading's interval, UTC."""
        return self.start + timedelta(days=self.days)

    @property
    def readings_per_batch(self) -> int:
        """Readings of one machine in one batch."""
        return BATCH_MINUTES // self.interval_minutes

    @property
    def batches(self) -> int:
        """Batches of each gateway in the period."""
        return self.days * DAY_MINUTES // BATCH_MINUTES

    @property
    def scheduled_readings(self) -> int:
        """Readings of the whole fleet and period, were there no gaps."""
        return self.batches * self.readings_per_batch * self.compressors

    def minutes_of(self, batch: int) -> NDArray[np.int64]:
        """When a machine is read in `batch`: minutes since the start, one per reading."""
        return batch * BATCH_MINUTES + np.arange(self.readings_per_batch) * self.interval_minutes

    def instants(self, minutes: NDArray[np.int64]) -> NDArray[np.datetime64]:
        """Minutes since the start as UTC instants, in microseconds."""
        return np.datetime64(self.start.replace(tzinfo=None), "us") + minutes.astype("timedelta64[m]")

    def instant(self, minutes: float) -> datetime:
        """One instant, `minutes` after the start, UTC."""
        return self.start + timedelta(minutes=minutes)


def _require(holds: bool, otherwise: str) -> None:  # noqa: FBT001  (a condition is what it takes)
    if not holds:
        raise InvalidSimulation(otherwise)
