"""An alert tells of one problem from its onset to its end, however many readings show it."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

TABLE = "alert_history"
INSTANT = sa.DateTime(timezone=True)
DOUBLE: sa.Double[float] = sa.Double()
ALWAYS = {  # column: its type, and what it is for alerts raised so far
    "rule": (sa.String(length=50), "coalesce(sensor_name, alert_type)"),
    "onset_at": (INSTANT, "alert_timestamp"),
    "group_at": (INSTANT, "alert_timestamp"),
    "latest_at": (INSTANT, "alert_timestamp"),
    "latched": (sa.Boolean(), "false"),
}
SOMETIMES = {
    "critical_at": INSTANT,
    "peak_value": DOUBLE,
    "peak_at": INSTANT,
    "cleared_at": INSTANT,
    "suppressed_by": sa.String(length=50),
    "withdrawn_at": INSTANT,
    "escalated_at": INSTANT,
    "shelved_by": sa.Unicode(length=320),
}
OF_THE_RULE = (
    "onset_at, alert_timestamp, group_at, critical_at, latest_at, peak_value, peak_at, cleared_at, latched,"
    " suppressed_by, withdrawn_at"
)
"""What the job may change of an alert beside what it might before."""
ONE_OPEN = "uq_alert_history_open"
OF_A_RULE = "ix_alert_history_organization_id_compressor_id_rule_onset_at"
ONE_EACH = """
    UPDATE alert_history AS a
    SET resolved = true, resolved_at = a.alert_timestamp
    WHERE NOT a.resolved AND EXISTS (
        SELECT FROM alert_history AS b
        WHERE NOT b.resolved AND (b.organization_id, b.compressor_id, b.rule)
            = (a.organization_id, a.compressor_id, a.rule)
          AND (b.alert_timestamp, b.alert_id) > (a.alert_timestamp, a.alert_id)
    )
"""
CONTACTS = "machine_contacts"
CURRENT_ORGANIZATION = "nullif(current_setting('app.organization_id', true), '')::uuid"
STAGING = "staging_alert_history"
STAGED = """
    CREATE UNLOGGED TABLE staging_alert_history AS
    SELECT CAST(NULL AS varchar(100)) AS batch_id, organization_id, compressor_id, rule, onset_at, alert_timestamp,
           group_at, alert_type, severity, critical_at, sensor_name, sensor_value, latest_at, peak_value, peak_at,
           threshold_value, message, cleared_at, latched, suppressed_by, alert_id
    FROM alert_history
    WITH NO DATA
"""

ACTIVE_ALERTS = """
    CREATE VIEW v_active_alerts WITH (security_invoker = true) AS
    SELECT a.*,
           CASE a.severity WHEN 'critical' THEN 2 ELSE 1 END AS severity_rank,
           c.station_id,
           c.model
    FROM alert_history AS a
    JOIN compressor_metadata AS c USING (organization_id, compressor_id)
    WHERE NOT a.resolved {only}
"""
FLEET_HEALTH = """
    CREATE VIEW v_fleet_health_summary WITH (security_invoker = true) AS
    SELECT c.organization_id,
           c.compressor_id,
           c.station_id,
           count(a.alert_id)::integer AS active_alerts,
           (count(*) FILTER (WHERE a.severity_rank = 1))::integer AS warning_alerts,
           (count(*) FILTER (WHERE a.severity_rank = 2))::integer AS critical_alerts,
           coalesce(max(a.severity_rank), 0) AS worst_severity_rank,
           max(p.failure_probability) AS max_failure_probability
    FROM compressor_metadata AS c
    LEFT JOIN v_active_alerts AS a USING (organization_id, compressor_id)
    LEFT JOIN LATERAL (
        SELECT failure_probability FROM ml_predictions AS m
        WHERE m.organization_id = c.organization_id AND m.compressor_id = c.compressor_id
        ORDER BY m.prediction_timestamp DESC
        LIMIT 1
    ) AS p ON true
    WHERE c.retired_at IS NULL
    GROUP BY c.organization_id, c.compressor_id, c.station_id
"""


def upgrade() -> None:
    """Apply. A view shows the columns that its table had when it was made, so it is made again."""
    drop_views()
    for name, (kind, _) in ALWAYS.items():
        op.add_column(TABLE, sa.Column(name, kind, nullable=True))
    table = sa.table(TABLE, *(sa.column(name, kind) for name, (kind, _) in ALWAYS.items()))
    op.execute(table.update().values({name: sa.text(value) for name, (_, value) in ALWAYS.items()}))
    for name, (kind, _) in ALWAYS.items():
        op.alter_column(TABLE, name, existing_type=kind, nullable=False)
    for name, kind in SOMETIMES.items():
        op.add_column(TABLE, sa.Column(name, kind, nullable=True))
    op.execute(ONE_EACH)
    create_views("AND a.suppressed_by IS NULL")
    op.create_index(
        ONE_OPEN,
        TABLE,
        ["organization_id", "compressor_id", "rule"],
        unique=True,
        postgresql_where=sa.text("NOT resolved"),
        mssql_where=sa.text("resolved = 0"),
    )
    op.create_index(OF_A_RULE, TABLE, ["organization_id", "compressor_id", "rule", "onset_at"])
    op.execute(f"GRANT UPDATE ({OF_THE_RULE}) ON {TABLE} TO altaviz_etl")
    op.execute(STAGED)
    op.alter_column(STAGING, "batch_id", existing_type=sa.String(length=100), nullable=False)
    op.create_index(f"ix_{STAGING}_batch_id", STAGING, ["batch_id"])
    op.execute(f"GRANT SELECT, INSERT, DELETE, UPDATE (alert_id) ON {STAGING} TO altaviz_etl")
    create_contacts()


def create_contacts() -> None:
    """Create the table of when machines were last heard."""
    op.create_table(
        CONTACTS,
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("compressor_id", sa.String(length=50), nullable=False),
        sa.Column("last_reading_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "compressor_id", name=op.f("pk_machine_contacts")),
    )
    op.execute(f"ALTER TABLE {CONTACTS} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {CONTACTS} FORCE ROW LEVEL SECURITY")
    own = f"organization_id = {CURRENT_ORGANIZATION}"
    op.execute(f"CREATE POLICY organization ON {CONTACTS} USING ({own}) WITH CHECK ({own})")
    op.execute(f"CREATE POLICY job ON {CONTACTS} TO altaviz_etl USING (true) WITH CHECK (true)")
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {CONTACTS} TO altaviz_app, altaviz_etl")


def downgrade() -> None:
    """Undo."""
    op.drop_table(CONTACTS)
    op.drop_table(STAGING)
    op.execute(f"REVOKE UPDATE ({OF_THE_RULE}) ON {TABLE} FROM altaviz_etl")
    drop_views()
    op.drop_index(OF_A_RULE, TABLE)
    op.drop_index(ONE_OPEN, TABLE)
    for name in (*ALWAYS, *SOMETIMES):
        op.drop_column(TABLE, name)
    create_views("")


def drop_views() -> None:
    """Drop the views that look at alerts."""
    op.execute("DROP VIEW v_fleet_health_summary")
    op.execute("DROP VIEW v_active_alerts")


def create_views(only: str) -> None:
    """Create the views that look at alerts."""
    for view in (ACTIVE_ALERTS.format(only=only), FLEET_HEALTH):
        op.execute(view)
    op.execute("GRANT SELECT ON v_active_alerts, v_fleet_health_summary TO altaviz_app")
