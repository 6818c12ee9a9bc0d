"""Bulk rows on their way into SQL: in a staging table they mean nothing until a transaction merges them.

Whoever loads them may be another process on another machine, so a loader is plain data that can be sent there.
"""

# Arrow's stubs leave its arrays untyped:
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeArgument=false, reportCallIssue=false
# pyright: reportArgumentType=false

import re
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Protocol
from uuid import UUID

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from pgpq import ArrowToPostgresBinaryEncoder
from pgpq.encoders import StringEncoderBuilder
from pgpq.schema import Jsonb
from psycopg import sql
from psycopg.conninfo import make_conninfo

from shared_code.errors import AltavizError

if TYPE_CHECKING:  # executors, which load rows, need not load SQLAlchemy
    from sqlalchemy import Engine, Table

ARROW_TYPES: Final[dict[type, pa.DataType]] = {
    UUID: pa.uuid(),
    str: pa.string(),
    datetime: pa.timestamp("us", "UTC"),
    float: pa.float64(),
    int: pa.int32(),
    bool: pa.bool_(),
    object: pa.json_(),  # whatever JSON can be
}

CHUNK_ROWS: Final = 5_000
"""pyodbc sends all rows that it is given at once, each as wide as the longest texts; so few fit into little memory."""

OdbcType = tuple[int, int, int]
"""A SQL type's number in ODBC, its size, and its decimals. pyodbc has names for the numbers, but see below."""

ODBC_TYPES: Final[dict[pa.DataType, OdbcType]] = {
    pa.uuid(): (-11, 36, 0),
    pa.float64(): (8, 53, 0),
    pa.int32(): (4, 10, 0),
    pa.bool_(): (-7, 1, 0),
}
SQL_WVARCHAR: Final = -9

NVARCHAR_CHARACTERS: Final = 4_000
"""The longest there is; more are an nvarchar(max), whose size ODBC calls 0."""

INSTANT: Final = "%Y-%m-%d %H:%M:%S +00:00"
"""A datetimeoffset as SQL Server reads it."""


class StagingError(AltavizError):
    """Rows could not be loaded; the sentence holds no value of theirs, and nothing that opens the database."""


class Loader(Protocol):
    """How rows get into a staging table: all or none."""

    def load(self, table: str, columns: pa.Schema, batches: Iterable[pa.RecordBatch]) -> int:
        """Load rows.

        Args:
            table: a staging table.
            columns: of the table; see `columns_of`.
            batches: hold these columns by name; ids and documents may be text.

        Returns:
            How many rows were loaded.

        Raises:
            StagingError: the server refused, or a value is not of its column's type.
        """
        ...


def loader(engine: "Engine") -> Loader:
    """Return what loads rows where the engine does, and as whom."""
    url = engine.url
    if engine.dialect.name == "postgresql":
        return CopyLoader(
            make_conninfo("", **url.translate_connect_args(username="user", database="dbname"), **url.query)
        )
    (connection_string,), _ = engine.dialect.create_connect_args(url)
    return ExecutemanyLoader(connection_string)


def columns_of(table: "Table", only: Collection[str] | None = None) -> pa.Schema:
    """Return a staging table's columns, or those of these names, by name and Arrow's type."""
    columns = [column for column in table.columns if only is None or column.name in only]
    return pa.schema([(column.name, ARROW_TYPES[column.type.python_type]) for column in columns])


@dataclass(frozen=True, slots=True)
class CopyLoader:
    """PostgreSQL: COPY in its binary format, which neither side has to write and read as text."""

    conninfo: str = field(repr=False)

    def load(self, table: str, columns: pa.Schema, batches: Iterable[pa.RecordBatch]) -> int:
        """Load rows; see `Loader`."""
        statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(
            sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns.names))
        )
        encoder = ArrowToPostgresBinaryEncoder.new_with_encoders(
            columns, {column.name: _encoder(column) for column in columns}
        )
        try:
            with psycopg.connect(self.conninfo) as connection, connection.cursor() as cursor:
                with cursor.copy(statement) as copy:
                    copy.write(encoder.write_header())
                    for batch in batches:
                        copy.write(encoder.write_batch(_typed(batch, columns)))
                    copy.write(encoder.finish())
                return cursor.rowcount
        except psycopg.DatabaseError as failure:
            # PostgreSQL's full message quotes the row; what went wrong is enough.
            said = failure.diag.message_primary or "the connection was lost"
            raise StagingError(f"could not load {table}: {said} ({failure.sqlstate})") from None


