"""Bulk rows on their way into SQL."""

from collections.abc import Generator, Iterable, Iterator

import pytest
from psycopg.conninfo import make_conninfo
from sqlalchemy import delete, select

from shared_code.database import transactions
from shared_code.database.engines import Database, Role
from shared_code.database.staging import CopyError, copy_csv
from shared_code.database.tables import staging_data_quality_metrics as staged

ORGANIZATION = "00000000-0000-4000-8000-000000000001"
COLUMNS = [column.name for column in staged.columns]


@pytest.fixture
def conninfo(database: Database) -> Generator[str]:
    url = database.engine(Role.ETL).url
    yield make_conninfo(
        host=str(url.query["host"]), port=str(url.query["port"]), user=url.username, dbname=url.database
    )
    with transactions.job(database) as connection:
        connection.execute(delete(staged))


def csv(*values: str) -> bytes:
    return ",".join(values).encode() + b"\n"


def a_row(compressor_id: str, details: str = '"{""n"": 1}"') -> bytes:
    return csv("a batch", ORGANIZATION, compressor_id, "accuracy", "2026-01-12T00:00:00Z", "1", "0.98", "t", details)


def copied(database: Database, conninfo: str, chunks: Iterable[bytes]) -> list[str]:
    copy_csv(conninfo, staged.name, COLUMNS, chunks)
    with transactions.job(database) as connection:
        return list(connection.scalars(select(staged.c.compressor_id).order_by(staged.c.compressor_id)))


def test_chunks_need_not_end_where_rows_end(database: Database, conninfo: str) -> None:
    rows = a_row("COMP-001") + a_row('"COMP, ""002"""')

    assert copied(database, conninfo, [rows[:30], rows[30:31], rows[31:]]) == ['COMP, "002"', "COMP-001"]


def test_no_chunk_is_no_row(database: Database, conninfo: str) -> None:
    assert copied(database, conninfo, []) == []


def test_rows_are_copied_all_or_none(database: Database, conninfo: str) -> None:
    with pytest.raises(CopyError, match="null value") as refusal:
        copied(database, conninfo, [a_row("COMP-001"), a_row("COMP-002", details="")])

    assert "COMP-002" not in str(refusal.value)

    assert copied(database, conninfo, []) == []


def test_a_source_that_fails_copies_nothing(database: Database, conninfo: str) -> None:
    def broken() -> Iterator[bytes]:
        yield a_row("COMP-001")
        raise OSError("the file ended early")

    with pytest.raises(OSError, match="the file ended early"):
        copied(database, conninfo, broken())

    assert copied(database, conninfo, []) == []


def test_the_api_may_not_copy(conninfo: str) -> None:
    as_api = make_conninfo(conninfo, user=Role.APP)

    with pytest.raises(CopyError, match="permission denied"):
        copy_csv(as_api, staged.name, COLUMNS, [a_row("COMP-001")])
