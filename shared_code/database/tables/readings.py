"""What the Spark job publishes about readings; all of it can be made again from the lake.

These tables carry no foreign key to the machine: they take tens of thousands of rows a second, and the job has
checked every machine before.
"""

from enum import StrEnum

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, String, Table, Unicode, Uuid, text

from shared_code.database.tables.metadata import DOCUMENT, DOUBLE, INSTANT, metadata, one_of, organization_id


class WindowType(StrEnum):
    """How much time an aggregate covers."""

    HOUR = "1hr"
    FOUR_HOURS = "4hr"
    DAY = "24hr"


class QualityMetric(StrEnum):
    """What is measured about the data of a machine."""

    FRESHNESS = "freshness"
    COMPLETENESS = "completeness"
    CONSISTENCY = "consistency"
    ACCURACY = "accuracy"


sensor_readings_agg = Table(
    "sensor_readings_agg",
    metadata,
    organization_id(foreign=False),
    Column("compressor_id", String(50), primary_key=True),
    Column("window_type", String(4), primary_key=True),
    Column("agg_timestamp", INSTANT, primary_key=True),  # the end of the window, which is half-open
    Column("vibration_mean", DOUBLE),
    Column("vibration_std", DOUBLE),
    Column("vibration_max", DOUBLE),
    Column("vibration_min", DOUBLE),
    Column("discharge_temp_mean", DOUBLE),
    Column("discharge_temp_std", DOUBLE),
    Column("discharge_temp_max", DOUBLE),
    Column("discharge_temp_rate_of_change", DOUBLE),  # deg F/h
    Column("suction_pressure_mean", DOUBLE),
    Column("suction_pressure_std", DOUBLE),
    Column("suction_pressure_min", DOUBLE),
    Column("discharge_pressure_mean", DOUBLE),
    Column("discharge_pressure_std", DOUBLE),
    Column("discharge_pressure_max", DOUBLE),
    Column("pressure_delta_mean", DOUBLE),
    Column("horsepower_mean", DOUBLE),
    Column("horsepower_std", DOUBLE),
    Column("gas_flow_mean", DOUBLE),
    Column("reading_count", Integer, nullable=False),
    Column("missing_readings", Integer, nullable=False),
    Column("suspect_readings", Integer, nullable=False),
    one_of("window_type", WindowType),
    Index(None, "organization_id", "window_type", "agg_timestamp"),
)

latest_readings = Table(
    "latest_readings",
    metadata,
    *(
        Column(
            column.name,
            column.type,
            primary_key=column.primary_key and column.name != "agg_timestamp",
            nullable=column.nullable,
        )
        for column in sensor_readings_agg.columns
    ),
    one_of("window_type", WindowType),
)
"""Of each machine and type the newest window, kept by the transaction that publishes windows: one row to read, where
`sensor_readings_agg` would have to be asked for its newest."""

machine_contacts = Table(
    "machine_contacts",
    metadata,
    organization_id(foreign=False),
    Column("compressor_id", String(50), primary_key=True),
    Column("last_reading_at", INSTANT, nullable=False),
)
"""When each machine was last heard."""

organization_versions = Table(
    "organization_versions",
    metadata,
    organization_id(foreign=False),
    Column("version", BigInteger, nullable=False),
)
"""A number that grows with every transaction that changes what an organization may be shown; without a row it is 0."""

data_quality_metrics = Table(
    "data_quality_metrics",
    metadata,
    organization_id(foreign=False),
    Column("compressor_id", String(50), primary_key=True),
    Column("metric_type", String(20), primary_key=True),
    Column("metric_timestamp", INSTANT, primary_key=True),  # the end of the UTC day that was measured
    Column("metric_value", DOUBLE, nullable=False),
    Column("pass_threshold", DOUBLE, nullable=False),
    Column("passed", Boolean, nullable=False),
    Column("details", DOCUMENT, nullable=False),
    one_of("metric_type", QualityMetric),
    Index("ix_data_quality_metrics_listed", "organization_id", "metric_timestamp", "compressor_id", "metric_type"),
    Index(  # of many metrics, the few that did not pass
        "ix_data_quality_metrics_failed",
        "organization_id",
        "metric_timestamp",
        "compressor_id",
        "metric_type",
        postgresql_where=text("NOT passed"),
        mssql_where=text("passed = 0"),
    ),
)

etl_runs = Table(
    "etl_runs",
    metadata,
    Column("batch_id", String(100), primary_key=True),
    Column("run_id", Uuid(), nullable=False),
    Column("published_at", INSTANT, nullable=False),
    Column("program_version", Unicode(50), nullable=False),
    Column("summary", DOCUMENT, nullable=False),
    Index(None, "published_at"),
)


def staging_of(target: Table) -> Table:
    """Return the table where a batch's rows wait for the transaction that merges them into `target`."""
    return Table(
        f"staging_{target.name}",
        target.metadata,
        Column("batch_id", String(100), nullable=False),
        *(Column(column.name, column.type, nullable=column.nullable) for column in target.columns),
        Index(None, "batch_id"),
        prefixes=["UNLOGGED"],  # lost in a server crash, and written again by the rerun
    )


staging_sensor_readings_agg = staging_of(sensor_readings_agg)
staging_data_quality_metrics = staging_of(data_quality_metrics)
