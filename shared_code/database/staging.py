"""Bulk rows on their way into SQL: in a staging table they mean nothing until a transaction merges them."""

from collections.abc import Iterable

import psycopg
from psycopg import sql

from shared_code.errors import AltavizError


class CopyError(AltavizError):
    """Rows could not be copied."""


def copy_csv(conninfo: str, table: str, columns: Iterable[str], chunks: Iterable[bytes]) -> int:
    """Copy CSV rows into a staging table, all or none.

    Args:
        conninfo: libpq connection string of a role that may write the table.
        table: a staging table.
        columns: in the order of the CSV fields.
        chunks: CSV without a header; an empty unquoted field is NULL.

    Returns:
        How many rows were copied.

    Raises:
        CopyError: the server refused; the sentence holds no value.
    """
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    try:
        with psycopg.connect(conninfo) as connection, connection.cursor() as cursor:
            with cursor.copy(statement) as copy:
                for chunk in chunks:
                    copy.write(chunk)
            return cursor.rowcount
    except psycopg.DatabaseError as failure:
        # PostgreSQL's full message quotes the row; what went wrong is enough.
        said = failure.diag.message_primary or "the connection was lost"
        raise CopyError(f"could not copy into {table}: {said} ({failure.sqlstate})") from None
