"""What people say of alerts and maintenance, kept from the job; indexes for the lists that they look at."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

PEOPLES = {
    "alert_history": {
        "acknowledged_note": sa.UnicodeText(),
        "resolved_by": sa.Unicode(length=320),
        "resolved_note": sa.UnicodeText(),
    },
    "maintenance_events": {"recorded_by": sa.Unicode(length=320), "recorded_at": sa.DateTime(timezone=True)},
}
OF_THE_RULE = "alert_type, severity, sensor_name, sensor_value, threshold_value, message, resolved, resolved_at"
"""What a rule may change of an alert that it raised."""

ACTIVE_ALERTS = """
    CREATE VIEW v_active_alerts WITH (security_invoker = true) AS
    SELECT a.*,
           CASE a.severity WHEN 'critical' THEN 2 ELSE 1 END AS severity_rank,
           c.station_id,
           c.model
    FROM alert_history AS a
    JOIN compressor_metadata AS c USING (organization_id, compressor_id)
    WHERE NOT a.resolved
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
METRICS = "data_quality_metrics"
METRIC_ORDER = ["organization_id", "metric_timestamp", "compressor_id", "metric_type"]
BY_TIME = f"ix_{METRICS}_organization_id_metric_timestamp"
LISTED = f"ix_{METRICS}_listed"
FAILED = f"ix_{METRICS}_failed"
ALERTS = "ix_alert_history_organization_id_resolved_alert_timestamp"


def upgrade() -> None:
    """Apply. A view shows the columns that its table had when it was made, so it is made again."""
    drop_views()
    for table, columns in PEOPLES.items():
        for name, kind in columns.items():
            op.add_column(table, sa.Column(name, kind, nullable=True))
    create_views()
    op.create_index(ALERTS, "alert_history", ["organization_id", "resolved", "alert_timestamp"])
    op.drop_index(BY_TIME, METRICS)
    op.create_index(LISTED, METRICS, METRIC_ORDER)
    op.create_index(
        FAILED, METRICS, METRIC_ORDER, postgresql_where=sa.text("NOT passed"), mssql_where=sa.text("passed = 0")
    )
    for table in PEOPLES:
        op.execute(f"REVOKE UPDATE, DELETE ON {table} FROM altaviz_etl")
    op.execute(f"GRANT UPDATE ({OF_THE_RULE}) ON alert_history TO altaviz_etl")
    op.execute(
        "CREATE POLICY resolved_by_people ON alert_history AS RESTRICTIVE FOR UPDATE TO altaviz_etl"
        " USING (resolved_by IS NULL)"
    )


def downgrade() -> None:
    """Undo. What people said is lost."""
    op.execute("DROP POLICY resolved_by_people ON alert_history")
    op.execute(f"REVOKE UPDATE ({OF_THE_RULE}) ON alert_history FROM altaviz_etl")
    for table in PEOPLES:
        op.execute(f"GRANT UPDATE, DELETE ON {table} TO altaviz_etl")
    op.drop_index(FAILED, METRICS)
    op.drop_index(LISTED, METRICS)
    op.create_index(BY_TIME, METRICS, ["organization_id", "metric_timestamp"])
    op.drop_index(ALERTS, "alert_history")
    drop_views()
    for table, columns in PEOPLES.items():
        for name in columns:
            op.drop_column(table, name)
    create_views()


def drop_views() -> None:
    """Drop the views that look at alerts."""
    op.execute("DROP VIEW v_fleet_health_summary")
    op.execute("DROP VIEW v_active_alerts")


def create_views() -> None:
    """Create the views that look at alerts."""
    for view in (ACTIVE_ALERTS, FLEET_HEALTH):
        op.execute(view)
    op.execute("GRANT SELECT ON v_active_alerts, v_fleet_health_summary TO altaviz_app")
