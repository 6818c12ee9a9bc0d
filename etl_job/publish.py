"""Gold and fleet data into SQL: every write is set-based, by key, and skips rows that are equal already.

A batch's rows are copied from the executors into staging tables; one transaction merges them and records the batch.
Nothing here deletes or empties a table that people read, so a rerun at any point ends in the same state.
"""

import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final, TypeVar
from uuid import UUID

import pyarrow as pa
import pyarrow.csv
from psycopg.conninfo import make_conninfo
from pyspark.sql import DataFrame
from sqlalchemy import Table, delete, func, or_, select
from sqlalchemy.dialects.postgresql import Insert, distinct_on, insert

from etl_job.fleet import FleetData, FleetRow, Refused
from shared_code.database.engines import Database, Role
from shared_code.database.staging import copy_csv
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
        connection.execute(insert(maintenance_events).on_conflict_do_nothing(), [row.model_dump() for row in events])
    return refused


def stage(rows: DataFrame, target: Table, database: Database) -> int:
    """Copy a batch's rows, which carry their `batch_id`, from the executors into the target's staging table.

    Returns:
        How many rows there are; a task that Spark ran twice has copied its rows twice.
    """
    staging = STAGING[target]
    columns = [column.name for column in staging.columns]
    conninfo, name = _conninfo(database), staging.name

    def copy(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        copied = copy_csv(conninfo, name, columns, map(_as_csv, batches))
        yield pa.RecordBatch.from_pydict({"copied": pa.array([copied], pa.int64())})

    counts = rows.select(*columns).mapInArrow(copy, "copied long").collect()
    return sum(count["copied"] for count in counts)


def clear_staging(connection: JobWrite, batch_id: str) -> None:
    """Remove what an earlier, interrupted attempt at this batch left behind."""
    for staging in STAGING.values():
        connection.execute(delete(staging).where(staging.c.batch_id == batch_id))


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
    staging = STAGING[target]
    key = [column.name for column in target.primary_key]
    columns = [column.name for column in target.columns]
    ours = staging.c.batch_id == batch_id
    found = select(*(staging.c[name] for name in columns)).where(ours)
    if connection.execute(select(func.count()).select_from(staging).where(ours)).scalar_one() != staged:
        found = found.ext(distinct_on(*(staging.c[name] for name in key)))
    statement = insert(target).from_select(columns, found)
    merged = connection.execute(_replacing(statement, target), execution_options={"preserve_rowcount": True})
    connection.execute(delete(staging).where(ours))
    return merged.rowcount


def record(
    connection: JobWrite, *, batch_id: str, run_id: UUID, now: datetime, version: str, summary: Mapping[str, Any]
) -> None:
    """Record, with the batch's rows and in their transaction, that it was published."""
    row = {"batch_id": batch_id, "run_id": run_id, "published_at": now, "program_version": version, "summary": summary}
    connection.execute(insert(etl_runs).values(row).on_conflict_do_nothing())


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
        connection.execute(_replacing(insert(table), table), list(newest.values()))


def _replacing(statement: Insert, table: Table) -> Insert:
    """Let an insert replace rows with its key that differ, and leave equal ones alone."""
    others = [column for column in table.columns if not column.primary_key]
    excluded = statement.excluded
    return statement.on_conflict_do_update(
        index_elements=list(table.primary_key),
        set_={column.name: excluded[column.name] for column in others},
        where=or_(*(column.is_distinct_from(excluded[column.name]) for column in others)),
    )


def _conninfo(database: Database) -> str:
    """Return how an executor, which has no engine, reaches the database."""
    url = database.engine(Role.ETL).url
    options = {name: str(value) for name, value in url.query.items()}
    given = {"user": url.username, "password": url.password, "host": url.host, "port": url.port, "dbname": url.database}
    known: dict[str, str | int | None] = {**given, **options}
    return make_conninfo("", **{name: value for name, value in known.items() if value is not None})


def _as_csv(batch: pa.RecordBatch) -> bytes:
    chunk = io.BytesIO()
    pyarrow.csv.write_csv(batch, chunk, pyarrow.csv.WriteOptions(include_header=False))
    return chunk.getvalue()
