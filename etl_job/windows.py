"""Silver to Gold, second half: 1 h, 4 h and 24 h windows merged from hourly partials.

There is a window for every hour in which a machine was heard; it ends with that hour. It merges the partials of that
hour and of those before it, by the pairwise formulas of Chan, Golub and LeVeque (1983), in an order that depends on
the machine's hours alone, so the same partials always give the same bits.
"""

# Arrow's stubs leave its arrays untyped:
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeArgument=false, reportCallIssue=false
# pyright: reportArgumentType=false, reportUnknownLambdaType=false, reportAttributeAccessIssue=false

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame

from etl_job.delta_tables import AGGREGATES_SCHEMA
from shared_code.readings import COMPRESSOR, ORGANIZATION

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

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

HOUR_US: Final = 3_600_000_000

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
    hours = hours.sort_by([(ORGANIZATION, "ascending"), (COMPRESSOR, "ascending"), ("hour", "ascending")])
    neighbours = _Neighbours(hours)
    written = _integers(pc.equal(hours.column("batch_id"), batch_id))
    tables: list[pa.Table] = []
    for window_type, length in LENGTHS.items():
        touched = pa.array(neighbours.total(written, length) > 0)
        expected = length * 60 // reading_interval_minutes
        tables.append(_window(hours, neighbours, window_type, length, expected, batch_id).filter(touched))
    return pa.concat_tables(tables)


class _Neighbours:
    """For rows sorted by machine and hour: what lies up to so many hours before each row, on the same machine."""

    def __init__(self, hours: pa.Table) -> None:
        count = hours.num_rows
        self.hour = _integers(hours.column("hour")) // HOUR_US
        owner, machine = (_codes(hours.column(name)) for name in (ORGANIZATION, COMPRESSOR))
        starts = np.ones(count, dtype=bool)
        starts[1:] = (owner[1:] != owner[:-1]) | (machine[1:] != machine[:-1])
        self.first_row = np.maximum.accumulate(np.where(starts, np.arange(count), 0))

    def steps(self, length: int) -> Iterator[tuple[Integers, Integers]]:
        """Yield, row by row back in time, (rows that have such a neighbour in the window, that neighbour's row)."""
        rows = np.arange(len(self.hour))
        for back in range(length):
            here = rows[rows - back >= self.first_row]
            here = here[self.hour[here] - self.hour[here - back] < length]
            if not len(here):
                return
            yield here, here - back

    def total(self, values: npt.NDArray[Any], length: int) -> npt.NDArray[Any]:
        """Return each row's sum over its window; values must have no NaN."""
        result = np.zeros_like(values)
        for here, there in self.steps(length):
            result[here] += values[there]
        return result

    def extreme(self, values: Floats, length: int, pick: np.ufunc) -> Floats:
        """Return each row's least or greatest value over its window; NaN stands for none."""
        result = np.full_like(values, np.nan)
        for here, there in self.steps(length):
            result[here] = pick(result[here], values[there])
        return result


def _window(
    hours: pa.Table, neighbours: _Neighbours, window_type: str, length: int, expected: int, batch_id: str
) -> pa.Table:
    readings = neighbours.total(_integers(hours.column("reading_count")), length)
    end = pc.add(hours.column("hour"), pa.scalar(HOUR_US, pa.duration("us")))
    columns: dict[str, Any] = {
        ORGANIZATION: hours.column(ORGANIZATION),
        COMPRESSOR: hours.column(COMPRESSOR),
        "window_type": pa.repeat(window_type, hours.num_rows),
        "agg_timestamp": end,
        "date": end.cast(pa.date32()),
        "reading_count": readings,
        "missing_readings": np.maximum(expected - readings, 0),
        "suspect_readings": neighbours.total(_integers(hours.column("suspect_readings")), length),
        "batch_id": pa.repeat(batch_id, hours.num_rows),
    }
    for prefix, channel in CHANNELS.items():
        for statistic, values in _statistics(hours, neighbours, channel, length).items():
            columns[f"{prefix}_{statistic}"] = pa.array(values, from_pandas=True)
    columns["discharge_temp_rate_of_change"] = pa.array(
        _rate_per_hour(hours, neighbours, CHANNELS["discharge_temp"], length), from_pandas=True
    )
    schema = _arrow_schema()
    return pa.table({name: columns[name] for name in schema.names}).cast(schema)


def _statistics(hours: pa.Table, neighbours: _Neighbours, channel: str, length: int) -> dict[str, Floats]:
    n, mean, m2, low, high = (_floats(hours.column(f"{channel}_{part}")) for part in PARTS)
    empty = n == 0
    mean, m2 = np.where(empty, 0.0, mean), np.where(empty, 0.0, m2)
    with np.errstate(invalid="ignore", divide="ignore"):
        count = neighbours.total(n, length)
        # About the row's own mean, which is near all the others: little is lost in the sums.
        near = mean.copy()
        total, squares = np.zeros_like(mean), np.zeros_like(mean)
        for here, there in neighbours.steps(length):
            total[here] += n[there] * (mean[there] - near[here])
        centre = near + total / count
        for here, there in neighbours.steps(length):
            squares[here] += m2[there] + n[there] * (mean[there] - centre[here]) ** 2
        deviation = np.sqrt(squares / (count - 1))
    return {
        "mean": np.where(count > 0, centre, np.nan),
        "std": np.where(count > 1, deviation, np.nan),
        "min": neighbours.extreme(low, length, np.fmin),
        "max": neighbours.extreme(high, length, np.fmax),
    }


def _rate_per_hour(hours: pa.Table, neighbours: _Neighbours, channel: str, length: int) -> Floats:
    """Change from the first to the last usable value over the time between them, per hour."""
    first, first_at, last, last_at = (_floats(hours.column(f"{channel}_{part}")) for part in RATED)
    began, began_at, ended, ended_at = (np.full_like(first, np.nan) for _ in range(4))
    for here, there in neighbours.steps(length):
        heard = ~np.isnan(first[there])
        here, there = here[heard], there[heard]  # noqa: PLW2901 - only hours with a usable value count
        began[here], began_at[here] = first[there], first_at[there]
        later = here[np.isnan(ended[here])]
        source = there[np.isnan(ended[here])]
        ended[later], ended_at[later] = last[source], last_at[source]
    with np.errstate(invalid="ignore", divide="ignore"):
        elapsed = (ended_at - began_at) / HOUR_US
        return np.where(elapsed > 0, (ended - began) / elapsed, np.nan)


def _arrow_schema() -> pa.Schema:
    kinds = {
        "string": pa.string(),
        "timestamp": pa.timestamp("us", "UTC"),
        "date": pa.date32(),
        "double": pa.float64(),
        "int": pa.int32(),
    }
    return pa.schema([(field.name, kinds[field.dataType.simpleString()]) for field in AGGREGATES_SCHEMA])


def _floats(column: pa.ChunkedArray) -> Floats:
    """Return a column as floats, NULL as NaN; microseconds of an instant are exact in a float64."""
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    return column.to_numpy().astype(np.float64, copy=False)


def _integers(column: pa.ChunkedArray) -> Integers:
    return column.cast(pa.int64()).to_numpy()


def _codes(column: pa.ChunkedArray) -> Integers:
    return column.combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64)
