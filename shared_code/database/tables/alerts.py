"""What went wrong with a machine, and what people did about it."""

from enum import StrEnum

from sqlalchemy import Boolean, Column, ForeignKeyConstraint, Index, String, Table, Unicode, UnicodeText, Uuid

from shared_code.database.tables.metadata import DOUBLE, INSTANT, metadata, one_of, organization_id


class AlertType(StrEnum):
    """What kind of evidence raised the alert."""

    THRESHOLD_WARNING = "threshold_warning"
    THRESHOLD_CRITICAL = "threshold_critical"
    ANOMALY = "anomaly"
    PREDICTION = "prediction"
    STALENESS = "staleness"


class Severity(StrEnum):
    """How grave an alert is."""

    WARNING = "warning"
    CRITICAL = "critical"


alert_history = Table(
    "alert_history",
    metadata,
    organization_id(),
    Column("alert_id", Uuid(), primary_key=True),
    Column("compressor_id", String(50), nullable=False),
    Column("alert_timestamp", INSTANT, nullable=False),
    Column("alert_type", String(30), nullable=False),
    Column("severity", String(20), nullable=False),
    Column("sensor_name", String(50)),
    Column("sensor_value", DOUBLE),
    Column("threshold_value", DOUBLE),
    Column("message", UnicodeText, nullable=False),
    Column("acknowledged", Boolean, nullable=False),
    Column("acknowledged_by", Unicode(320)),
    Column("acknowledged_at", INSTANT),
    Column("acknowledged_note", UnicodeText),
    Column("resolved", Boolean, nullable=False),
    Column("resolved_by", Unicode(320)),  # NULL: the readings were healthy again
    Column("resolved_at", INSTANT),
    Column("resolved_note", UnicodeText),
    Column("shelved_until", INSTANT),
    Column("shelved_reason", UnicodeText),
    ForeignKeyConstraint(
        ["organization_id", "compressor_id"],
        ["compressor_metadata.organization_id", "compressor_metadata.compressor_id"],
    ),
    one_of("alert_type", AlertType),
    one_of("severity", Severity),
    Index(None, "organization_id", "compressor_id", "alert_timestamp"),
    Index(None, "organization_id", "resolved", "severity", "alert_timestamp"),
    Index(None, "organization_id", "resolved", "alert_timestamp"),
    Index(None, "organization_id", "alert_timestamp"),
)
"""The job may change what a rule says of an alert, and that it is resolved; it has no right to what people say of it,
nor to an alert that somebody has resolved, nor to delete one."""
