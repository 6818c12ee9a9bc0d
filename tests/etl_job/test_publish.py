"""Staged rows into the tables that people read: by PostgreSQL's own statement, and by those for Azure SQL."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import pytest
from sqlalchemy import JSON, Column, Double, MetaData, Select, String, Table, Uuid, insert, literal_column, select
from sqlalchemy.dialects import mssql

from etl_job import publish
from shared_code.database import transactions
from shared_code.database.engines import Database
from shared_code.database.tables import data_quality_metrics, etl_runs, staging_data_quality_metrics

Row = dict[str, Any]

DAY: Final = datetime(2026, 1, 6, tzinfo=UTC)


@pytest.fixture
def organization_id() -> UUID:
    return uuid4()


def metrics(organization_id: UUID, values: list[float], **others: object) -> list[Row]:
    """Return a metric for each day."""
    return [
        {
            "organization_id": organization_id,
            "compressor_id": "COMP-001",
            "metric_type": "accuracy",
            "metric_timestamp": DAY + timedelta(days=day),
            "metric_value": value,
            "pass_threshold": 0.98,
            "passed": True,
            "details": {"n": 1},
            **others,
        }
        for day, value in enumerate(values)
    ]


def stage(connection: transactions.JobWrite, rows: list[Row], batch_id: str) -> Select[Any]:
    """Put rows into the staging table and return a query for them."""
    table = staging_data_quality_metrics
    connection.execute(insert(table), [row | {"batch_id": batch_id} for row in rows])
    return select(*(table.c[c.name] for c in data_quality_metrics.columns)).where(table.c.batch_id == batch_id)


def held(connection: transactions.JobWrite, organization_id: UUID) -> list[Row]:
    table = data_quality_metrics
    ours = select(table).where(table.c.organization_id == organization_id).order_by(table.c.metric_timestamp)
    return [dict(row) for row in connection.execute(ours).mappings()]


def places(connection: transactions.JobWrite, organization_id: UUID) -> list[str]:
    """Return where on disk the rows are; PostgreSQL writes a row that it updates to another place."""
    table = data_quality_metrics
    ours = select(literal_column("ctid", String)).select_from(table).where(table.c.organization_id == organization_id)
    return list(connection.scalars(ours.order_by(table.c.metric_timestamp)))


@pytest.mark.parametrize("dialect", ["postgresql", "mssql"])
def test_new_and_different_rows_are_written_and_equal_ones_left_alone(
    database: Database, organization_id: UUID, dialect: str
) -> None:
    def upserted(rows: list[Row], batch_id: str) -> int:
        statements = publish.upsert(data_quality_metrics, stage(connection, rows, batch_id), dialect)
        done = [connection.execute(each, execution_options={"preserve_rowcount": True}) for each in statements]
        return sum(result.rowcount for result in done)

    before = metrics(organization_id, [0.0, 0.1, 0.2])
    after = metrics(organization_id, [0.0, 0.5, 0.2, 0.3])
    after[2]["details"] = {"n": 2}
    with transactions.job(database) as connection:
        assert upserted(before, f"{organization_id}/0") == 3
        first = places(connection, organization_id)
        assert upserted(after, f"{organization_id}/1") == 3
        second = places(connection, organization_id)
        assert held(connection, organization_id) == after
        assert [old == new for old, new in zip(first, second, strict=False)] == [True, False, False]
        assert upserted(after, f"{organization_id}/1 again") == 0
        assert places(connection, organization_id) == second
        publish.clear_staging(connection, f"{organization_id}/0")
        publish.clear_staging(connection, f"{organization_id}/1")
        publish.clear_staging(connection, f"{organization_id}/1 again")


@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_batch_is_merged_once_however_often_its_rows_were_copied(
    database: Database, organization_id: UUID, times: int
) -> None:
    ours, others = metrics(organization_id, [0.0, 0.1]), metrics(uuid4(), [0.7])
    batch = str(organization_id)
    with transactions.job(database) as connection:
        for _ in range(times):
            stage(connection, ours, batch)
        stage(connection, others, "another")
        assert publish.merge(connection, data_quality_metrics, batch, len(ours)) == len(ours)
        assert held(connection, organization_id) == ours
        assert held(connection, others[0]["organization_id"]) == []
        left = select(staging_data_quality_metrics.c.batch_id)
        assert set(connection.scalars(left)) == {"another"}
        publish.clear_staging(connection, "another")


def test_a_batch_is_recorded_once(database: Database) -> None:
    batch, first, second = str(uuid4()), uuid4(), uuid4()
    with transactions.job(database) as connection:
        for run_id in (first, second):
            publish.record(connection, batch_id=batch, run_id=run_id, now=DAY, version="1", summary={"rows": 1})
        (recorded,) = connection.execute(select(etl_runs).where(etl_runs.c.batch_id == batch)).mappings()
    assert dict(recorded) == {
        "batch_id": batch,
        "run_id": first,
        "published_at": DAY,
        "program_version": "1",
        "summary": {"rows": 1},
    }


MACHINES = Table(
    "machines",
    MetaData(),
    Column("owner", Uuid, primary_key=True),
    Column("name", String(50), primary_key=True),
    Column("speed", Double),
    Column("notes", JSON),
)


def for_azure(rows: Select[Any]) -> list[str]:
    """Return the statements that Azure SQL gets, each in one line."""
    dialect = mssql.dialect(deprecate_large_types=True)
    dialect.server_version_info = (12, 0, 2000, 8)  # what Azure SQL says
    statements = publish.upsert(MACHINES, rows, dialect.name)
    return [" ".join(str(statement.compile(dialect=dialect)).split()) for statement in statements]


def test_azure_sql_gets_an_update_and_an_insert() -> None:
    update, add = for_azure(select(MACHINES.alias("staged")))
    given = (
        "(SELECT staged.owner AS owner, staged.name AS name, staged.speed AS speed, staged.notes AS notes "
        "FROM machines AS staged) AS given"
    )
    assert update == (
        f"UPDATE machines SET speed=given.speed, notes=given.notes FROM machines, {given} "  # noqa: S608 - never run
        "WHERE machines.owner = given.owner AND machines.name = given.name "
        "AND (NOT EXISTS (SELECT machines.speed INTERSECT SELECT given.speed) "
        "OR NOT EXISTS (SELECT machines.notes INTERSECT SELECT given.notes))"
    )
    assert add == (
        "INSERT INTO machines (owner, name, speed, notes) "  # noqa: S608 - never run
        f"SELECT given.owner, given.name, given.speed, given.notes FROM {given} "
        "WHERE NOT (EXISTS (SELECT * FROM machines WHERE machines.owner = given.owner AND machines.name = given.name))"
    )


def test_azure_sql_numbers_copies_to_leave_them_out() -> None:
    rows = publish.each_once(select(MACHINES.alias("staged")), MACHINES)
    once = (
        "(SELECT numbered.owner AS owner, numbered.name AS name, numbered.speed AS speed, numbered.notes AS notes "
        "FROM (SELECT staged.owner AS owner, staged.name AS name, staged.speed AS speed, staged.notes AS notes, "
        "row_number() OVER (PARTITION BY staged.owner, staged.name ORDER BY staged.owner, staged.name) AS copy "
        "FROM machines AS staged) AS numbered WHERE numbered.copy = :copy_1) AS given"
    )
    assert all(once in statement for statement in for_azure(rows))
