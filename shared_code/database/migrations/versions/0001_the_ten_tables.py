"""The ten tables, the three views, and row-level security on every tenant table."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

DOUBLE: sa.Double[float] = sa.Double()
DOCUMENT = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


TENANT_TABLES = (
    "users",
    "billing_events",
    "station_locations",
    "compressor_metadata",
    "maintenance_events",
    "sensor_readings_agg",
    "data_quality_metrics",
    "alert_history",
    "ml_predictions",
)
# What the Spark job derives or delivers. People, bills and the organizations themselves are none of its business.
JOB_TABLES = (
    "station_locations",
    "compressor_metadata",
    "maintenance_events",
    "sensor_readings_agg",
    "data_quality_metrics",
    "alert_history",
    "ml_predictions",
)

# Staging table -> the table that its rows are merged into.
STAGING = {
    "staging_sensor_readings_agg": "sensor_readings_agg",
    "staging_data_quality_metrics": "data_quality_metrics",
}

# Unset or empty means no organization, and no row: nullif keeps '' (what a pooled connection returns after its
# first transaction) from being cast.
CURRENT_ORGANIZATION = "nullif(current_setting('app.organization_id', true), '')::uuid"

VIEWS = {
    "v_latest_readings": """
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
    """,
    "v_active_alerts": """
        SELECT a.*,
               CASE a.severity WHEN 'critical' THEN 2 ELSE 1 END AS severity_rank,
               c.station_id,
               c.model
        FROM alert_history AS a
        JOIN compressor_metadata AS c USING (organization_id, compressor_id)
        WHERE NOT a.resolved
    """,
    "v_fleet_health_summary": """
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
        GROUP BY c.organization_id, c.compressor_id, c.station_id
    """,
}


def upgrade() -> None:
    """Apply."""
    create_roles()
    create_tables()
    create_staging()
    for table in TENANT_TABLES:
        separate_organizations(table, f"organization_id = {CURRENT_ORGANIZATION}")
    separate_organizations("organizations", f"id = {CURRENT_ORGANIZATION}")
    grant()
    for name, query in VIEWS.items():
        op.execute(f"CREATE VIEW {name} WITH (security_invoker = true) AS {query}")
        op.execute(f"GRANT SELECT ON {name} TO altaviz_app")


def create_roles() -> None:
    """Roles belong to the server, not to this database: they may be there, and a downgrade leaves them."""
    for role in ("altaviz_app", "altaviz_etl"):
        op.execute(
            f"""
            DO $$ BEGIN
                CREATE ROLE {role} NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE;
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL;
            END $$
            """
        )


def separate_organizations(table: str, condition: str) -> None:
    """Let a transaction see and write one organization's rows only; the owner of the table is held to it too."""
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY organization ON {table} USING ({condition}) WITH CHECK ({condition})")


def grant() -> None:
    """Give each role what it needs."""
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON organizations TO altaviz_app")
    for table in TENANT_TABLES:
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO altaviz_app")
    op.execute("GRANT SELECT ON etl_runs TO altaviz_app")
    # Sign-in knows an identity before it knows an organization.
    op.execute(
        """
        CREATE POLICY sign_in ON users FOR SELECT TO altaviz_app USING (
            identity_issuer = current_setting('app.identity_issuer', true)
            AND identity_tenant = current_setting('app.identity_tenant', true)
            AND identity_object = current_setting('app.identity_object', true)
        )
        """
    )
    # The job serves all organizations in one statement, and nothing but what it derives.
    for table in JOB_TABLES:
        op.execute(f"CREATE POLICY job ON {table} TO altaviz_etl USING (true) WITH CHECK (true)")
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO altaviz_etl")
    op.execute("CREATE POLICY job ON organizations FOR SELECT TO altaviz_etl USING (true)")
    op.execute("GRANT SELECT (id) ON organizations TO altaviz_etl")
    op.execute("GRANT SELECT, INSERT, UPDATE ON etl_runs TO altaviz_etl")