@dataclass(frozen=True, slots=True)
class ExecutemanyLoader:
    """Azure SQL: pyodbc's fast_executemany, in chunks and one transaction."""

    connection_string: str = field(repr=False)

    def load(self, table: str, columns: pa.Schema, batches: Iterable[pa.RecordBatch]) -> int:
        """Load rows; see `Loader`."""
        import pyodbc  # noqa: PLC0415 - wants the system's ODBC library, which only Azure SQL needs

        names = ", ".join(columns.names)
        statement = f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608 - our names
        rows = 0
        try:
            with (
                closing(pyodbc.connect(self.connection_string, autocommit=False)) as connection,
                connection,
                closing(connection.cursor()) as cursor,
            ):
                for chunk in _chunks(batches):
                    types, values = zip(*map(_for_odbc, _typed(chunk, columns).columns), strict=True)
                    # Without them pyodbc takes a parameter's type from what it sees first, which may be NULL.
                    cursor.setinputsizes(types)
                    # Rows with an nvarchar(max) go one by one: its values are sent in pieces, not from an array.
                    cursor.fast_executemany = all(size for _, size, _ in types)
                    cursor.executemany(statement, list(zip(*values, strict=True)))
                    rows += chunk.num_rows
        except pyodbc.Error as failure:
            # SQL Server's messages quote values; its numbers say what went wrong.
            codes = [str(failure.args[0]), *re.findall(r"\((-?\d+)\) \(SQL\w+\)", str(failure))[-1:]]
            raise StagingError(f"could not load {table}: the database refused ({', '.join(codes)})") from None
        return rows


def _encoder(column: pa.Field) -> Any:  # noqa: ANN401 - pgpq has no common type for them
    if column.type == pa.json_():
        return StringEncoderBuilder.new_with_output(column, Jsonb())
    return ArrowToPostgresBinaryEncoder.infer_encoder(column)


def _chunks(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        for start in range(0, batch.num_rows, CHUNK_ROWS):
            yield batch.slice(start, CHUNK_ROWS)


def _typed(batch: pa.RecordBatch, columns: pa.Schema) -> pa.RecordBatch:
    """Return a batch's columns in the order and of the types given."""
    return pa.RecordBatch.from_arrays([_cast(batch.column(column.name), column) for column in columns], schema=columns)


def _cast(values: pa.Array, column: pa.Field) -> pa.Array:
    try:
        if column.type == pa.uuid() and values.type != column.type:
            texts = values.dictionary_encode()  # few organizations, many rows
            return pa.array([UUID(text) for text in texts.dictionary.to_pylist()], column.type).take(texts.indices)
        return values.cast(column.type)
    except ValueError:  # Arrow's own among them; its message quotes the value
        raise StagingError(f"a value of {column.name} is not {column.type}") from None


def _for_odbc(values: pa.Array) -> tuple[OdbcType, list[Any]]:
    """Return a column's SQL type and its values as pyodbc takes them."""
    if values.type in ODBC_TYPES:
        return ODBC_TYPES[values.type], values.to_pylist()
    # pyodbc would drop an instant's zone; SQL Server reads it from text.
    texts = pc.strftime(values.cast(pa.timestamp("us")), INSTANT) if pa.types.is_timestamp(values.type) else values
    longest = pc.max(pc.utf8_length(texts.cast(pa.string()))).as_py() or 1
    # SQL Server keeps a plan for every size, so there are few; a character may be two of UTF-16's.
    size = 1 << (2 * longest - 1).bit_length()
    return (SQL_WVARCHAR, size if size <= NVARCHAR_CHARACTERS else 0, 0), texts.to_pylist()
