"""Parquet, in and out: the one module of the API that needs Arrow, and is imported when it is first needed."""

# Arrow's stubs leave its arrays untyped:
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeArgument=false, reportCallIssue=false
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportOptionalSubscript=false

import io
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from shared_code.errors import InvalidError
from shared_code.identifiers import OrganizationId
from shared_code.readings import COMPRESSOR, ORGANIZATION, TIMESTAMP

MAX_UNPACKED_BYTES: Final = 64 * 1_048_576
RECEIPT: Final = b"altaviz.receipt"
"""Under this name a file holds what its sender is told, however often the same is sent."""

_INSTANT: Final = pa.timestamp("us", tz="UTC")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NANOSECONDS: Final = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
_TEXT: Final = {"STRING", "NONE"}


def read_rows(content: bytes, *, fields: Collection[str], at_most: int) -> list[dict[str, object]]:
    """Return the rows of a file, with those of its columns that are among `fields`.

    Raises:
        InvalidError: it cannot be read, or is too large once it is unpacked.
    """
    try:
        described = pq.read_metadata(pa.BufferReader(content))
        names = [name for name in described.schema.to_arrow_schema().names if name in fields]
        _check(described, names, at_most)
        # Text stays in dictionaries, so that a long one that repeats is held once.
        in_dictionaries = [
            described.schema.column(place).name
            for place in range(described.num_columns)
            if described.schema.column(place).physical_type == "BYTE_ARRAY"
            and described.schema.column(place).logical_type.type in _TEXT
        ]
        file = pq.ParquetFile(pa.BufferReader(content), read_dictionary=in_dictionaries)
        table = file.read(columns=names, use_threads=False)
        columns = [_values(table.column(name)) for name in names]
    except (pa.ArrowException, OSError, ValueError):
        raise InvalidError("the body cannot be read as Parquet") from None
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _check(described: pq.FileMetaData, names: Sequence[str], at_most: int) -> None:
    if described.num_rows > at_most:
        raise InvalidError(f"a request may hold {at_most} readings; send the others in another one")
    unpacked = sum(described.row_group(place).total_byte_size for place in range(described.num_row_groups))
    if unpacked > MAX_UNPACKED_BYTES:
        raise InvalidError(f"the file may unpack to {MAX_UNPACKED_BYTES} bytes")
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise InvalidError(f"the file has a column twice: {', '.join(doubled)}")


def _values(column: pa.ChunkedArray) -> list[Any]:
    return [value for chunk in column.chunks for value in _chunk_values(chunk)]


def _chunk_values(chunk: pa.Array) -> list[Any]:
    if pa.types.is_dictionary(chunk.type):
        words = _chunk_values(chunk.dictionary)
        return [None if place is None else words[place] for place in chunk.indices.to_pylist()]
    if pa.types.is_timestamp(chunk.type):
        return [_instant(count, chunk.type) for count in chunk.cast(pa.int64()).to_pylist()]
    if pa.types.is_floating(chunk.type) or pa.types.is_decimal(chunk.type):
        return chunk.cast(pa.float64(), safe=False).to_pylist()
    return chunk.to_pylist()


def _instant(count: int | None, kind: pa.TimestampType) -> object:
    """Return an instant, naive where the column has no zone; one beyond the calendar is no instant, but text."""
    if count is None:
        return None
    try:
        instant = _EPOCH + timedelta(microseconds=count * _NANOSECONDS[kind.unit] // 1_000)
    except OverflowError:
        return f"{count} {kind.unit}"
    return instant if kind.tz else instant.replace(tzinfo=None)


def write(columns: Mapping[str, list[Any]], organization_id: OrganizationId, receipt: bytes) -> bytes:
    """Return a landing file of readings that names its organization in every row."""
    count = len(columns[COMPRESSOR])
    arrays = {ORGANIZATION: pa.repeat(pa.scalar(str(organization_id)), count)}
    arrays |= {name: _array(name, values) for name, values in columns.items()}
    table = pa.table(arrays).replace_schema_metadata({RECEIPT: receipt})
    file = io.BytesIO()
    pq.write_table(table, file, compression="zstd")
    return file.getvalue()


def _array(name: str, values: list[Any]) -> pa.Array:
    if name == COMPRESSOR:
        return pa.array(values, pa.string())
    if name == TIMESTAMP:
        return pa.array(values, _INSTANT)
    if any(isinstance(value, str) for value in values):  # then all are text, from which the job reads the same numbers
        return pa.array([None if value is None else str(value) for value in values], pa.string())
    return pa.array(values, pa.float64())


def write_windows(
    rows: Sequence[Mapping[str, Any]], fields: Sequence[str], units: Mapping[str, str], about: Mapping[str, str]
) -> bytes:
    """Return windows as a file; a column's unit is in its metadata as `unit`, what is `about` all in the schema's."""
    columns = [
        pa.field(name, _window_type(name), metadata={"unit": units[name]} if name in units else None) for name in fields
    ]
    values = [
        pa.array([row[field.name] for row in rows], field.type, from_pandas=True)  # what is no number is null
        for field in columns
    ]
    table = pa.table(values, schema=pa.schema(columns, dict(about)))
    file = io.BytesIO()
    pq.write_table(table, file, compression="zstd")
    return file.getvalue()


def _window_type(field: str) -> pa.DataType:
    if field in {COMPRESSOR, "window_type"}:
        return pa.string()
    if field == "agg_timestamp":
        return _INSTANT
    return pa.int64() if field.endswith("readings") or field == "reading_count" else pa.float64()


def receipt_of(content: bytes) -> bytes:
    """Return what the sender of a landing file is told."""
    return pq.read_metadata(pa.BufferReader(content)).metadata[RECEIPT]
