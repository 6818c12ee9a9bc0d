"""Bulk rows on their way into SQL: in a staging table they mean nothing until a transaction merges them."""

from collections.abc import Iterable

import psycopg
from psycopg import sql


def copy_csv(conninfo: str, table: str, columns: Iterable[str], chunks: Iterable[bytes]) -> None:
    """Copy CSV rows into a staging table, all or none.

    Args:
        conninfo: libpq connection string of a role that may write the table.
        table: a staging table.
        columns: in the order of the CSV fields.
        chunks: CSV without a header; an empty unquoted field is NULL.
    """
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with psycopg.connect(conninfo) as connection, connection.cursor() as cursor, cursor.copy(statement) as copy:
        for chunk in chunks:
            copy.write(chunk)
