"""An organization with one row in every tenant table."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import uuid4

from sqlalchemy import Table, insert

from shared_code.database import transactions
from shared_code.database.engines import Database
from shared_code.database.tables import (
    alert_history,
    alert_rule_settings,
    api_keys,
    audit_log,
    billing_events,
    compressor_metadata,
    data_quality_metrics,
    delivery_attempts,
    idempotent_requests,
    invitations,
    latest_readings,
    machine_contacts,
    maintenance_events,
    metadata,
    ml_predictions,
    notification_channels,
    notification_deliveries,
    notifications,
    organization_versions,
    organizations,
    payment_failures,
    reading_deliveries,
    sensor_readings_agg,
    sessions,
    station_locations,
    subscriptions,
    users,
    v_active_alerts,
    v_fleet_health_summary,
    v_latest_readings,
    workflow_runs,
    workflow_settings,
)
from shared_code.identifiers import OrganizationId

THEN: Final = datetime(2026, 1, 5, 12, tzinfo=UTC)

STAGING: Final = tuple(name for name in sorted(metadata.tables) if name.startswith("staging_"))
TENANT_TABLES: Final = tuple(
    table
    for name, table in sorted(metadata.tables.items())
    if name not in STAGING and (name == "organizations" or "organization_id" in table.columns)
)
APPEND_ONLY: Final = (audit_log, delivery_attempts)
NEVER_CHANGED: Final = (*APPEND_ONLY, reading_deliveries)
VIEWS: Final = (v_latest_readings, v_active_alerts, v_fleet_health_summary)

Row = dict[str, Any]


def organization_column(table: Table) -> str:
    return "id" if table is organizations else "organization_id"


def rows_of(organization_id: OrganizationId) -> dict[Table, Row]:
    """Return a row for each tenant table, in an order in which they can be inserted."""
    machine = {"organization_id": organization_id, "compressor_id": "COMP-001"}
    station = {"organization_id": organization_id, "station_id": "STATION-A"}
    somebody, channel, delivery = uuid4(), uuid4(), uuid4()
    to_channel = {"organization_id": organization_id, "channel_id": channel}
    window = machine | {
        "window_type": "1hr",
        "agg_timestamp": THEN,
        "reading_count": 6,
        "missing_readings": 0,
        "suspect_readings": 0,
    }
    return {
        organizations: {
            "id": organization_id,
            "name": "An Organization",
            "slug": organization_id.hex,
            "subscription_tier": "pro",
            "subscription_status": "active",
            "created_at": THEN,
            "updated_at": THEN,
        },
        users: {
            "organization_id": organization_id,
            "id": somebody,
            "email": "somebody@organization.example",
            "name": "Somebody",
            "identity_issuer": "urn:test",
            "identity_tenant": "test",
            "identity_object": organization_id.hex,
            "role": "owner",
            "created_at": THEN,
        },
        sessions: {
            "organization_id": organization_id,
            "id": uuid4(),
            "user_id": somebody,
            "token_id": uuid4(),
            "created_at": THEN,
            "refreshed_at": THEN,
            "expires_at": THEN,
            "ends_at": THEN,
        },
        audit_log: {
            "organization_id": organization_id,
            "id": uuid4(),
            "occurred_at": THEN,
            "action": "organization.renamed",
            "details": {},
            "actor_kind": "system",
            "actor_name": "Altaviz",
        },
        invitations: {
            "organization_id": organization_id,
            "id": uuid4(),
            "email": "another@organization.example",
            "role": "viewer",
            "invited_by": "somebody@organization.example",
            "created_at": THEN,
            "expires_at": THEN,
        },
        api_keys: {
            "organization_id": organization_id,
            "id": uuid4(),
            "name": "A Gateway",
            "prefix": "altaviz_key_abcdef",
            "scopes": "ingest",
            "secret_hash": f"{organization_id.hex}-new",
            "previous_secret_hash": f"{organization_id.hex}-old",
            "created_at": THEN,
            "expires_at": THEN,
        },
        reading_deliveries: {
            "organization_id": organization_id,
            "name": "key-1",
            "content_hash": "0",
            "received_at": THEN,
        },
        idempotent_requests: {
            "organization_id": organization_id,
            "key_hash": "1",
            "fingerprint": "0",
            "expires_at": THEN,
        },
        billing_events: {
            "organization_id": organization_id,
            "id": uuid4(),
            "stripe_event_id": f"evt_{organization_id.hex}",
            "event_type": "invoice.paid",
            "payload": {},
            "received_at": THEN,
        },
        subscriptions: {
            "organization_id": organization_id,
            "customer_id": f"cus_{organization_id.hex}",
            "customer_deleted": False,
            "changed_at": THEN,
        },
        payment_failures: {
            "organization_id": organization_id,
            "invoice_id": "in_1",
            "attempt": 1,
            "amount_cents": 4900,
            "currency": "usd",
            "noticed_at": THEN,
            "attempts": 0,
        },
        station_locations: station
        | {"station_name": "A Station", "latitude": 28.9, "longitude": -98.5, "timezone": "America/Chicago"},
        compressor_metadata: station | machine | {"model": "Ajax DPC-360", "horsepower": 1340.0},
        maintenance_events: machine
        | {
            "event_id": uuid4(),
            "event_date": THEN,
            "event_type": "inspection",
            "description": "looked at",
            "downtime_hours": 0.5,
            "severity": "low",
            "cost_usd": Decimal("12.50"),
        },
        sensor_readings_agg: window,
        latest_readings: window,
        machine_contacts: machine | {"last_reading_at": THEN},
        organization_versions: {"organization_id": organization_id, "version": 1},
        data_quality_metrics: machine
        | {
            "metric_type": "accuracy",
            "metric_timestamp": THEN,
            "metric_value": 1.0,
            "pass_threshold": 0.98,
            "passed": True,
            "details": {},
        },
        alert_history: machine
        | {
            "alert_id": uuid4(),
            "rule": "vibration_high",
            "onset_at": THEN,
            "alert_timestamp": THEN,
            "group_at": THEN,
            "latest_at": THEN,
            "latched": False,
            "alert_type": "threshold_critical",
            "severity": "critical",
            "message": "vibration is high",
            "acknowledged": False,
            "resolved": False,
        },
        alert_rule_settings: {
            "organization_id": organization_id,
            "rule": "vibration_high",
            "updated_at": THEN,
            "updated_by": "somebody@organization.example",
        },
        workflow_runs: {
            "organization_id": organization_id,
            "workflow": "alert_escalation",
            "slot": THEN,
            "run_id": uuid4(),
            "started_at": THEN,
            "changed": 0,
            "started_by": "timer",
        },
        workflow_settings: {"organization_id": organization_id, "updated_at": THEN},
        notification_channels: to_channel
        | {
            "kind": "webhook",
            "name": "A Webhook",
            "address": "https://hooks.organization.example/alerts",
            "secret": "whsec_AAAA",
            "least_severity": "warning",
            "after_minutes": 0,
            "tells_resolved": True,
            "quiet_for_critical": False,
            "enabled": True,
            "created_at": THEN,
            "created_by": "somebody@organization.example",
        },
        notification_deliveries: to_channel
        | {
            "delivery_id": delivery,
            "message": {"type": "test", "alerts": []},
            "state": "delivered",
            "attempts": 1,
            "created_at": THEN,
        },
        delivery_attempts: {
            "organization_id": organization_id,
            "delivery_id": delivery,
            "attempted_at": THEN,
            "seconds": 0.1,
        },
        notifications: to_channel
        | {
            "notification_id": uuid4(),
            "alert_id": uuid4(),
            "occasion": "warning",
            "noticed_at": THEN,
            "due_at": THEN,
            "delivery_id": delivery,
            "closed": False,
        },
        ml_predictions: machine
        | {
            "prediction_timestamp": THEN,
            "model_version": "1",
            "failure_probability": 0.5,
            "confidence_score": 0.5,
            "features_used": {},
        },
    }


def an_organization_with_rows(database: Database) -> OrganizationId:
    organization_id = OrganizationId(uuid4())
    with transactions.owner(database) as connection:
        for table, row in rows_of(organization_id).items():
            connection.execute(insert(table).values(row))
    return organization_id
