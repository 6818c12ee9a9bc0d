"""Stations and machines that people create, change and retire."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

TABLES = ("station_locations", "compressor_metadata")
HEALTH_OF = """
    CREATE OR REPLACE VIEW v_fleet_health_summary WITH (security_invoker = true) AS
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
    {machines}
    GROUP BY c.organization_id, c.compressor_id, c.station_id
"""


def upgrade() -> None:
    """Apply. Rows that are there came from files: nobody else could write any."""
    for table in TABLES:
        op.add_column(table, sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True))
        op.add_column(table, sa.Column("edited_at", sa.DateTime(timezone=True), nullable=True))
        op.add_column(table, sa.Column("in_files", sa.Boolean(), nullable=False, server_default=sa.true()))
    op.execute(HEALTH_OF.format(machines="WHERE c.retired_at IS NULL"))


def downgrade() -> None:
    """Undo. A retired machine is one like any other again."""
    op.execute(HEALTH_OF.format(machines=""))
    for table in TABLES:
        for column in ("in_files", "edited_at", "retired_at"):
            op.drop_column(table, column)
