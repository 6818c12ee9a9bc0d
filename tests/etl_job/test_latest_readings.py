"""The table of newest windows says at any time what `sensor_readings_agg` would say if it were asked for its newest."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any, Final
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection, Select, insert, select, text
from sqlalchemy.dialects import mssql

from etl_job import publish
from shared_code.database import migrate, transactions, versions
from shared_code.database.engines import Database, Role
from shared_code.database.tables import (
    latest_readings,
    organization_versions,
    sensor_readings_agg,
    staging_sensor_readings_agg,
    v_latest_readings,
)
from tests.factories.fleet import NORMAL_VALUES, a_compressor, a_customer, a_station, a_window

Row = dict[str, Any]

FIRST: Final = datetime(2026, 1, 6, tzinfo=UTC)
EACH = tuple(sensor_readings_agg.columns.keys())


def window(organization_id: UUID, hour: int, vibration: float, machine: str = "COMP-001", kind: str = "1hr") -> Row:
    return NORMAL_VALUES | {
        "organization_id": organization_id,
        "compressor_id": machine,
        "window_type": kind,
        "agg_timestamp": FIRST + timedelta(hours=hour),
        "vibration_max": vibration,
    }


def publish_windows(connection: transactions.JobWrite, rows: list[Row], *, times: int = 1) -> int:
    batch_id = uuid4().hex
    for _ in range(times):
        connection.execute(insert(staging_sensor_readings_agg), [row | {"batch_id": batch_id} for row in rows])
    return publish.merge(connection, sensor_readings_agg, batch_id, len(rows))


def held(connection: Connection, organization_id: UUID) -> set[tuple[object, ...]]:
    query = select(*(latest_readings.c[name] for name in EACH)).where(
        latest_readings.c.organization_id == organization_id
    )
    return {tuple(row) for row in connection.execute(query)}


def looked_up(connection: Connection, organization_id: UUID) -> set[tuple[object, ...]]:
    """Return the newest windows as another hand would find them."""
    asked = text(
        f"SELECT DISTINCT ON (compressor_id, window_type) {', '.join(EACH)} FROM sensor_readings_agg "  # noqa: S608
        "WHERE organization_id = :organization_id ORDER BY compressor_id, window_type, agg_timestamp DESC"
    )
    return {tuple(row) for row in connection.execute(asked, {"organization_id": organization_id})}


def batches(organization_id: UUID) -> list[list[Row]]:
    """Return deliveries that overlap: several hours at once, one late, corrections of the newest and of an old one."""
    return [
        [window(organization_id, hour, 3.0) for hour in (1, 2, 3)] + [window(organization_id, 3, 3.0, kind="24hr")],
        [window(organization_id, 0, 9.0), window(organization_id, 2, 4.0)],
        [window(organization_id, 3, 5.0), window(organization_id, 1, 3.5, machine="COMP-002")],
        [window(organization_id, 4, 6.0), window(organization_id, 2, 7.0, kind="24hr")],
        [window(organization_id, 3, 8.0, machine="COMP-002"), window(organization_id, 1, 1.0)],
    ]


@pytest.mark.parametrize("order", [*permutations(range(4)), (4, 3, 2, 1, 0), (0, 0, 3, 3, 1, 4, 2)])
def test_it_equals_the_newest_window_after_every_publish_in_whatever_order(
    database: Database, order: tuple[int, ...]
) -> None:
    ours, theirs = uuid4(), uuid4()
    with transactions.job(database) as connection:
        publish_windows(connection, [window(theirs, 9, 2.0)])
        for number in order:
            publish_windows(connection, batches(ours)[number])

            assert held(connection, ours) == looked_up(connection, ours) != set()

        assert held(connection, theirs) == looked_up(connection, theirs)


def test_rows_that_a_task_copied_twice_count_once(database: Database) -> None:
    ours = uuid4()
    with transactions.job(database) as connection:
        assert publish_windows(connection, batches(ours)[0], times=2) == 4
        assert len(held(connection, ours)) == 2
        assert held(connection, ours) == looked_up(connection, ours)


def on_azure(connection: Connection, rows: Select[Any]) -> None:
    """Run, on PostgreSQL, the statements that Azure SQL gets."""
    for statement in publish.upsert(latest_readings, publish.newest(rows), "mssql", not_before="agg_timestamp"):
        connection.execute(statement)


def test_the_statements_for_azure_sql_do_the_same(database: Database) -> None:
    ours = uuid4()
    with transactions.job(database) as connection:
        for batch in batches(ours):
            publish_windows(connection, batch)
        kept = held(connection, ours)
        connection.execute(latest_readings.delete().where(latest_readings.c.organization_id == ours))
        staged = staging_sensor_readings_agg
        for number, batch in enumerate(reversed(batches(ours))):
            batch_id = f"{ours}/{number}"
            connection.execute(insert(staged), [row | {"batch_id": batch_id} for row in batch])
            on_azure(connection, select(*(staged.c[name] for name in EACH)).where(staged.c.batch_id == batch_id))
            connection.execute(staged.delete().where(staged.c.batch_id == batch_id))
        ends = {row[:4] for row in held(connection, ours)}

    assert ends == {row[:4] for row in kept}


def version(connection: Connection, organization_id: UUID) -> int:
    table = organization_versions.c
    return connection.scalar(select(table.version).where(table.organization_id == organization_id)) or 0


def grown(connection: Connection, organization_id: UUID, work: Callable[[], object]) -> int:
    before = version(connection, organization_id)
    work()
    return version(connection, organization_id) - before


def test_a_publish_that_changes_something_lets_the_version_of_those_it_is_about_grow(database: Database) -> None:
    ours, theirs = uuid4(), uuid4()
    with transactions.job(database) as connection:
        first = batches(ours)[0]
        assert grown(connection, ours, lambda: publish_windows(connection, first)) == 1
        assert grown(connection, ours, lambda: publish_windows(connection, first)) == 0
        assert grown(connection, ours, lambda: publish_windows(connection, [window(ours, 3, 4.5)])) == 1
        assert version(connection, theirs) == 0


@pytest.mark.parametrize("dialect", ["postgresql", "mssql"])
def test_versions_grow_by_one_whether_or_not_they_were_there(database: Database, dialect: str) -> None:
    ours = uuid4()
    whose = select(staging_sensor_readings_agg.c.organization_id).distinct()
    with transactions.job(database) as connection:
        connection.execute(insert(staging_sensor_readings_agg), [window(ours, 1, 3.0) | {"batch_id": "v"}])
        seen: list[int] = []
        for _ in range(3):
            for statement in versions.grow(whose.where(staging_sensor_readings_agg.c.batch_id == "v"), dialect):
                connection.execute(statement)
            seen.append(version(connection, ours))
        connection.execute(staging_sensor_readings_agg.delete())

    assert seen == [1, 2, 3]


def test_what_is_there_before_the_migration_is_looked_through_and_the_view_says_the_same(database: Database) -> None:
    customer = a_customer(database)
    a_station(database, customer)
    a_compressor(database, customer)
    for hours in (2, 0, 1):
        a_window(database, customer, "COMP-001", end=FIRST + timedelta(hours=hours), values={"vibration_max": hours})
    ours = customer.organization_id

    def viewed(connection: Connection) -> set[tuple[object, ...]]:
        columns = (v_latest_readings.c[name] for name in EACH)
        return {tuple(row) for row in connection.execute(select(*columns).filter_by(organization_id=ours))}

    with database.engine(Role.OWNER).connect() as never_committed:
        expected = looked_up(never_committed, ours)
        assert held(never_committed, ours) == viewed(never_committed) == expected != set()

        migrate.downgrade(never_committed, "0008")
        assert viewed(never_committed) == expected

        migrate.upgrade(never_committed)
        assert held(never_committed, ours) == viewed(never_committed) == expected


def test_azure_sql_gets_no_later_row_replaced() -> None:
    dialect = mssql.dialect(deprecate_large_types=True)
    rows = publish.newest(select(*(staging_sensor_readings_agg.c[name] for name in EACH)))
    update, _ = publish.upsert(latest_readings, rows, dialect.name, not_before="agg_timestamp")

    assert "latest_readings.agg_timestamp <= given.agg_timestamp" in str(update.compile(dialect=dialect))
