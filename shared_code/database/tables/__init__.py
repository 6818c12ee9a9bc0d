"""The SQL tables. Every tenant table has `organization_id` first in its key."""

from shared_code.database.tables.access import api_keys, audit_log, idempotent_requests, sessions, sign_in_attempts
from shared_code.database.tables.alerts import alert_history, alert_rule_settings, staging_alert_history
from shared_code.database.tables.billing import billing_events, payment_failures, stripe_events, subscriptions
from shared_code.database.tables.deliveries import reading_deliveries
from shared_code.database.tables.fleet import compressor_metadata, maintenance_events, station_locations
from shared_code.database.tables.limits import rate_limits
from shared_code.database.tables.metadata import metadata
from shared_code.database.tables.notifications import (
    delivery_attempts,
    notification_channels,
    notification_deliveries,
    notifications,
)
from shared_code.database.tables.organizations import invitations, organizations, users
from shared_code.database.tables.predictions import ml_predictions, staging_ml_predictions
from shared_code.database.tables.readings import (
    data_quality_metrics,
    etl_runs,
    latest_readings,
    machine_contacts,
    organization_versions,
    sensor_readings_agg,
    staging_data_quality_metrics,
    staging_sensor_readings_agg,
)
from shared_code.database.tables.views import v_active_alerts, v_fleet_health_summary, v_latest_readings
from shared_code.database.tables.workflows import workflow_runs, workflow_settings

__all__ = [
    "alert_history",
    "alert_rule_settings",
    "api_keys",
    "audit_log",
    "billing_events",
    "compressor_metadata",
    "data_quality_metrics",
    "delivery_attempts",
    "etl_runs",
    "idempotent_requests",
    "invitations",
    "latest_readings",
    "machine_contacts",
    "maintenance_events",
    "metadata",
    "ml_predictions",
    "notification_channels",
    "notification_deliveries",
    "notifications",
    "organization_versions",
    "organizations",
    "payment_failures",
    "rate_limits",
    "reading_deliveries",
    "sensor_readings_agg",
    "sessions",
    "sign_in_attempts",
    "staging_alert_history",
    "staging_data_quality_metrics",
    "staging_ml_predictions",
    "staging_sensor_readings_agg",
    "station_locations",
    "stripe_events",
    "subscriptions",
    "users",
    "v_active_alerts",
    "v_fleet_health_summary",
    "v_latest_readings",
    "workflow_runs",
    "workflow_settings",
]
