"""Bulk rows on their way into SQL: by COPY, and by the genuine pyodbc through Debian's PostgreSQL driver."""

# Arrow's stubs leave its arrays untyped:
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

import json
import pickle
from collections.abc import Generator, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from traceback import format_exception
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest
from sqlalchemy import Table, create_engine, delete, select

from shared_code.database import staging, transactions
from shared_code.database.engines import Database, Role
from shared_code.database.staging import CHUNK_ROWS, CopyLoader, ExecutemanyLoader, Loader, StagingError
from shared_code.database.tables import staging_data_quality_metrics as metrics
from shared_code.database.tables import staging_sensor_readings_agg as windows

Row = dict[str, Any]

THEN = datetime(2026, 1, 12, 6, 30, 59, 123457, UTC)
METRIC: Row = {
    "batch_id": "a batch",
    "organization_id": UUID("00000000-0000-4000-8000-00000000abcd"),
    "compressor_id": "COMP-001",
    "metric_type": "accuracy",
    "metric_timestamp": THEN,
    "metric_value": 0.1 + 0.2,
    "pass_threshold": 0.98,
    "passed": True,
    "details": {"n": 1},
}
WINDOW: Row = {column.name: 1 / 3 for column in windows.columns} | {
    "batch_id": "a batch",
    "organization_id": METRIC["organization_id"],
    "compressor_id": "COMP-001",
    "window_type": "24hr",
    "agg_timestamp": THEN,
    "vibration_max": 5e-324,
    "discharge_pressure_max": -1.7976931348623157e308,
    "reading_count": 2**31 - 1,
    "missing_readings": -(2**31),
    "suspect_readings": 0,
}
MEASURED = [column.name for column in windows.columns if column.nullable]


def odbc(database: Database, role: str = Role.ETL, **others: str) -> ExecutemanyLoader:
    """Return what reaches the run's own database through Debian's driver."""
    place = database.engine(Role.ETL).url.query
    known = {"Servername": place["host"], "Port": place["port"], "Database": "postgres", "Username": role}
    elsewhere = {"ConnSettings": "SET TimeZone TO 'America/Chicago'"}
    options = {"Driver": "PostgreSQL Unicode", **known, **elsewhere, **others}
    return ExecutemanyLoader(";".join(f"{name}={value}" for name, value in options.items()))


@pytest.fixture(params=["copy", "executemany"])
def loader(request: pytest.FixtureRequest, database: Database) -> Generator[Loader]:
    yield staging.loader(database.engine(Role.ETL)) if request.param == "copy" else odbc(database)
    with transactions.job(database) as connection:
        for table in (metrics, windows):
            connection.execute(delete(table))


def as_spark_sends(rows: Sequence[Mapping[str, Any]], table: Table) -> pa.RecordBatch:
    """Return rows as they come out of Delta: ids and documents as text, columns in another order."""
    written = [
        {**row, "organization_id": str(row["organization_id"])}
        | ({"details": json.dumps(row["details"], ensure_ascii=False)} if row.get("details") is not None else {})
        for row in rows
    ]
    types = staging.columns_of(table)
    text = {pa.uuid(), pa.json_()}
    schema = pa.schema([(f.name, pa.string() if f.type in text else f.type) for f in reversed(list(types))])
    return pa.RecordBatch.from_pylist(written, schema=schema)


def load(loader: Loader, table: Table, *batches: Sequence[Mapping[str, Any]]) -> int:
    return loader.load(table.name, staging.columns_of(table), (as_spark_sends(rows, table) for rows in batches))


def held(database: Database, table: Table) -> list[Row]:
    with transactions.job(database) as connection:
        return [dict(row) for row in connection.execute(select(table).order_by(table.c.compressor_id)).mappings()]


def test_every_type_arrives_as_it_was(loader: Loader, database: Database) -> None:
    odd = '\\N, "Ü" ' + 24 * "🛢"  # each of which is two characters of UTF-16
    metric = METRIC | {"compressor_id": odd, "details": {"why": "größer als 4 ‰ 🛢", "n": [1, None]}}
    assert (load(loader, metrics, [metric]), load(loader, windows, [WINDOW])) == (1, 1)
    assert (held(database, metrics), held(database, windows)) == ([metric], [WINDOW])


def test_null_arrives_as_null_in_whatever_order(loader: Loader, database: Database) -> None:
    empty = WINDOW | dict.fromkeys(MEASURED)
    rows: list[Row] = [
        empty | {"compressor_id": "COMP-001"},
        WINDOW | {"compressor_id": "COMP-002", "vibration_mean": None},
        empty | {"compressor_id": "COMP-003", "vibration_mean": 2.5},
        WINDOW | {"compressor_id": "COMP-004"},
    ]
    assert load(loader, windows, rows[:1], rows[1:]) == 4
    assert held(database, windows) == rows


