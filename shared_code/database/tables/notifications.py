"""Whom an organization wants told of its alerts, what they were told, and how that went."""

from enum import StrEnum

from sqlalchemy import (
    Boolean,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    String,
    Table,
    Time,
    Unicode,
    UnicodeText,
    UniqueConstraint,
    Uuid,
    text,
)

from shared_code.alarms import Severity
from shared_code.database.tables.metadata import DOCUMENT, DOUBLE, INSTANT, metadata, one_of, organization_id


class ChannelKind(StrEnum):
    """How somebody is told."""

    EMAIL = "email"
    SLACK = "slack"
    TEAMS = "teams"
    WEBHOOK = "webhook"


class Occasion(StrEnum):
    """What there is to tell of an alert."""

    WARNING = "warning"
    CRITICAL = "critical"
    RESOLVED = "resolved"


class DeliveryState(StrEnum):
    """How a message fares."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    FAILED = "failed"


notification_channels = Table(
    "notification_channels",
    metadata,
    organization_id(),
    Column("channel_id", Uuid(), primary_key=True),
    Column("kind", String(10), nullable=False),
    Column("name", Unicode(100), nullable=False),
    Column("address", UnicodeText, nullable=False),  # of a person, or a URL; whoever knows it may write there
    Column("secret", String(100)),  # what webhooks are signed with
    Column("previous_secret", String(100)),  # signs too until previous_until, while the receiver is told the new one
    Column("previous_until", INSTANT),
    Column("least_severity", String(20), nullable=False),
    Column("after_minutes", Integer, nullable=False),  # of an alert that nobody acknowledged until then
    Column("tells_resolved", Boolean, nullable=False),
    Column("quiet_from", Time()),  # by the clock at the machine's station; NULL: never
    Column("quiet_until", Time()),
    Column("quiet_for_critical", Boolean, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("created_at", INSTANT, nullable=False),
    Column("created_by", Unicode(320), nullable=False),
    Column("removed_at", INSTANT),  # what it was told stays in the log
    one_of("kind", ChannelKind),
    one_of("least_severity", Severity),
    Index(None, "organization_id", "created_at", "channel_id"),
)

notification_deliveries = Table(
    "notification_deliveries",
    metadata,
    organization_id(),
    Column("delivery_id", Uuid(), primary_key=True),
    Column("channel_id", Uuid(), nullable=False),
    Column("message", DOCUMENT, nullable=False),  # what it says, the same at each attempt
    Column("state", String(10), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("created_at", INSTANT, nullable=False),
    Column("next_attempt_at", INSTANT),  # NULL: none
    Column("claimed_until", INSTANT),  # until then nobody else sends it
    Column("delivered_at", INSTANT),
    ForeignKeyConstraint(
        ["organization_id", "channel_id"],
        ["notification_channels.organization_id", "notification_channels.channel_id"],
    ),
    one_of("state", DeliveryState),
    Index(None, "organization_id", "created_at", "delivery_id"),
    Index(None, "organization_id", "channel_id", "created_at"),
    Index(
        "ix_notification_deliveries_waiting",
        "next_attempt_at",
        postgresql_where=text("state = 'waiting'"),
        mssql_where=text("state = 'waiting'"),
    ),
)
"""One message to one channel, about one alert or several."""

delivery_attempts = Table(
    "delivery_attempts",
    metadata,
    organization_id(),
    Column("delivery_id", Uuid(), primary_key=True),
    Column("attempted_at", INSTANT, primary_key=True),
    Column("seconds", DOUBLE, nullable=False),
    Column("status", Integer),  # HTTP's, where there was an answer
    Column("error", Unicode(200)),  # NULL: it was taken
    ForeignKeyConstraint(
        ["organization_id", "delivery_id"],
        ["notification_deliveries.organization_id", "notification_deliveries.delivery_id"],
        ondelete="CASCADE",
    ),
)

notifications = Table(
    "notifications",
    metadata,
    organization_id(),
    Column("notification_id", Uuid(), primary_key=True),
    Column("alert_id", Uuid(), nullable=False),
    Column("channel_id", Uuid(), nullable=False),
    Column("occasion", String(10), nullable=False),
    Column("noticed_at", INSTANT, nullable=False),
    Column("due_at", INSTANT, nullable=False),
    Column("delivery_id", Uuid()),  # the message that tells it
    Column("dropped", String(20)),  # why nobody was told
    Column("closed", Boolean, nullable=False),  # the alert is resolved, and that is told where it is to be told
    UniqueConstraint("organization_id", "alert_id", "channel_id", "occasion", name="uq_notifications_once"),
    one_of("occasion", Occasion),
    Index(
        "ix_notifications_undecided",
        "due_at",
        postgresql_where=text("delivery_id IS NULL AND dropped IS NULL"),
        mssql_where=text("delivery_id IS NULL AND dropped IS NULL"),
    ),
    Index(
        "ix_notifications_standing",
        "organization_id",
        "alert_id",
        postgresql_where=text("NOT closed"),
        mssql_where=text("closed = 0"),
    ),
    Index(None, "organization_id", "delivery_id"),
    Index(None, "organization_id", "noticed_at"),
)
"""That a channel is told of an alert on an occasion: once, or not at all."""
