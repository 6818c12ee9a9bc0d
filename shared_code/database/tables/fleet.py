"""Stations, the compressors that stand there, and what was done to them.

Metadata files and people may both say what stations and machines there are. What people have edited is theirs: from
then on no file changes it.
"""

from enum import StrEnum

from sqlalchemy import (
    Boolean,
    Column,
    Date,
    ForeignKeyConstraint,
    Index,
    Numeric,
    String,
    Table,
    Unicode,
    UnicodeText,
    Uuid,
    true,
)

from shared_code.database.tables.metadata import DOUBLE, INSTANT, metadata, one_of, organization_id


class MaintenanceType(StrEnum):
    """Why somebody worked on a machine."""

    SCHEDULED = "scheduled"
    UNSCHEDULED = "unscheduled"
    INSPECTION = "inspection"
    FAILURE = "failure"


class MaintenanceSeverity(StrEnum):
    """How grave it was."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


def _kept_by_files_and_people() -> tuple[Column[object], ...]:
    """Return the columns that tell who says what a row says, and since when it is no longer in use."""
    return (
        Column("retired_at", INSTANT),  # keeps its data, takes no new readings, and counts against no limit
        Column("edited_at", INSTANT),  # when people last changed it
        Column("in_files", Boolean, nullable=False, server_default=true()),  # a metadata file has named it
    )


station_locations = Table(
    "station_locations",
    metadata,
    organization_id(),
    Column("station_id", String(50), primary_key=True),
    Column("station_name", Unicode(200), nullable=False),
    Column("latitude", DOUBLE, nullable=False),
    Column("longitude", DOUBLE, nullable=False),
    Column("elevation_ft", DOUBLE),
    Column("region", Unicode(100)),
    Column("city", Unicode(100)),
    Column("state", Unicode(50)),
    Column("timezone", String(50), nullable=False),
    *_kept_by_files_and_people(),
)

compressor_metadata = Table(
    "compressor_metadata",
    metadata,
    organization_id(),
    Column("compressor_id", String(50), primary_key=True),
    Column("model", Unicode(100), nullable=False),
    Column("horsepower", DOUBLE, nullable=False),
    Column("install_date", Date),
    Column("station_id", String(50), nullable=False),
    Column("latitude", DOUBLE),
    Column("longitude", DOUBLE),
    *_kept_by_files_and_people(),
    ForeignKeyConstraint(
        ["organization_id", "station_id"], ["station_locations.organization_id", "station_locations.station_id"]
    ),
    Index(None, "organization_id", "station_id"),
    Index(None, "organization_id", "model"),
)

maintenance_events = Table(
    "maintenance_events",
    metadata,
    organization_id(),
    Column("event_id", Uuid(), primary_key=True),
    Column("compressor_id", String(50), nullable=False),
    Column("event_date", INSTANT, nullable=False),
    Column("event_type", String(20), nullable=False),
    Column("description", UnicodeText, nullable=False),
    Column("downtime_hours", DOUBLE, nullable=False),
    Column("severity", String(20), nullable=False),
    Column("cost_usd", Numeric(12, 2)),
    Column("recorded_by", Unicode(320)),  # NULL: it came in a file
    Column("recorded_at", INSTANT),
    ForeignKeyConstraint(
        ["organization_id", "compressor_id"],
        ["compressor_metadata.organization_id", "compressor_metadata.compressor_id"],
    ),
    one_of("event_type", MaintenanceType),
    one_of("severity", MaintenanceSeverity),
    Index(None, "organization_id", "compressor_id", "event_date"),
    Index(None, "organization_id", "event_date"),
)
"""The job may add what files say, and has no right to change or delete an entry, whoever made it."""