def test_a_column_without_any_value_is_null(loader: Loader, database: Database) -> None:
    rows = [WINDOW | dict.fromkeys(MEASURED) | {"compressor_id": name} for name in ("COMP-001", "COMP-002")]
    load(loader, windows, rows)
    assert held(database, windows) == rows


def test_many_rows_arrive_however_they_are_cut(loader: Loader, database: Database) -> None:
    rows = [METRIC | {"compressor_id": f"COMP-{i:05}", "metric_value": i / 7} for i in range(2 * CHUNK_ROWS + 3)]
    assert load(loader, metrics, rows[:10], [], rows[10:]) == len(rows)
    assert held(database, metrics) == rows


@pytest.mark.parametrize("length", [1_000, 3_000, 100_000])
def test_long_texts_arrive_whole(loader: Loader, database: Database, length: int) -> None:
    rows = [METRIC | {"compressor_id": name, "details": {"why": name[-1] * length}} for name in ("C-1", "C-2")]
    load(loader, metrics, rows)
    assert held(database, metrics) == rows


def test_no_batch_is_no_row(loader: Loader, database: Database) -> None:
    assert load(loader, metrics) == 0
    assert held(database, metrics) == []


def test_rows_are_loaded_all_or_none(loader: Loader, database: Database) -> None:
    many = [METRIC | {"compressor_id": f"COMP-{i}"} for i in range(CHUNK_ROWS)]
    with pytest.raises(StagingError, match="could not load staging_data_quality_metrics") as refusal:
        load(loader, metrics, many, [METRIC | {"compressor_id": "the secret one", "details": None}])
    assert "secret" not in str(refusal.value)
    assert held(database, metrics) == []


def test_a_source_that_fails_loads_nothing(loader: Loader, database: Database) -> None:
    def broken() -> Iterator[pa.RecordBatch]:
        yield as_spark_sends([METRIC] * CHUNK_ROWS, metrics)
        raise OSError("the file ended early")

    with pytest.raises(OSError, match="the file ended early"):
        loader.load(metrics.name, staging.columns_of(metrics), broken())
    assert held(database, metrics) == []


@pytest.mark.parametrize(
    ("column", "values"), [("organization_id", ["the secret one"]), ("metric_value", ["a secret"])]
)
def test_a_value_that_is_not_of_its_type_is_refused_and_not_shown(
    loader: Loader, database: Database, column: str, values: list[str]
) -> None:
    good = as_spark_sends([METRIC], metrics)
    bad = good.set_column(good.schema.get_field_index(column), column, pa.array(values))
    with pytest.raises(StagingError, match=f"a value of {column} is not ") as refusal:
        loader.load(metrics.name, staging.columns_of(metrics), [good, bad])
    assert "secret" not in str(refusal.value)
    assert held(database, metrics) == []


def test_the_api_may_not_load(database: Database) -> None:
    with pytest.raises(StagingError, match=r"permission denied .*\(42501\)"):
        load(staging.loader(database.engine(Role.APP)), metrics, [METRIC])
    with pytest.raises(StagingError, match="42501"):
        load(odbc(database, Role.APP), metrics, [METRIC])


def test_what_opens_the_database_is_never_shown(database: Database) -> None:
    hidden = "correct horse"
    by_odbc = odbc(database, Servername="/nowhere", Pwd=hidden)
    for loader in (CopyLoader(f"host=/nowhere password='{hidden}'"), by_odbc):
        with pytest.raises(StagingError) as refusal:
            load(loader, metrics, [METRIC])
        assert hidden not in "".join([repr(loader), *format_exception(refusal.value)])


def test_a_loader_goes_to_the_executors_with_all_that_it_needs(loader: Loader, database: Database) -> None:
    sent: tuple[Loader, pa.Schema] = pickle.loads(pickle.dumps((loader, staging.columns_of(metrics))))  # noqa: S301 - ours
    assert sent == (loader, staging.columns_of(metrics))
    assert load(sent[0], metrics, [METRIC]) == 1
    assert held(database, metrics) == [METRIC]


def test_azure_sql_is_reached_as_its_engine_reaches_it() -> None:
    engine = create_engine(
        "mssql+pyodbc://etl:hidden@altaviz.example:1433/altaviz?driver=ODBC+Driver+18+for+SQL+Server&Encrypt=yes"
    )
    loader = staging.loader(engine)
    assert loader == ExecutemanyLoader(
        "DRIVER={ODBC Driver 18 for SQL Server};Server=altaviz.example,1433;Database=altaviz;"
        "UID=etl;PWD=hidden;Encrypt=yes"
    )
    assert "hidden" not in repr(loader)
