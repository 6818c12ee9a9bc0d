"""Silver to Gold, second half: 1 h, 4 h and 24 h windows merged from hourly partials.

There is a window for every hour in which a machine was heard; it ends with that hour. It merges the partials of that
hour and of those before it. A window is made of two shorter ones (1 + 1, 2 + 2, 4 + 4, 8 + 8, and 8 + 16 hours), by
the pairwise formulas of Chan, Golub and LeVeque (1983). What is merged with what depends on the machine's hours in the
window alone, so the same partials always give the same bits.
"""

# Arrow's stubs leave its arrays untyped:
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeArgument=false, reportCallIssue=false
# pyright: reportArgumentType=false, reportUnknownLambdaType=false, reportAttributeAccessIssue=false

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Self, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame

from etl_job.arrays import INSTANT, arrow_schema, or_null
from etl_job.delta_tables import AGGREGATES_SCHEMA
from shared_code.arrays import DAY_US, HOUR_US, Floats, Integers, codes, floats, integers
from shared_code.readings import COMPRESSOR, ORGANIZATION

PartT = TypeVar("PartT")

LENGTHS: Final[Mapping[str, int]] = {"1hr": 1, "4hr": 4, "24hr": 24}
"""Window type -> hours."""

CHANNELS: Final[Mapping[str, str]] = {
    "vibration": "vibration_mms",
    "discharge_temp": "discharge_temp_f",
    "suction_pressure": "suction_pressure_psi",
    "discharge_pressure": "discharge_pressure_psi",
    "pressure_delta": "pressure_differential",
    "horsepower": "horsepower_consumption",
    "gas_flow": "gas_flow_mcf",
}
"""Prefix of the published columns -> channel of the partials."""

LONGEST: Final = max(LENGTHS.values())

PARTS: Final = ("n", "mean", "m2", "min", "max")
RATED: Final = ("first", "first_at", "last", "last_at")
NEEDED: Final = (
    ORGANIZATION,
    COMPRESSOR,
    "hour",
    "batch_id",
    "reading_count",
    "suspect_readings",
    *(f"{channel}_{part}" for channel in CHANNELS.values() for part in PARTS),
    *(f"{CHANNELS['discharge_temp']}_{part}" for part in RATED),
)