def create_staging() -> None:
    """Create the tables that a batch's rows are copied into; unlogged, because a rerun writes them again.

    COPY refuses a table with row-level security. These hold rows of all organizations for a moment, and nobody but
    the job is granted anything on them.
    """
    for staging, target in STAGING.items():
        op.execute(f"CREATE UNLOGGED TABLE {staging} (batch_id varchar(100) NOT NULL, LIKE {target})")
        op.create_index(f"ix_{staging}_batch_id", staging, ["batch_id"])
        op.execute(f"GRANT SELECT, INSERT, DELETE ON {staging} TO altaviz_etl")


def create_tables() -> None:
    """Create the tables and their indexes."""
    op.create_table(
        "data_quality_metrics",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("compressor_id", sa.String(length=50), nullable=False),
        sa.Column("metric_type", sa.String(length=20), nullable=False),
        sa.Column("metric_timestamp", sa.DateTime(timezone=True), nullable=False),
        sa.Column("metric_value", DOUBLE, nullable=False),
        sa.Column("pass_threshold", DOUBLE, nullable=False),
        sa.Column("passed", sa.Boolean(), nullable=False),
        sa.Column("details", DOCUMENT, nullable=False),
        sa.CheckConstraint(
            "metric_type IN ('freshness', 'completeness', 'consistency', 'accuracy')",
            name=op.f("ck_data_quality_metrics_metric_type"),
        ),
        sa.PrimaryKeyConstraint(
            "organization_id", "compressor_id", "metric_type", "metric_timestamp", name=op.f("pk_data_quality_metrics")
        ),
    )
    op.create_index(
        op.f("ix_data_quality_metrics_organization_id_metric_timestamp"),
        "data_quality_metrics",
        ["organization_id", "metric_timestamp"],
        unique=False,
    )
    op.create_table(
        "etl_runs",
        sa.Column("batch_id", sa.String(length=100), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("program_version", sa.Unicode(length=50), nullable=False),
        sa.Column("summary", DOCUMENT, nullable=False),
        sa.PrimaryKeyConstraint("batch_id", name=op.f("pk_etl_runs")),
    )
    op.create_index(op.f("ix_etl_runs_published_at"), "etl_runs", ["published_at"], unique=False)
    op.create_table(
        "organizations",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Unicode(length=200), nullable=False),
        sa.Column("slug", sa.String(length=100), nullable=False),
        sa.Column("stripe_customer_id", sa.String(length=255), nullable=True),
        sa.Column("subscription_tier", sa.String(length=20), nullable=False),
        sa.Column("subscription_status", sa.String(length=20), nullable=False),
        sa.Column("max_compressors", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "subscription_status IN ('active', 'past_due', 'canceled', 'trialing')",
            name=op.f("ck_organizations_subscription_status"),
        ),
        sa.CheckConstraint(
            "subscription_tier IN ('free', 'pro', 'enterprise')", name=op.f("ck_organizations_subscription_tier")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_organizations")),
        sa.UniqueConstraint("slug", name=op.f("uq_organizations_slug")),
    )
    op.create_index(op.f("ix_organizations_stripe_customer_id"), "organizations", ["stripe_customer_id"], unique=False)
    op.create_table(
        "sensor_readings_agg",
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
        sa.CheckConstraint("window_type IN ('1hr', '4hr', '24hr')", name=op.f("ck_sensor_readings_agg_window_type")),
        sa.PrimaryKeyConstraint(
            "organization_id", "compressor_id", "window_type", "agg_timestamp", name=op.f("pk_sensor_readings_agg")
        ),
    )
    op.create_index(
        op.f("ix_sensor_readings_agg_organization_id_window_type_agg_timestamp"),
        "sensor_readings_agg",
        ["organization_id", "window_type", "agg_timestamp"],
        unique=False,
    )
    op.create_table(
        "billing_events",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("stripe_event_id", sa.String(length=255), nullable=False),
        sa.Column("event_type", sa.String(length=100), nullable=False),
        sa.Column("amount_cents", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.String(length=3), nullable=True),
        sa.Column("payload", DOCUMENT, nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("handled_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_billing_events_organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_billing_events")),
        sa.UniqueConstraint("stripe_event_id", name=op.f("uq_billing_events_stripe_event_id")),
    )
    op.create_index(
        op.f("ix_billing_events_handled_at_received_at"), "billing_events", ["handled_at", "received_at"], unique=False
    )
    op.create_index(
        op.f("ix_billing_events_organization_id_received_at"),
        "billing_events",
        ["organization_id", "received_at"],
        unique=False,
    )
    op.create_table(
        "station_locations",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("station_id", sa.String(length=50), nullable=False),
        sa.Column("station_name", sa.Unicode(length=200), nullable=False),
        sa.Column("latitude", DOUBLE, nullable=False),
        sa.Column("longitude", DOUBLE, nullable=False),
        sa.Column("elevation_ft", DOUBLE, nullable=True),
        sa.Column("region", sa.Unicode(length=100), nullable=True),
        sa.Column("city", sa.Unicode(length=100), nullable=True),
        sa.Column("state", sa.Unicode(length=50), nullable=True),
        sa.Column("timezone", sa.String(length=50), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_station_locations_organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", "station_id", name=op.f("pk_station_locations")),
    )
    op.create_table(
        "users",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("email", sa.Unicode(length=320), nullable=False),
        sa.Column("name", sa.Unicode(length=200), nullable=False),
        sa.Column("identity_issuer", sa.String(length=200), nullable=False),
        sa.Column("identity_tenant", sa.String(length=100), nullable=False),
        sa.Column("identity_object", sa.String(length=320), nullable=False),
        sa.Column("role", sa.String(length=20), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_login_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("role IN ('owner', 'admin', 'operator', 'viewer')", name=op.f("ck_users_role")),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name=op.f("fk_users_organization_id")),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_users")),
        sa.UniqueConstraint("identity_issuer", "identity_tenant", "identity_object", name="uq_users_identity"),
    )
    op.create_index(op.f("ix_users_organization_id_email"), "users", ["organization_id", "email"], unique=False)
    op.create_table(
        "compressor_metadata",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("compressor_id", sa.String(length=50), nullable=False),
        sa.Column("model", sa.Unicode(length=100), nullable=False),
        sa.Column("horsepower", DOUBLE, nullable=False),
        sa.Column("install_date", sa.Date(), nullable=True),
        sa.Column("station_id", sa.String(length=50), nullable=False),
        sa.Column("latitude", DOUBLE, nullable=True),
        sa.Column("longitude", DOUBLE, nullable=True),
        sa.ForeignKeyConstraint(
            ["organization_id", "station_id"],
            ["station_locations.organization_id", "station_locations.station_id"],
            name=op.f("fk_compressor_metadata_organization_id_station_id"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_compressor_metadata_organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", "compressor_id", name=op.f("pk_compressor_metadata")),
    )
    op.create_index(
        op.f("ix_compressor_metadata_organization_id_model"),
        "compressor_metadata",
        ["organization_id", "model"],
        unique=False,
    )
    op.create_index(
        op.f("ix_compressor_metadata_organization_id_station_id"),
        "compressor_metadata",
        ["organization_id", "station_id"],
        unique=False,
    )
    op.create_table(
        "alert_history",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("alert_id", sa.Uuid(), nullable=False),
        sa.Column("compressor_id", sa.String(length=50), nullable=False),
        sa.Column("alert_timestamp", sa.DateTime(timezone=True), nullable=False),
        sa.Column("alert_type", sa.String(length=30), nullable=False),
        sa.Column("severity", sa.String(length=20), nullable=False),
        sa.Column("sensor_name", sa.String(length=50), nullable=True),
        sa.Column("sensor_value", DOUBLE, nullable=True),
        sa.Column("threshold_value", DOUBLE, nullable=True),
        sa.Column("message", sa.UnicodeText(), nullable=False),
        sa.Column("acknowledged", sa.Boolean(), nullable=False),
        sa.Column("acknowledged_by", sa.Unicode(length=320), nullable=True),
        sa.Column("acknowledged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("resolved", sa.Boolean(), nullable=False),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("shelved_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("shelved_reason", sa.UnicodeText(), nullable=True),
        sa.CheckConstraint(
            "alert_type IN ('threshold_warning', 'threshold_critical', 'anomaly', 'prediction', 'staleness')",
            name=op.f("ck_alert_history_alert_type"),
        ),
        sa.CheckConstraint("severity IN ('warning', 'critical')", name=op.f("ck_alert_history_severity")),
        sa.ForeignKeyConstraint(
            ["organization_id", "compressor_id"],
            ["compressor_metadata.organization_id", "compressor_metadata.compressor_id"],
            name=op.f("fk_alert_history_organization_id_compressor_id"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_alert_history_organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", "alert_id", name=op.f("pk_alert_history")),
    )
    op.create_index(
        op.f("ix_alert_history_organization_id_alert_timestamp"),
        "alert_history",
        ["organization_id", "alert_timestamp"],
        unique=False,
    )
    op.create_index(
        op.f("ix_alert_history_organization_id_compressor_id_alert_timestamp"),
        "alert_history",
        ["organization_id", "compressor_id", "alert_timestamp"],
        unique=False,
    )
    op.create_index(
        op.f("ix_alert_history_organization_id_resolved_severity_alert_timestamp"),
        "alert_history",
        ["organization_id", "resolved", "severity", "alert_timestamp"],
        unique=False,
    )
    op.create_table(
        "maintenance_events",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("compressor_id", sa.String(length=50), nullable=False),
        sa.Column("event_date", sa.DateTime(timezone=True), nullable=False),
        sa.Column("event_type", sa.String(length=20), nullable=False),
        sa.Column("description", sa.UnicodeText(), nullable=False),
        sa.Column("downtime_hours", DOUBLE, nullable=False),
        sa.Column("severity", sa.String(length=20), nullable=False),
        sa.Column("cost_usd", sa.Numeric(precision=12, scale=2), nullable=True),
        sa.CheckConstraint(
            "event_type IN ('scheduled', 'unscheduled', 'inspection', 'failure')",
            name=op.f("ck_maintenance_events_event_type"),
        ),
        sa.CheckConstraint(
            "severity IN ('low', 'medium', 'high', 'critical')", name=op.f("ck_maintenance_events_severity")
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "compressor_id"],
            ["compressor_metadata.organization_id", "compressor_metadata.compressor_id"],
            name=op.f("fk_maintenance_events_organization_id_compressor_id"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_maintenance_events_organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", "event_id", name=op.f("pk_maintenance_events")),
    )
    op.create_index(
        op.f("ix_maintenance_events_organization_id_compressor_id_event_date"),
        "maintenance_events",
        ["organization_id", "compressor_id", "event_date"],
        unique=False,
    )
    op.create_index(
        op.f("ix_maintenance_events_organization_id_event_date"),
        "maintenance_events",
        ["organization_id", "event_date"],
        unique=False,
    )
    op.create_table(
        "ml_predictions",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("compressor_id", sa.String(length=50), nullable=False),
        sa.Column("prediction_timestamp", sa.DateTime(timezone=True), nullable=False),
        sa.Column("model_version", sa.String(length=50), nullable=False),
        sa.Column("rul_days", DOUBLE, nullable=True),
        sa.Column("failure_probability", DOUBLE, nullable=False),
        sa.Column("confidence_score", DOUBLE, nullable=False),
        sa.Column("features_used", DOCUMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id", "compressor_id"],
            ["compressor_metadata.organization_id", "compressor_metadata.compressor_id"],
            name=op.f("fk_ml_predictions_organization_id_compressor_id"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_ml_predictions_organization_id")
        ),
        sa.PrimaryKeyConstraint(
            "organization_id", "compressor_id", "prediction_timestamp", "model_version", name=op.f("pk_ml_predictions")
        ),
    )
    op.create_index(
        op.f("ix_ml_predictions_organization_id_failure_probability"),
        "ml_predictions",
        ["organization_id", "failure_probability"],
        unique=False,
    )
    op.create_index(
        op.f("ix_ml_predictions_organization_id_prediction_timestamp"),
        "ml_predictions",
        ["organization_id", "prediction_timestamp"],
        unique=False,
    )


def downgrade() -> None:
    """Undo."""
    for name in reversed(VIEWS):
        op.execute(f"DROP VIEW {name}")
    for table in (
        *STAGING,
        "ml_predictions",
        "maintenance_events",
        "alert_history",
        "compressor_metadata",
        "users",
        "station_locations",
        "billing_events",
        "sensor_readings_agg",
        "organizations",
        "etl_runs",
        "data_quality_metrics",
    ):
        op.drop_table(table)
