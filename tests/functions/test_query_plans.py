"""Of a million windows, no read looks at more than it shows: the plans of the statements that the API really sends."""

from collections.abc import Generator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from pydantic import SecretStr
from sqlalchemy import Connection, event

from functions import pagination
from functions.access import sessions
from functions.access.keys import Scope
from functions.alerts.schemas import AlertPosition
from functions.api import create_app
from functions.data_quality.schemas import MetricPosition
from functions.notifications.schemas import DeliveryPosition
from functions.settings import AccessSettings, Settings
from shared_code.database import transactions
from shared_code.database.engines import Database, Role
from shared_code.database.home import open_database
from shared_code.database.tables.readings import QualityMetric
from shared_code.settings import DatabaseSettings, read
from tests.factories import large_fleet
from tests.factories.fleet import Customer, a_customer, a_key, a_session
from tests.seams.api_client import ApiClient
from tests.seams.operations import described

KEY = "a key for tests, of which nothing else knows"
NOW = datetime(2026, 1, 12, tzinfo=UTC)
GROWS_WITHOUT_END = {
    "sensor_readings_agg",
    "alert_history",
    "audit_log",
    "data_quality_metrics",
    "maintenance_events",
    "ml_predictions",
    "notification_deliveries",
    "delivery_attempts",
}
"""What one organization alone has many thousands of; of the others a list may well need every row."""

SINCE = f"start={(NOW - timedelta(days=30)):%Y-%m-%dT%H:%M:%SZ}"
MONTH = f"{SINCE}&limit=1000"
A_DAY_LONG_AGO = "start=2025-12-01T00:00:00Z&end=2025-12-02T00:00:00Z"
ALERT = pagination.encode(AlertPosition(alert_timestamp=NOW - timedelta(days=3), alert_id=UUID(int=0)))
DELIVERY = pagination.encode(DeliveryPosition(created_at=NOW - timedelta(days=3), delivery_id=UUID(int=0)))
METRIC = pagination.encode(
    MetricPosition(
        metric_timestamp=NOW - timedelta(days=3), compressor_id="COMP-0500", metric_type=QualityMetric.ACCURACY
    )
)
READS = {
    "get_fleet": ["/api/fleet"],
    "list_stations": ["/api/stations", "/api/stations?include_retired=true"],
    "list_compressors": [
        "/api/compressors",
        "/api/compressors?health=critical",
        "/api/compressors?station_id=STATION-07&include_retired=true",
    ],
    "get_compressor": ["/api/compressors/COMP-0500"],
    "list_readings": [f"/api/compressors/COMP-0500/readings?{MONTH}", "/api/compressors/COMP-0500/readings?window=4hr"],
    "export_readings": ["/api/compressors/COMP-0500/readings/export"],
    "list_alerts": [
        "/api/alerts",
        "/api/alerts?severity=warning",
        "/api/alerts?status=all&severity=warning",
        f"/api/alerts?status=all&cursor={ALERT}",
        "/api/alerts?compressor_id=COMP-0500&status=resolved",
        "/api/alerts?status=shelved",
        "/api/alerts?status=suppressed",
    ],
    "assess_alerts": [
        f"/api/alerts/performance?start={(NOW - timedelta(days=1)):%Y-%m-%dT%H:%M:%SZ}",
        "/api/alerts/performance?compressor_id=COMP-0500",
    ],
    "describe_alert_rules": ["/api/alerts/rules"],
    "list_alert_history": ["/api/alerts/cfcd2084-95d5-65ef-66e7-dff9f98764da/history"],
    "get_alert": ["/api/alerts/cfcd2084-95d5-65ef-66e7-dff9f98764da"],
    "list_data_quality": [
        "/api/data-quality",
        "/api/data-quality?failed=true",
        f"/api/data-quality?metric_type=accuracy&cursor={METRIC}",
        f"/api/data-quality?compressor_id=COMP-0500&{SINCE}",
    ],
    "list_predictions": ["/api/predictions?alarm=true", "/api/predictions?limit=200"],
    "get_prediction": ["/api/compressors/COMP-0500/prediction"],
    "assess_predictions": [f"/api/predictions/quality?{A_DAY_LONG_AGO}"],
    "list_maintenance": ["/api/maintenance", f"/api/maintenance?compressor_id=COMP-0500&{SINCE}"],
    "get_organization": ["/api/organization"],
    "get_session": ["/api/auth/session"],
    "get_subscription": ["/api/billing/subscription"],
    "list_api_keys": ["/api/organization/api-keys"],
    "list_audit_log": ["/api/organization/audit-log"],
    "list_invoices": ["/api/billing/invoices"],
    "list_invitations": ["/api/organization/invitations"],
    "list_members": ["/api/organization/members"],
    "list_my_organizations": ["/api/auth/organizations"],
    "get_workflow_settings": ["/api/workflows/settings"],
    "list_notification_channels": ["/api/notifications/channels"],
    "list_notification_deliveries": [
        "/api/notifications/deliveries",
        "/api/notifications/deliveries?channel_id=cfcd2084-95d5-65ef-66e7-dff9f98764da",
        "/api/notifications/deliveries?state=failed",
        f"/api/notifications/deliveries?cursor={DELIVERY}",
    ],
    "get_notification_delivery": ["/api/notifications/deliveries/cfcd2084-95d5-65ef-66e7-dff9f98764da"],
    "list_workflow_runs": ["/api/workflows/runs", "/api/workflows/runs?workflow=alert_escalation"],
}


