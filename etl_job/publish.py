"""Gold and fleet data into SQL: every write is set-based, by key, and skips rows that are equal already.

A batch's rows are copied from the executors into staging tables; one transaction merges them and records the batch.
Nothing here deletes or empties a table that people read, so a rerun at any point ends in the same state.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final, TypeVar
from uuid import UUID

import pyarrow as pa
from pyspark.sql import DataFrame
from sqlalchemy import (
    ColumnElement,
    FromClause,
    Insert,
    Select,
    Table,
    Update,
    and_,
    delete,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql

from etl_job.fleet import FleetData, FleetRow, Refused
from shared_code.database import staging
from shared_code.database.engines import Database, Role
from shared_code.database.tables import (
    compressor_metadata,
    data_quality_metrics,
    etl_runs,
    maintenance_events,
    organizations,
    sensor_readings_agg,
    staging_data_quality_metrics,
    staging_sensor_readings_agg,
    station_locations,
)
from shared_code.database.transactions import JobWrite

RowT = TypeVar("RowT", bound=FleetRow)

STAGING: Final[Mapping[Table, Table]] = {
    sensor_readings_agg: staging_sensor_readings_agg,
    data_quality_metrics: staging_data_quality_metrics,
}


def known_organizations(connection: JobWrite) -> set[UUID]:
    """Return the id of every customer."""
    return {row.id for row in connection.execute(select(organizations.c.id))}


def known_machines(connection: JobWrite) -> set[tuple[UUID, str]]:
    """Return organization and compressor_id of every machine."""
    return _pairs(connection, compressor_metadata, "compressor_id")


def save_fleet(connection: JobWrite, fleet: FleetData) -> list[Refused]:
    """Write stations, machines and maintenance events; return those that refer to something unknown.

    A maintenance event that is there already stays as it is: people may have corrected it.
    """
    owners = known_organizations(connection)
    refused: list[Refused] = []

    stations = _keep(fleet.stations, refused, "organization", lambda row: row.organization_id in owners)
    _upsert(connection, station_locations, stations)
    places = _pairs(connection, station_locations, "station_id")
    machines = _keep(fleet.compressors, refused, "station", lambda row: (row.organization_id, row.station_id) in places)
    _upsert(connection, compressor_metadata, machines)
    known = known_machines(connection)
    events = _keep(
        fleet.maintenance, refused, "compressor", lambda row: (row.organization_id, row.compressor_id) in known
    )
    if events:
        connection.execute(
            postgresql.insert(maintenance_events).on_conflict_do_nothing(), [row.model_dump() for row in events]
        )
    return refused


def stage(rows: DataFrame, target: Table, database: Database) -> int:
    """Copy a batch's rows, which carry their `batch_id`, from the executors into the target's staging table.

    Returns:
        How many rows there are; a task that Spark ran twice has copied its rows twice.
    """
    table = STAGING[target]
    loader, name, columns = staging.loader(database.engine(Role.ETL)), table.name, staging.columns_of(table)

    def load(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield pa.RecordBatch.from_pydict({"loaded": pa.array([loader.load(name, columns, batches)], pa.int64())})

    counts = rows.select(*columns.names).mapInArrow(load, "loaded long").collect()
    return sum(count["loaded"] for count in counts)


def clear_staging(connection: JobWrite, batch_id: str) -> None:
    """Remove what an earlier, interrupted attempt at this batch left behind."""
    for table in STAGING.values():
        connection.execute(delete(table).where(table.c.batch_id == batch_id))


def merge(connection: JobWrite, target: Table, batch_id: str, staged: int) -> int:
    """Merge a batch's staged rows into the target.

    Args:
        connection: the transaction that also records the batch.
        target: where to.
        batch_id: whose rows.
        staged: how many there are, each once.

    Returns:
        How many rows were new or differed.
    """
    table = STAGING[target]
    ours = table.c.batch_id == batch_id
    rows = select(*(table.c[column.name] for column in target.columns)).where(ours)
    if connection.execute(select(func.count()).select_from(table).where(ours)).scalar_one() != staged:
        rows = each_once(rows, target)
    merged = sum(
        connection.execute(statement, execution_options={"preserve_rowcount": True}).rowcount
        for statement in upsert(target, rows, connection.dialect.name)
    )
    connection.execute(delete(table).where(ours))
    return merged


def upsert(target: Table, rows: Select[Any], dialect: str) -> list[Insert | Update]:
    """Return statements that replace rows that differ, add missing ones, and count those they wrote.

    Args:
        target: where to.
        rows: of all its columns, each key once.
        dialect: of the database.
    """
    if dialect == "postgresql":
        # What this costs depends on the rows alone. The planner may give a join to a table that it takes for small,
        # because nobody has counted since it grew, hours.
        names = [column.name for column in target.columns]
        return [_replacing(postgresql.insert(target).from_select(names, rows), target)]
    return [replace_different(target, rows), add_missing(target, rows)]


def replace_different(target: Table, rows: Select[Any]) -> Update:
    """Return a statement that replaces what differs from the row of its key."""
    given = rows.subquery("given")
    others = [column for column in target.columns if not column.primary_key]
    return (
        update(target)
        .values({column.name: given.c[column.name] for column in others})
        .where(_same_key(target, given), or_(*(column.is_distinct_from(given.c[column.name]) for column in others)))
    )


def add_missing(target: Table, rows: Select[Any]) -> Insert:
    """Return a statement that adds rows whose key is not there."""
    given = rows.subquery("given")
    names = [column.name for column in target.columns]
    missing = ~exists().where(_same_key(target, given))
    return insert(target).from_select(names, select(*(given.c[name] for name in names)).where(missing))


def each_once(rows: Select[Any], target: Table) -> Select[Any]:
    """Return the rows without copies of them."""
    key = [rows.selected_columns[column.name] for column in target.primary_key]
    copy = func.row_number().over(partition_by=key, order_by=key).label("copy")
    numbered = rows.add_columns(copy).subquery("numbered")
    return select(*(numbered.c[column.name] for column in target.columns)).where(numbered.c["copy"] == 1)


def record(
    connection: JobWrite, *, batch_id: str, run_id: UUID, now: datetime, version: str, summary: Mapping[str, Any]
) -> None:
    """Record, with the batch's rows and in their transaction, that it was published."""
    row = {"batch_id": batch_id, "run_id": run_id, "published_at": now, "program_version": version, "summary": summary}
    given = select(*(literal(value, etl_runs.c[name].type).label(name) for name, value in row.items()))
    connection.execute(add_missing(etl_runs, given))


