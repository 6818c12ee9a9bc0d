"""Newest window in a table of its own, and a number that tells that an organization's data changed."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

DOUBLE: sa.Double[float] = sa.Double()
CURRENT_ORGANIZATION = "nullif(current_setting('app.organization_id', true), '')::uuid"
LOOKED_UP = """
    SELECT r.*
    FROM compressor_metadata AS c
    CROSS JOIN (VALUES ('1hr'), ('4hr'), ('24hr')) AS w (window_type)
    CROSS JOIN LATERAL (
        SELECT * FROM sensor_readings_agg AS a
        WHERE a.organization_id = c.organization_id
          AND a.compressor_id = c.compressor_id
          AND a.window_type = w.window_type
        ORDER BY a.agg_timestamp DESC
        LIMIT 1
    ) AS r
"""
READ_FOR_THE_FIRST_ROWS = ("compressor_metadata", "sensor_readings_agg")


def upgrade() -> None:
    """Apply; the windows that are there are looked through once."""
    create_tables()
    for table in READ_FOR_THE_FIRST_ROWS:
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")  # for the owner of the table, for one statement
    op.execute(f"INSERT INTO latest_readings {LOOKED_UP}")
    for table in READ_FOR_THE_FIRST_ROWS:
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    for table in ("latest_readings", "organization_versions"):
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        own = f"organization_id = {CURRENT_ORGANIZATION}"
        op.execute(f"CREATE POLICY organization ON {table} USING ({own}) WITH CHECK ({own})")
        op.execute(f"CREATE POLICY job ON {table} TO altaviz_etl USING (true) WITH CHECK (true)")
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO altaviz_app, altaviz_etl")
    op.execute(
        "CREATE OR REPLACE VIEW v_latest_readings WITH (security_invoker = true) AS SELECT * FROM latest_readings"
    )


def create_tables() -> None:
    """Create the tables."""
    op.create_table(
        "latest_readings",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("compressor_id", sa.String(length=50), nullable=False),
        sa.Column("window_type", sa.String(length=4), nullable=False),
        sa.Column("agg_timestamp", sa.DateTime(timezone=True), nullable=False),
        sa.Column("vibration_mean", DOUBLE, nullable=True),
        sa.Column("vibration_std", DOUBLE, nullable=True),
        sa.Column("vibration_max", DOUBLE, nullable=True),
        sa.Column("vibration_min", DOUBLE, nullable=True),
        sa.Column("discharge_temp_mean", DOUBLE, nullable=True),
        sa.Column("discharge_temp_std", DOUBLE, nullable=True),
        sa.Column("discharge_temp_max", DOUBLE, nullable=True),
        sa.Column("discharge_temp_rate_of_change", DOUBLE, nullable=True),
        sa.Column("suction_pressure_mean", DOUBLE, nullable=True),
        sa.Column("suction_pressure_std", DOUBLE, nullable=True),
        sa.Column("suction_pressure_min", DOUBLE, nullable=True),
        sa.Column("discharge_pressure_mean", DOUBLE, nullable=True),
        sa.Column("discharge_pressure_std", DOUBLE, nullable=True),
        sa.Column("discharge_pressure_max", DOUBLE, nullable=True),
        sa.Column("pressure_delta_mean", DOUBLE, nullable=True),
        sa.Column("horsepower_mean", DOUBLE, nullable=True),
        sa.Column("horsepower_std", DOUBLE, nullable=True),
        sa.Column("gas_flow_mean", DOUBLE, nullable=True),
        sa.Column("reading_count", sa.Integer(), nullable=False),
        sa.Column("missing_readings", sa.Integer(), nullable=False),
        sa.Column("suspect_readings", sa.Integer(), nullable=False),
        sa.CheckConstraint("window_type IN ('1hr', '4hr', '24hr')", name=op.f("ck_latest_readings_window_type")),
        sa.PrimaryKeyConstraint("organization_id", "compressor_id", "window_type", name=op.f("pk_latest_readings")),
    )
    op.create_table(
        "organization_versions",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("organization_id", name=op.f("pk_organization_versions")),
    )


def downgrade() -> None:
    """Undo. The view looks the newest windows up again."""
    op.execute(f"CREATE OR REPLACE VIEW v_latest_readings WITH (security_invoker = true) AS {LOOKED_UP}")
    op.drop_table("organization_versions")
    op.drop_table("latest_readings")
