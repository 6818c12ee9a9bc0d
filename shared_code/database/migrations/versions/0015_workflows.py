"""Workflows: what has run, how organizations want it, and a role that may do what workflows do and no more."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
ROLE = "altaviz_workflows"
CURRENT_ORGANIZATION = "nullif(current_setting('app.organization_id', true), '')::uuid"
RUNS, SETTINGS = "workflow_runs", "workflow_settings"
RIGHTS = {
    "organizations": "SELECT (id, subscription_tier)",
    "station_locations": "SELECT (organization_id, station_id, station_name)",
    "compressor_metadata": "SELECT (organization_id, compressor_id, station_id, retired_at)",
    "machine_contacts": "SELECT",
    "latest_readings": "SELECT (organization_id, compressor_id, window_type, agg_timestamp)",
    "alert_history": "SELECT, INSERT, DELETE, UPDATE (severity, escalated_at, cleared_at, suppressed_by, resolved,"
    " resolved_at, acknowledged, acknowledged_by, acknowledged_at, acknowledged_note)",
    "audit_log": "INSERT, SELECT (organization_id, target, occurred_at, actor_kind)",
    "sensor_readings_agg": "DELETE, SELECT (organization_id, compressor_id, window_type, agg_timestamp)",
    "data_quality_metrics": "DELETE, SELECT (organization_id, compressor_id, metric_type, metric_timestamp)",
    "ml_predictions": "DELETE, SELECT (organization_id, compressor_id, prediction_timestamp, model_version)",
    "organization_versions": "SELECT, INSERT, UPDATE",
    RUNS: "SELECT, INSERT, DELETE, UPDATE (changed, finished_at)",
    SETTINGS: "SELECT",
}
KEPT = {
    "changed_while_it_stands": "FOR UPDATE TO {role} USING (NOT resolved) WITH CHECK (resolved_by IS NULL)",
    "deleted_when_resolved": "FOR DELETE TO {role} USING (resolved)",
}
"""What workflows may not do to an alert, whatever their statements say."""


def upgrade() -> None:
    """Apply. The role belongs to the server, not to this database: it may be there, and a downgrade leaves it."""
    op.execute(
        f"""
        DO $$ BEGIN
            CREATE ROLE {ROLE} NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;
        END $$
        """
    )
    create_tables()
    for table in (RUNS, SETTINGS):
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        own = f"organization_id = {CURRENT_ORGANIZATION}"
        op.execute(f"CREATE POLICY organization ON {table} USING ({own}) WITH CHECK ({own})")
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO altaviz_app")
    for table, rights in RIGHTS.items():
        op.execute(f"GRANT {rights} ON {table} TO {ROLE}")
        op.execute(f"CREATE POLICY workflows ON {table} TO {ROLE} USING (true) WITH CHECK (true)")
    for name, condition in KEPT.items():
        op.execute(f"CREATE POLICY workflows_{name} ON alert_history AS RESTRICTIVE {condition.format(role=ROLE)}")


def create_tables() -> None:
    """Create the tables."""
    op.create_table(
        RUNS,
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("workflow", sa.String(length=30), nullable=False),
        sa.Column("slot", INSTANT, nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("started_at", INSTANT, nullable=False),
        sa.Column("finished_at", INSTANT, nullable=True),
        sa.Column("changed", sa.Integer(), nullable=False),
        sa.Column("started_by", sa.String(length=20), nullable=False),
        sa.Column("started_by_name", sa.Unicode(length=320), nullable=True),
        sa.CheckConstraint(
            "workflow IN ('alert_auto_resolve', 'data_freshness_check', 'alert_escalation', 'stale_alert_cleanup',"
            " 'data_retention')",
            name=op.f("ck_workflow_runs_workflow"),
        ),
        sa.CheckConstraint("started_by IN ('timer', 'person', 'key')", name=op.f("ck_workflow_runs_started_by")),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_workflow_runs_organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", "workflow", "slot", name=op.f("pk_workflow_runs")),
    )
    op.create_index(op.f("ix_workflow_runs_workflow_slot"), RUNS, ["workflow", "slot"])
    op.create_index(
        op.f("ix_workflow_runs_organization_id_slot_workflow"), RUNS, ["organization_id", "slot", "workflow"]
    )
    op.create_table(
        SETTINGS,
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("escalation_hours", sa.Integer(), nullable=True),
        sa.Column("staleness_hours", sa.Integer(), nullable=True),
        sa.Column("cleanup_days", sa.Integer(), nullable=True),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_workflow_settings_organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", name=op.f("pk_workflow_settings")),
    )


def downgrade() -> None:
    """Undo."""
    for name in KEPT:
        op.execute(f"DROP POLICY workflows_{name} ON alert_history")
    for table in RIGHTS:
        op.execute(f"DROP POLICY workflows ON {table}")
        op.execute(f"REVOKE ALL ON {table} FROM {ROLE}")
    op.drop_table(SETTINGS)
    op.drop_table(RUNS)
