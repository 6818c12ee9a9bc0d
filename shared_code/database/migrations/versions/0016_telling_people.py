"""Telling people: whom, of what, and how it went."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
DOUBLE: sa.Double[float] = sa.Double()
WORKFLOWS = "altaviz_workflows"
CURRENT_ORGANIZATION = "nullif(current_setting('app.organization_id', true), '')::uuid"
CHANNELS, DELIVERIES = "notification_channels", "notification_deliveries"
ATTEMPTS, NOTIFICATIONS = "delivery_attempts", "notifications"
ALL = "SELECT, INSERT, UPDATE, DELETE"
RIGHTS = {
    CHANNELS: (ALL, "SELECT, UPDATE (enabled)"),
    DELIVERIES: (ALL, ALL),
    ATTEMPTS: ("SELECT, INSERT", "SELECT, INSERT"),
    NOTIFICATIONS: (ALL, ALL),
}
"""Of the API, and of what runs by itself."""
MORE = {
    "organizations": "SELECT (name)",
    "station_locations": "SELECT (timezone)",
    "users": "SELECT (organization_id, email)",
}
"""What else has to be known to tell somebody."""


def upgrade() -> None:
    """Apply."""
    create_tables()
    own = f"organization_id = {CURRENT_ORGANIZATION}"
    for table, (of_the_api, of_workflows) in RIGHTS.items():
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY organization ON {table} USING ({own}) WITH CHECK ({own})")
        op.execute(f"CREATE POLICY workflows ON {table} TO {WORKFLOWS} USING (true) WITH CHECK (true)")
        op.execute(f"GRANT {of_the_api} ON {table} TO altaviz_app")
        op.execute(f"GRANT {of_workflows} ON {table} TO {WORKFLOWS}")
    for table, rights in MORE.items():
        op.execute(f"GRANT {rights} ON {table} TO {WORKFLOWS}")
    op.execute(f"CREATE POLICY workflows ON users TO {WORKFLOWS} USING (true) WITH CHECK (false)")


def create_tables() -> None:
    """Create the tables."""
    op.create_table(
        CHANNELS,
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("channel_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("name", sa.Unicode(length=100), nullable=False),
        sa.Column("address", sa.UnicodeText(), nullable=False),
        sa.Column("secret", sa.String(length=100), nullable=True),
        sa.Column("previous_secret", sa.String(length=100), nullable=True),
        sa.Column("previous_until", INSTANT, nullable=True),
        sa.Column("least_severity", sa.String(length=20), nullable=False),
        sa.Column("after_minutes", sa.Integer(), nullable=False),
        sa.Column("tells_resolved", sa.Boolean(), nullable=False),
        sa.Column("quiet_from", sa.Time(), nullable=True),
        sa.Column("quiet_until", sa.Time(), nullable=True),
        sa.Column("quiet_for_critical", sa.Boolean(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("created_by", sa.Unicode(length=320), nullable=False),
        sa.Column("removed_at", INSTANT, nullable=True),
        sa.CheckConstraint(
            "kind IN ('email', 'slack', 'teams', 'webhook')", name=op.f("ck_notification_channels_kind")
        ),
        sa.CheckConstraint(
            "least_severity IN ('warning', 'critical')", name=op.f("ck_notification_channels_least_severity")
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_notification_channels_organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", "channel_id", name=op.f("pk_notification_channels")),
    )
    op.create_index(
        op.f("ix_notification_channels_organization_id_created_at_channel_id"),
        CHANNELS,
        ["organization_id", "created_at", "channel_id"],
    )
    op.create_table(
        DELIVERIES,
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("delivery_id", sa.Uuid(), nullable=False),
        sa.Column("channel_id", sa.Uuid(), nullable=False),
        sa.Column("message", JSONB(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("next_attempt_at", INSTANT, nullable=True),
        sa.Column("claimed_until", INSTANT, nullable=True),
        sa.Column("delivered_at", INSTANT, nullable=True),
        sa.CheckConstraint(
            "state IN ('waiting', 'delivered', 'failed')", name=op.f("ck_notification_deliveries_state")
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_notification_deliveries_organization_id")
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "channel_id"],
            [f"{CHANNELS}.organization_id", f"{CHANNELS}.channel_id"],
            name=op.f("fk_notification_deliveries_organization_id_channel_id"),
        ),
        sa.PrimaryKeyConstraint("organization_id", "delivery_id", name=op.f("pk_notification_deliveries")),
    )
    for columns in (("created_at", "delivery_id"), ("channel_id", "created_at")):
        name = f"ix_{DELIVERIES}_organization_id_{'_'.join(columns)}"
        op.create_index(op.f(name), DELIVERIES, ["organization_id", *columns])
    op.create_index(
        "ix_notification_deliveries_waiting",
        DELIVERIES,
        ["next_attempt_at"],
        postgresql_where=sa.text("state = 'waiting'"),
        mssql_where=sa.text("state = 'waiting'"),
    )
    op.create_table(
        ATTEMPTS,
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("delivery_id", sa.Uuid(), nullable=False),
        sa.Column("attempted_at", INSTANT, nullable=False),
        sa.Column("seconds", DOUBLE, nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("error", sa.Unicode(length=200), nullable=True),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_delivery_attempts_organization_id")
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "delivery_id"],
            [f"{DELIVERIES}.organization_id", f"{DELIVERIES}.delivery_id"],
            name=op.f("fk_delivery_attempts_organization_id_delivery_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organization_id", "delivery_id", "attempted_at", name=op.f("pk_delivery_attempts")),
    )
    op.create_table(
        NOTIFICATIONS,
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("notification_id", sa.Uuid(), nullable=False),
        sa.Column("alert_id", sa.Uuid(), nullable=False),
        sa.Column("channel_id", sa.Uuid(), nullable=False),
        sa.Column("occasion", sa.String(length=10), nullable=False),
        sa.Column("noticed_at", INSTANT, nullable=False),
        sa.Column("due_at", INSTANT, nullable=False),
        sa.Column("delivery_id", sa.Uuid(), nullable=True),
        sa.Column("dropped", sa.String(length=20), nullable=True),
        sa.Column("closed", sa.Boolean(), nullable=False),
        sa.CheckConstraint("occasion IN ('warning', 'critical', 'resolved')", name=op.f("ck_notifications_occasion")),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_notifications_organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", "notification_id", name=op.f("pk_notifications")),
        sa.UniqueConstraint("organization_id", "alert_id", "channel_id", "occasion", name="uq_notifications_once"),
    )
    op.create_index(
        "ix_notifications_undecided",
        NOTIFICATIONS,
        ["due_at"],
        postgresql_where=sa.text("delivery_id IS NULL AND dropped IS NULL"),
        mssql_where=sa.text("delivery_id IS NULL AND dropped IS NULL"),
    )
    op.create_index(
        "ix_notifications_standing",
        NOTIFICATIONS,
        ["organization_id", "alert_id"],
        postgresql_where=sa.text("NOT closed"),
        mssql_where=sa.text("closed = 0"),
    )
    for column in ("delivery_id", "noticed_at"):
        op.create_index(
            op.f(f"ix_{NOTIFICATIONS}_organization_id_{column}"), NOTIFICATIONS, ["organization_id", column]
        )


def downgrade() -> None:
    """Undo."""
    op.execute("DROP POLICY workflows ON users")
    for table, rights in MORE.items():
        op.execute(f"REVOKE {rights} ON {table} FROM {WORKFLOWS}")
    for table in (NOTIFICATIONS, ATTEMPTS, DELIVERIES, CHANNELS):
        op.drop_table(table)
