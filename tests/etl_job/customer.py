"""A customer whose deliveries the job takes in: an organization with a landing folder and a lake of its own."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from math import isnan
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from delta.tables import DeltaTable
from pyspark.sql import SparkSession
from sqlalchemy import Table, select

from etl_job import pipeline
from etl_job.batch import Job
from etl_job.delta_tables import Lake, Layout
from etl_job.progress import Progress
from etl_job.summary import Summary
from shared_code.database import transactions
from shared_code.database.engines import Database
from shared_code.database.tables import alert_history, sensor_readings_agg
from shared_code.settings import JobSettings, read
from shared_code.thresholds import thresholds
from tests.factories.landing import MONDAY
from tests.factories.organizations import add_organization

Row = dict[str, Any]
Key = tuple[Any, ...]

OWN = frozenset({"organization_id", "batch_id"})
"""Columns that are never the same for two customers, or in two runs."""


@dataclass(frozen=True, slots=True)
class Customer:
    spark: SparkSession
    database: Database
    folder: Path
    organization_id: UUID

    @property
    def landing(self) -> Path:
        return self.folder / "landing"

    def run(
        self,
        work: Callable[[SparkSession, Job], Summary] = pipeline.run,
        *,
        default_organization: bool = True,
        now: datetime = MONDAY,
        **settings: object,
    ) -> Summary:
        """Take in what is new; files without an organization are this customer's, unless nobody is the default."""
        self.landing.mkdir(exist_ok=True)
        job = Job(
            landing=str(self.landing),
            lake=str(self.folder / "lake"),
            database=self.database,
            settings=read(JobSettings, **settings),
            limits=thresholds(),
            default_organization=self.organization_id if default_organization else None,
            run_id=uuid4(),
            now=now,
            version="0",
            progress=Progress(),
        )
        summary = work(self.spark, job)
        assert summary.adds_up
        return summary

    def table(self, layout: Layout) -> list[Row]:
        """Return the rows of a Delta table."""
        return Lake(self.spark, str(self.folder / "lake")).read(layout).toArrow().to_pylist()

    def delta(self, layout: Layout) -> DeltaTable:
        """Return a Delta table, to tamper with."""
        return DeltaTable.forPath(self.spark, str(self.folder / "lake" / layout.folder))

    def content(self, layout: Layout) -> list[Row]:
        """Return what a Delta table says, comparable with another customer's."""
        return comparable(self.table(layout))

    def in_sql(self, table: Table) -> list[Row]:
        """Return what a table in SQL says of this customer, comparable with another's."""
        with transactions.job(self.database) as connection:
            ours = select(table).where(table.c.organization_id == self.organization_id)
            return comparable(dict(row) for row in connection.execute(ours).mappings())

    def alerts(self) -> list[Row]:
        """Return the customer's alerts but those that came to nothing, comparable with another's but for their ids."""
        told = (row for row in self.in_sql(alert_history) if row["withdrawn_at"] is None)
        return comparable({name: value for name, value in row.items() if name != "alert_id"} for row in told)

    def published(self) -> dict[Key, Row]:
        """Return the customer's windows in SQL by machine, type and end."""
        return published(self.database, self.organization_id)


def comparable(rows: Iterable[Row]) -> list[Row]:
    """Return rows, in an order of their own, without whose they are and which batch wrote them; NaN equals NaN."""
    told = ({name: value for name, value in row.items() if name not in OWN} for row in rows)
    return sorted(
        ({k: "nan" if isinstance(v, float) and isnan(v) else v for k, v in row.items()} for row in told), key=str
    )


def published(database: Database, organization_id: UUID) -> dict[Key, Row]:
    query = select(sensor_readings_agg).where(sensor_readings_agg.c.organization_id == organization_id)
    with transactions.job(database) as connection:
        rows = [dict(row) for row in connection.execute(query).mappings()]
    return {(row["compressor_id"], row["window_type"], row["agg_timestamp"]): row for row in rows}


def an_organization(database: Database) -> UUID:
    """Add an organization and return its id."""
    with transactions.owner(database) as connection:
        return add_organization(connection)
