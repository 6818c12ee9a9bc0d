"""Gold and fleet data into SQL: every write is set-based, by key, and skips rows that are equal already.

A batch's rows are copied from the executors into staging tables; one transaction merges them and records the batch.
Nothing here deletes or empties a table that people read, so a rerun at any point ends in the same state.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple, TypeVar
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
    bindparam,
    delete,
    exists,
    false,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql

from etl_job.fleet import FleetData, FleetRow, Refused
from shared_code.database import staging, versions
from shared_code.database.engines import Database, Role
from shared_code.database.tables import (
    alert_history,
    compressor_metadata,
    data_quality_metrics,
    etl_runs,
    latest_readings,
    maintenance_events,
    ml_predictions,
    organizations,
    sensor_readings_agg,
    staging_alert_history,
    staging_data_quality_metrics,
    staging_ml_predictions,
    staging_sensor_readings_agg,
    station_locations,
)
from shared_code.database.tables.fleet import MaintenanceType
from shared_code.database.transactions import JobWrite

RowT = TypeVar("RowT", bound=FleetRow)

AGG_TIMESTAMP: Final = "agg_timestamp"
RENEWING: Final = (MaintenanceType.SCHEDULED, MaintenanceType.UNSCHEDULED)
"""Maintenance after which a machine's usual self is another."""
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
HOUR: Final = timedelta(hours=1)

STAGING: Final[Mapping[Table, Table]] = {
    sensor_readings_agg: staging_sensor_readings_agg,
    data_quality_metrics: staging_data_quality_metrics,
    alert_history: staging_alert_history,
    ml_predictions: staging_ml_predictions,
}


def known_organizations(connection: JobWrite) -> set[UUID]:
    """Return the id of every customer."""
    return {row.id for row in connection.execute(select(organizations.c.id))}


def known_machines(connection: JobWrite) -> set[tuple[UUID, str]]:
    """Return organization and compressor_id of every machine."""
    return _pairs(connection, compressor_metadata, "compressor_id")


def retired_machines(connection: JobWrite) -> set[tuple[UUID, str]]:
    """Return organization and compressor_id of every machine that takes no new readings."""
    machine = compressor_metadata.c
    query = select(machine.organization_id, machine.compressor_id).where(machine.retired_at.is_not(None))
    return {(row[0], row[1]) for row in connection.execute(query)}