def _keep(rows: Iterable[RowT], refused: list[Refused], reference: str, is_known: Callable[[RowT], bool]) -> list[RowT]:
    """Return the rows that refer to something known; the others join the refused."""
    kept: list[RowT] = []
    for row in rows:
        if is_known(row):
            kept.append(row)
        else:
            refused.append(Refused(row.source_file, row.row_number, f"unknown {reference}"))
    return kept


def _pairs(connection: JobWrite, table: Table, column: str) -> set[tuple[UUID, str]]:
    return {(row[0], row[1]) for row in connection.execute(select(table.c.organization_id, table.c[column]))}


def _upsert(connection: JobWrite, table: Table, rows: Iterable[FleetRow]) -> None:
    """Insert rows or replace those that differ; of several with one key the last counts."""
    key = [column.name for column in table.primary_key]
    newest = {tuple(values[name] for name in key): values for values in (row.model_dump() for row in rows)}
    if newest:
        connection.execute(_replacing(postgresql.insert(table), table), list(newest.values()))


def _replacing(statement: postgresql.Insert, table: Table) -> postgresql.Insert:
    """Let an insert replace rows with its key that differ, and leave equal ones alone."""
    others = [column for column in table.columns if not column.primary_key]
    excluded = statement.excluded
    return statement.on_conflict_do_update(
        index_elements=list(table.primary_key),
        set_={column.name: excluded[column.name] for column in others},
        where=or_(*(column.is_distinct_from(excluded[column.name]) for column in others)),
    )


def _same_key(target: Table, given: FromClause) -> ColumnElement[bool]:
    return and_(*(column == given.c[column.name] for column in target.primary_key))
