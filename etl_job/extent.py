"""Which days and machines readings are of, so that no more of a table is read or changed than lies around them."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any, Self

from pyspark.sql import Column
from pyspark.sql import functions as f

from shared_code.readings import COMPRESSOR


@dataclass(frozen=True, slots=True)
class Extent:
    """Days, as they are or all from the first to the last, and machines, from the first id to the last."""

    days: tuple[date, ...]
    first_machine: str
    last_machine: str

    @staticmethod
    def measures(day: Column, machine: Column) -> list[Column]:
        """Return what to aggregate over rows, NULLs left out, to get their extent."""
        return [
            f.min(day).alias("first_day"),
            f.max(day).alias("last_day"),
            f.min(machine).alias("first_machine"),
            f.max(machine).alias("last_machine"),
        ]

    @classmethod
    def of(cls, measured: Mapping[str, Any]) -> Self | None:
        """Return the extent that these measures tell; None where there was no row."""
        first, last = measured["first_day"], measured["last_day"]
        if first is None:
            return None
        days = (first + timedelta(days=step) for step in range((last - first).days + 1))
        return cls(tuple(days), measured["first_machine"], measured["last_machine"])

    def among(self, days: Collection[date]) -> Self | None:
        """Return what of this is of these days; None where nothing is."""
        left = tuple(day for day in self.days if day in days)
        return replace(self, days=left) if left else None

    @classmethod
    def union(cls, extents: Iterable[Self]) -> Self | None:
        """Return the smallest extent that holds these; None without any."""
        given = list(extents)
        if not given:
            return None
        return cls(
            tuple(sorted({day for extent in given for day in extent.days})),
            min(extent.first_machine for extent in given),
            max(extent.last_machine for extent in given),
        )

    def days_around(self, reach: int) -> list[date]:
        """Return the days and those up to `reach` from one of them, in order."""
        return sorted({day + timedelta(days=step) for day in self.days for step in range(-reach, reach + 1)})

    def around(self, reach: int, table: str = "") -> Column:
        """Say of a table's rows, by `date` and compressor_id, whether they lie within so many days of these."""
        prefix = f"{table}." if table else ""
        machine = f.col(f"{prefix}{COMPRESSOR}")
        return f.col(f"{prefix}date").isin(self.days_around(reach)) & machine.between(
            self.first_machine, self.last_machine
        )