def machine_facts(connection: JobWrite) -> list[tuple[str, str, str, str]]:
    """Return of every machine organization, id, model, and the hours at which maintenance made another one of it.

    These are hours since 1970, rounded up, in order and with commas.
    """
    event, machine = maintenance_events.c, compressor_metadata.c
    renewed: dict[tuple[UUID, str], set[int]] = defaultdict(set)
    renewals = select(event.organization_id, event.compressor_id, event.event_date).where(
        event.event_type.in_(RENEWING)
    )
    for organization_id, compressor_id, at in connection.execute(renewals):
        renewed[organization_id, compressor_id].add(-((EPOCH - at) // HOUR))
    machines = select(machine.organization_id, machine.compressor_id, machine.model)
    return [
        (str(row.organization_id), row.compressor_id, row.model, ",".join(map(str, sorted(renewed[row[0], row[1]]))))
        for row in connection.execute(machines)
    ]


class SavedFleet(NamedTuple):
    """What was not written: rows that refer to something unknown, and how many that people have overruled."""

    refused: list[Refused]
    overruled: int


def save_fleet(connection: JobWrite, fleet: FleetData) -> SavedFleet:
    """Write stations, machines and maintenance events; return what was not written.

    What people have edited stays as they left it, retired or not, whatever the files say. A maintenance event that is
    there already stays as it is: people may have corrected it.
    """
    owners = known_organizations(connection)
    refused: list[Refused] = []
    changed: set[UUID] = set()

    stations = _keep(fleet.stations, refused, "organization", lambda row: row.organization_id in owners)
    overruled = _upsert(connection, station_locations, stations, changed)
    places = _pairs(connection, station_locations, "station_id")
    machines = _keep(fleet.compressors, refused, "station", lambda row: (row.organization_id, row.station_id) in places)
    overruled += _upsert(connection, compressor_metadata, machines, changed)
    known = known_machines(connection)
    events = _keep(
        fleet.maintenance, refused, "compressor", lambda row: (row.organization_id, row.compressor_id) in known
    )
    if events:
        added = postgresql.insert(maintenance_events).on_conflict_do_nothing()
        rows = [row.model_dump() for row in events]
        changed.update(connection.scalars(added.returning(maintenance_events.c.organization_id), rows))
    if changed:
        whose = organizations.c.id
        tell(connection, select(whose.label("organization_id")).where(whose.in_(changed)))
    return SavedFleet(refused, overruled)


def stage(rows: DataFrame, target: Table, database: Database) -> int:
    """Copy a batch's rows, which carry their `batch_id`, from the executors into the target's staging table.

    Returns:
        How many rows there are; a task that Spark ran twice has copied its rows twice.
    """
    table = STAGING[target]
    loader, name = staging.loader(database.engine(Role.ETL)), table.name
    columns = staging.columns_of(table, rows.columns)

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
    dialect = connection.dialect.name
    merged = sum(
        connection.execute(statement, execution_options={"preserve_rowcount": True}).rowcount
        for statement in upsert(target, rows, dialect)
    )
    if merged and target is sensor_readings_agg:
        for statement in upsert(latest_readings, newest(rows), dialect, not_before=AGG_TIMESTAMP):
            connection.execute(statement)
    if merged:
        tell(connection, select(table.c.organization_id).where(ours).distinct())
    connection.execute(delete(table).where(ours))
    return merged


def newest(rows: Select[Any]) -> Select[Any]:
    """Return of windows the newest of each machine and type."""
    window = rows.selected_columns
    key = [window[column.name] for column in latest_readings.primary_key]
    place = func.row_number().over(partition_by=key, order_by=window[AGG_TIMESTAMP].desc()).label("place")
    numbered = rows.add_columns(place).subquery("numbered")
    return select(*(numbered.c[column.name] for column in latest_readings.columns)).where(numbered.c.place == 1)


def tell(connection: JobWrite, changed: Select[Any]) -> None:
    """Let the versions of organizations grow, given once each as `organization_id`."""
    for statement in versions.grow(changed, connection.dialect.name):
        connection.execute(statement)


def upsert(target: Table, rows: Select[Any], dialect: str, *, not_before: str | None = None) -> list[Insert | Update]:
    """Return statements that replace rows that differ, add missing ones, and count those they wrote.

    Args:
        target: where to.
        rows: of all its columns, each key once.
        dialect: of the database.
        not_before: a column; a row in which it is later than in the one given stays as it is.
    """
    if dialect == "postgresql":
        # What this costs depends on the rows alone. The planner may give a join to a table that it takes for small,
        # because nobody has counted since it grew, hours.
        names = [column.name for column in target.columns]
        others = [column.name for column in target.columns if not column.primary_key]
        return [_replacing(postgresql.insert(target).from_select(names, rows), target, others, not_before)]
    return [replace_different(target, rows, not_before), add_missing(target, rows)]


def replace_different(target: Table, rows: Select[Any], not_before: str | None = None) -> Update:
    """Return a statement that replaces what differs from the row of its key, and is not later in `not_before`."""
    given = rows.subquery("given")
    others = [column for column in target.columns if not column.primary_key]
    different = or_(*(column.is_distinct_from(given.c[column.name]) for column in others))
    if not_before is not None:
        different &= target.c[not_before] <= given.c[not_before]
    return (
        update(target)
        .values({column.name: given.c[column.name] for column in others})
        .where(_same_key(target, given), different)
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


def _upsert(connection: JobWrite, table: Table, rows: Iterable[FleetRow], changed: set[UUID]) -> int:
    """Insert rows or replace those that differ; of several with one key the last counts.

    Whose rows were new or differed joins `changed`.

    Returns:
        How many say something else than what people made of them, and were not written.
    """
    key = [column.name for column in table.primary_key]
    newest = {tuple(values[name] for name in key): values for values in (row.model_dump() for row in rows)}
    if not newest:
        return 0
    said = next(iter(newest.values())).keys()
    statement = _replacing(postgresql.insert(table), table, [name for name in said if name not in key])
    changed.update(connection.scalars(statement.returning(table.c.organization_id), list(newest.values())))
    edited = connection.execute(select(table).where(table.c.edited_at.is_not(None))).mappings().all()
    named = [row for row in edited if tuple(row[name] for name in key) in newest]
    _note_as_named(connection, table, [row for row in named if not row["in_files"]])
    return sum(any(row[name] != value for name, value in newest[tuple(row[k] for k in key)].items()) for row in named)


def _note_as_named(connection: JobWrite, table: Table, rows: Iterable[Mapping[Any, Any]]) -> None:
    """Note that a file has named what people created: deleting it would be of no use, the file is read again."""
    keys = [{f"its_{column.name}": row[column.name] for column in table.primary_key} for row in rows]
    if keys:
        ours = (column == bindparam(f"its_{column.name}") for column in table.primary_key)
        connection.execute(update(table).where(*ours, table.c.in_files == false()).values(in_files=True), keys)


def _replacing(
    statement: postgresql.Insert, table: Table, columns: Iterable[str], not_before: str | None = None
) -> postgresql.Insert:
    """Let an insert replace these columns of rows with its key that differ.

    Equal and edited rows are left alone, and those that are later in the column `not_before`.
    """
    excluded = statement.excluded
    differs = or_(*(table.c[name].is_distinct_from(excluded[name]) for name in columns))
    if not_before is not None:
        differs &= table.c[not_before] <= excluded[not_before]
    return statement.on_conflict_do_update(
        index_elements=list(table.primary_key),
        set_={name: excluded[name] for name in columns},
        where=differs & table.c.edited_at.is_(None) if "edited_at" in table.c else differs,
    )


def _same_key(target: Table, given: FromClause) -> ColumnElement[bool]:
    return and_(*(column == given.c[column.name] for column in target.primary_key))