@dataclass(frozen=True, slots=True)
class Large:
    """A large organization, in a database of its own that no other test has to plan for."""

    database: Database
    customer: Customer
    api: ApiClient

    def signed_in(self) -> ApiClient:
        return self.api.with_token(sessions.sign(a_session(self.database, self.customer, now=NOW), KEY))


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Generator[Large]:
    folder = tmp_path_factory.mktemp("large") / "data"
    database = open_database(read(DatabaseSettings, data_dir=folder), now=NOW)
    try:
        customer = a_customer(database)
        large_fleet.fill(database, customer.organization_id, end=NOW)
        settings = Settings(AccessSettings(session_secret=SecretStr(KEY)), database.settings, KEY)
        yield Large(database, customer, ApiClient(create_app(settings, lambda: database, clock=lambda: NOW)))
    finally:
        database.dispose()


def scanned(connection: Connection, statement: str, parameters: Any) -> set[str]:  # noqa: ANN401 - as the driver takes it
    """Return the tables that the plan of a statement reads from beginning to end."""
    plans: Any = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters).scalar_one()
    return set(_scanned(plans[0]["Plan"]))


def _scanned(node: dict[str, Any]) -> Generator[str]:
    if node["Node Type"] == "Seq Scan":
        yield node["Relation Name"]
    for part in node.get("Plans", []):
        yield from _scanned(part)


def sent(large: Large, client: ApiClient, path: str) -> list[tuple[str, Any]]:
    """Return the queries that a request sends."""
    statements: list[tuple[str, Any]] = []

    def note(_c: object, _k: object, statement: str, parameters: object, _x: object, _m: object) -> None:
        if "set_config" not in statement and statement.lstrip().startswith("SELECT"):
            statements.append((statement, parameters))

    engine = large.database.engine(Role.APP)
    event.listen(engine, "before_cursor_execute", note)
    try:
        answer = client.get(path)
    finally:
        event.remove(engine, "before_cursor_execute", note)
    assert answer.status_code == 200, answer.text
    return statements


def found(large: Large, client: ApiClient, path: str) -> tuple[set[str], set[str]]:
    """Return the tables that a request reads as a whole: by the planner's choice, and for want of any index."""
    chosen: set[str] = set()
    forced: set[str] = set()
    statements = sent(large, client, path)
    assert statements
    with transactions.read(large.database, large.customer.organization_id) as connection:
        for statement, parameters in statements:
            chosen |= scanned(connection, statement, parameters)
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        for statement, parameters in statements:
            forced |= scanned(connection, statement, parameters)
    return chosen, forced


def test_every_read_is_among_them(large: Large) -> None:
    reads = {
        operation["operationId"]
        for method, _, operation in described(large.api)
        if method == "GET" and {} not in operation.get("security", [{}])
    }

    assert set(READS) == reads


@pytest.mark.parametrize("path", [path for paths in READS.values() for path in paths])
def test_no_read_goes_through_a_large_table(large: Large, path: str) -> None:
    chosen, forced = found(large, large.signed_in(), path)

    assert chosen & GROWS_WITHOUT_END == set()
    assert forced == set()


def test_a_reader_with_a_key_is_found_by_an_index_too(large: Large) -> None:
    client = large.api.with_token(a_key(large.database, large.customer, Scope.READ, now=NOW))

    assert found(large, client, "/api/stations")[1] == set()


def test_a_query_without_an_index_is_noticed(large: Large) -> None:
    with transactions.read(large.database, large.customer.organization_id) as connection:
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        assert scanned(connection, "SELECT * FROM audit_log WHERE action = 'x'", ()) == set()  # by its organization
        assert scanned(connection, "SELECT * FROM etl_runs WHERE program_version = 'x'", ()) == {"etl_runs"}