def windows(hours: DataFrame, *, reading_interval_minutes: int, batch_id: str) -> DataFrame:
    """Return the windows that a batch changed, in the schema of `gold/sensor_readings_agg`.

    Args:
        hours: partials; of each machine all that those windows contain, some of them written by the batch.
        reading_interval_minutes: how often a machine is read, to tell how many readings are missing.
        batch_id: windows without a partial that this batch wrote are left out.
    """

    def merge_partition(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        received = list(batches)
        if received:
            merged = merge(pa.Table.from_batches(received), reading_interval_minutes, batch_id)
            yield from merged.to_batches(max_chunksize=10_000)

    return hours.select(*NEEDED).repartition(ORGANIZATION, COMPRESSOR).mapInArrow(merge_partition, AGGREGATES_SCHEMA)


def merge(hours: pa.Table, reading_interval_minutes: int, batch_id: str) -> pa.Table:
    """Return the changed windows of whole machines, given their hours in any order."""
    hours = hours.combine_chunks()
    machine, hour = (
        codes(hours.column(ORGANIZATION), hours.column(COMPRESSOR)),
        integers(hours.column("hour")) // HOUR_US,
    )
    order = np.lexsort((hour, machine))
    hours, machine, hour = hours.take(pa.array(order)).combine_chunks(), machine[order], hour[order]
    line = _HourLine(machine, hour)
    written = integers(pc.cast(pc.equal(hours.column("batch_id"), batch_id), pa.int64()))
    touched = line.windows_of_counts(written)
    readings, suspect = (
        line.windows_of_counts(integers(hours.column(name))) for name in ("reading_count", "suspect_readings")
    )
    moments = {prefix: line.windows_of(_moments(hours, channel)) for prefix, channel in CHANNELS.items()}
    spans = line.windows_of(_Span(*(floats(hours.column(f"{CHANNELS['discharge_temp']}_{part}")) for part in RATED)))
    tables: list[pa.Table] = []
    for window_type, length in LENGTHS.items():
        rows = np.flatnonzero(touched[window_type])
        count = len(rows)
        ended = (hour[rows] + 1) * HOUR_US
        columns: dict[str, Any] = {
            ORGANIZATION: hours.column(ORGANIZATION).take(pa.array(rows)),
            COMPRESSOR: hours.column(COMPRESSOR).take(pa.array(rows)),
            "window_type": pa.repeat(window_type, count),
            "agg_timestamp": pa.array(ended, INSTANT),
            "date": pa.array((ended // DAY_US).astype(np.int32), pa.date32()),
            "discharge_temp_rate_of_change": or_null(spans[window_type].at(rows).rate_per_hour()),
            "reading_count": readings[window_type][rows],
            "missing_readings": np.maximum(length * 60 // reading_interval_minutes - readings[window_type][rows], 0),
            "suspect_readings": suspect[window_type][rows],
            "batch_id": pa.repeat(batch_id, count),
        }
        for prefix, found in moments.items():
            for statistic, values in found[window_type].at(rows).statistics().items():
                columns[f"{prefix}_{statistic}"] = or_null(values)
        schema = arrow_schema(AGGREGATES_SCHEMA)
        tables.append(pa.table({name: columns[name] for name in schema.names}).cast(schema))
    return pa.concat_tables(tables)


@dataclass(frozen=True, slots=True)
class _Parts:
    """Arrays of equal length, one element an hour; what an hour without readings holds is each field's own."""

    @classmethod
    def nothing(cls) -> Mapping[str, float]:
        """Return, for each field, what leaves another hour as it is when merged with it."""
        raise NotImplementedError

    def at(self, rows: npt.NDArray[Any]) -> Self:
        """Return the elements at these places."""
        return type(self)(*(getattr(self, field.name)[rows] for field in fields(self)))

    def filled(self, fill: Callable[[npt.NDArray[Any], float], npt.NDArray[Any]]) -> Self:
        """Return these parts with every array put through `fill`, which is told what stands for nothing."""
        nothing = self.nothing()
        return type(self)(*(fill(getattr(self, field.name), nothing[field.name]) for field in fields(self)))


@dataclass(frozen=True, slots=True)
class _Moments(_Parts):
    """How many values there were, and how they lie."""

    n: Floats
    mean: Floats
    m2: Floats
    low: Floats
    high: Floats

    @classmethod
    def nothing(cls) -> Mapping[str, float]:
        return {"n": 0.0, "mean": 0.0, "m2": 0.0, "low": np.nan, "high": np.nan}

    def then(self, later: Self) -> "_Moments":
        """Merge with the moments of the hours after."""
        n = self.n + later.n
        share = later.n / np.maximum(n, 1)
        apart = later.mean - self.mean
        return _Moments(
            n=n,
            mean=self.mean + apart * share,
            m2=self.m2 + later.m2 + apart * apart * self.n * share,
            low=np.fmin(self.low, later.low),
            high=np.fmax(self.high, later.high),
        )

    def statistics(self) -> dict[str, Floats]:
        """Return what is published, NaN where there are too few values."""
        spread = np.sqrt(self.m2 / np.maximum(self.n - 1, 1))
        return {
            "mean": np.where(self.n > 0, self.mean, np.nan),
            "std": np.where(self.n > 1, spread, np.nan),
            "min": self.low,
            "max": self.high,
        }


@dataclass(frozen=True, slots=True)
class _Span(_Parts):
    """The first and last value, and when (us); NaN where there is none."""

    first: Floats
    first_at: Floats
    last: Floats
    last_at: Floats

    @classmethod
    def nothing(cls) -> Mapping[str, float]:
        return dict.fromkeys(("first", "first_at", "last", "last_at"), np.nan)

    def then(self, later: Self) -> "_Span":
        """Merge with the span of the hours after."""
        begun, goes_on = ~np.isnan(self.first), ~np.isnan(later.last)
        return _Span(
            first=np.where(begun, self.first, later.first),
            first_at=np.where(begun, self.first_at, later.first_at),
            last=np.where(goes_on, later.last, self.last),
            last_at=np.where(goes_on, later.last_at, self.last_at),
        )

    def rate_per_hour(self) -> Floats:
        """Change from the first to the last value over the time between them."""
        elapsed = (self.last_at - self.first_at) / HOUR_US
        moved = elapsed > 0
        return np.where(moved, (self.last - self.first) / np.where(moved, elapsed, 1.0), np.nan)


PartsT = TypeVar("PartsT", _Moments, _Span)


class _HourLine:
    """Machines' hours laid out on one line, with room enough between machines that no window reaches another's."""

    def __init__(self, machine: Integers, hour: Integers) -> None:
        steps = np.full(len(hour), LONGEST)
        same = machine[1:] == machine[:-1]
        # No window reaches across a longer gap either, so it takes no more room.
        steps[1:][same] = np.minimum(np.diff(hour)[same], LONGEST)
        self.place = np.cumsum(steps)

    def windows_of_counts(self, counts: Integers) -> dict[str, Integers]:
        """Return each hour's sum over the windows that end with it."""
        summed = _widened(self._laid_out(counts, 0), np.add, lambda line, hours: _shifted(line, hours, 0))
        return {window_type: line[self.place] for window_type, line in summed.items()}

    def windows_of(self, parts: PartsT) -> dict[str, PartsT]:
        """Return each hour's parts merged over the windows that end with it."""
        merged = _widened(
            parts.filled(self._laid_out),
            lambda before, later: before.then(later),
            lambda line, hours: line.filled(lambda values, nothing: _shifted(values, hours, nothing)),
        )
        return {window_type: line.at(self.place) for window_type, line in merged.items()}

    def _laid_out(self, values: npt.NDArray[Any], nothing: float) -> npt.NDArray[Any]:
        line = np.full(self.place[-1] + 1, nothing, dtype=values.dtype)
        line[self.place] = values
        return line


def _shifted(line: npt.NDArray[Any], hours: int, nothing: float) -> npt.NDArray[Any]:
    """Return at each place what stands so many hours before it."""
    shifted = np.full_like(line, nothing)
    shifted[hours:] = line[:-hours]
    return shifted


def _widened(
    one: PartT, merged: Callable[[PartT, PartT], PartT], before: Callable[[PartT, int], PartT]
) -> dict[str, PartT]:
    """Make each window type's line from the line of single hours."""
    two = merged(before(one, 1), one)
    four = merged(before(two, 2), two)
    eight = merged(before(four, 4), four)
    sixteen = merged(before(eight, 8), eight)
    return {"1hr": one, "4hr": four, "24hr": merged(before(eight, 16), sixteen)}


def _moments(hours: pa.Table, channel: str) -> _Moments:
    n, mean, m2, low, high = (floats(hours.column(f"{channel}_{part}")) for part in PARTS)
    empty = n == 0
    return _Moments(n, np.where(empty, 0.0, mean), np.where(empty, 0.0, m2), low, high)
