"""The deployed program: `function_app.py` indexed and called as the Functions host does."""

import json
import logging
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from http.cookies import SimpleCookie
from importlib import import_module
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import select

from functions.host import FALLBACK
from functions.settings import BillingSettings, NotificationSettings, WorkflowSettings
from shared_code.database import transactions
from shared_code.database.engines import Database
from shared_code.database.home import open_database
from shared_code.database.tables import workflow_runs
from shared_code.database.tables.workflows import Workflow
from shared_code.errors import SettingsError
from shared_code.settings import DatabaseSettings
from tests.factories.fleet import a_compressor, a_customer, a_station
from tests.seams.functions_host import Answer, FunctionsHost
from tests.seams.stripe import SECRET, signed

EXPECTED = {
    "accept_invitation": ("POST", "/api/invitations/accept"),
    "acknowledge_alert": ("POST", "/api/alerts/{alert_id}/acknowledge"),
    "assess_alerts": ("GET", "/api/alerts/performance"),
    "backtest_alert_rule": ("POST", "/api/alerts/rules/backtest"),
    "begin_entra_sign_in": ("GET", "/api/auth/entra"),
    "change_member_role": ("PATCH", "/api/organization/members/{user_id}"),
    "check_alive": ("GET", "/api/health"),
    "check_ready": ("GET", "/api/health/ready"),
    "comment_on_alert": ("POST", "/api/alerts/{alert_id}/comment"),
    "complete_entra_sign_in": ("GET", "/api/auth/entra/callback"),
    "create_api_key": ("POST", "/api/organization/api-keys"),
    "create_compressor": ("POST", "/api/compressors"),
    "create_invitation": ("POST", "/api/organization/invitations"),
    "create_station": ("POST", "/api/stations"),
    "describe_alert_rules": ("GET", "/api/alerts/rules"),
    "export_readings": ("GET", "/api/compressors/{compressor_id}/readings/export"),
    "get_alert": ("GET", "/api/alerts/{alert_id}"),
    "get_compressor": ("GET", "/api/compressors/{compressor_id}"),
    "get_fleet": ("GET", "/api/fleet"),
    "get_openapi_document": ("GET", "/api/openapi.json"),
    "get_subscription": ("GET", "/api/billing/subscription"),
    "list_invoices": ("GET", "/api/billing/invoices"),
    "list_plans": ("GET", "/api/billing/plans"),
    "open_billing_portal": ("POST", "/api/billing/portal"),
    "receive_stripe_event": ("POST", "/api/stripe/webhook"),
    "start_checkout": ("POST", "/api/billing/checkout"),
    "get_organization": ("GET", "/api/organization"),
    "get_session": ("GET", "/api/auth/session"),
    "get_workflow_settings": ("GET", "/api/workflows/settings"),
    "ingest_readings": ("POST", "/api/readings"),
    "list_alert_history": ("GET", "/api/alerts/{alert_id}/history"),
    "list_alerts": ("GET", "/api/alerts"),
    "list_api_keys": ("GET", "/api/organization/api-keys"),
    "list_audit_log": ("GET", "/api/organization/audit-log"),
    "list_compressors": ("GET", "/api/compressors"),
    "list_data_quality": ("GET", "/api/data-quality"),
    "list_invitations": ("GET", "/api/organization/invitations"),
    "assess_predictions": ("GET", "/api/predictions/quality"),
    "get_prediction": ("GET", "/api/compressors/{compressor_id}/prediction"),
    "list_predictions": ("GET", "/api/predictions"),
    "list_maintenance": ("GET", "/api/maintenance"),
    "list_members": ("GET", "/api/organization/members"),
    "list_my_organizations": ("GET", "/api/auth/organizations"),
    "list_notification_channels": ("GET", "/api/notifications/channels"),
    "list_notification_deliveries": ("GET", "/api/notifications/deliveries"),
    "list_readings": ("GET", "/api/compressors/{compressor_id}/readings"),
    "list_stations": ("GET", "/api/stations"),
    "list_workflow_runs": ("GET", "/api/workflows/runs"),
    "create_notification_channel": ("POST", "/api/notifications/channels"),
    "get_notification_delivery": ("GET", "/api/notifications/deliveries/{delivery_id}"),
    "remove_notification_channel": ("DELETE", "/api/notifications/channels/{channel_id}"),
    "replay_notification_delivery": ("POST", "/api/notifications/deliveries/{delivery_id}/replay"),
    "rotate_notification_secret": ("POST", "/api/notifications/channels/{channel_id}/secret"),
    "test_notification_channel": ("POST", "/api/notifications/channels/{channel_id}/test"),
    "update_notification_channel": ("PATCH", "/api/notifications/channels/{channel_id}"),
    "record_maintenance": ("POST", "/api/maintenance"),
    "refresh_session": ("POST", "/api/auth/refresh"),
    "remove_member": ("DELETE", "/api/organization/members/{user_id}"),
    "rename_organization": ("PATCH", "/api/organization"),
    "resolve_alert": ("POST", "/api/alerts/{alert_id}/resolve"),
    "retire_compressor": ("DELETE", "/api/compressors/{compressor_id}"),
    "retire_station": ("DELETE", "/api/stations/{station_id}"),
    "revoke_api_key": ("DELETE", "/api/organization/api-keys/{key_id}"),
    "revoke_invitation": ("DELETE", "/api/organization/invitations/{invitation_id}"),
    "rotate_api_key": ("POST", "/api/organization/api-keys/{key_id}/rotate"),
    "run_workflows": ("POST", "/api/workflows/run"),
    "shelve_alert": ("POST", "/api/alerts/{alert_id}/shelve"),
    "show_documentation": ("GET", "/api/docs"),
    "sign_in_for_development": ("POST", "/api/auth/dev"),
    "sign_out": ("POST", "/api/auth/logout"),
    "switch_organization": ("POST", "/api/auth/session"),
    "unshelve_alert": ("POST", "/api/alerts/{alert_id}/unshelve"),
    "update_alert_rule": ("PATCH", "/api/alerts/rules/{rule}"),
    "update_compressor": ("PATCH", "/api/compressors/{compressor_id}"),
    "update_station": ("PATCH", "/api/stations/{station_id}"),
    "update_workflow_settings": ("PATCH", "/api/workflows/settings"),
}
TIMERS = {*(each.value for each in Workflow), "tell_people", "handle_billing_events", "reconcile_subscriptions"}
WANT_A_BODY = {
    "accept_invitation",
    "backtest_alert_rule",
    "change_member_role",
    "comment_on_alert",
    "create_api_key",
    "create_compressor",
    "create_invitation",
    "create_notification_channel",
    "create_station",
    "record_maintenance",
    "rename_organization",
    "rotate_api_key",
    "run_workflows",
    "shelve_alert",
    "start_checkout",
    "switch_organization",
    "update_alert_rule",
    "update_compressor",
    "update_notification_channel",
    "update_station",
    "update_workflow_settings",
}
OF_NOTHING: defaultdict[str, object] = defaultdict(lambda: UUID(int=0), compressor_id="NO-SUCH", station_id="NO-SUCH")


def started(monkeypatch: pytest.MonkeyPatch, **environment: str) -> FunctionsHost:
    """Import the door anew under these settings, and index it."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delitem(sys.modules, "function_app", raising=False)
    factory = logging.getLogRecordFactory()
    try:
        return FunctionsHost(import_module("function_app").app)
    finally:
        logging.setLogRecordFactory(factory)
        sys.modules.pop("function_app", None)


@pytest.fixture(scope="module")
def host(database: Database) -> Iterator[FunctionsHost]:
    opened: list[Database] = []

    def open_and_remember(settings: DatabaseSettings, *, now: datetime) -> Database:
        opened.append(open_database(settings, now=now))
        return opened[-1]

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr("functions.host.open_database", open_and_remember)
        yield started(
            monkeypatch,
            SESSION_SECRET="a secret of the function app's tests alone",  # noqa: S106 - it guards nothing
            ALTAVIZ_DATABASE_DIR=str(database.settings.data_dir),
            DEV_CREDENTIALS_ENABLED="true",
            DEV_CREDENTIALS_ALLOW_LIST="demo@altaviz.dev,rival@altaviz.dev",
            ALTAVIZ_REQUESTS_PER_MINUTE="100000",
            STRIPE_WEBHOOK_SECRET=SECRET,
        )
    assert len(opened) == 1
    opened[0].dispose()


def call(host: FunctionsHost, method: str, path: str, token: str = "", **headers: str) -> Answer:
    if token:
        headers["Authorization"] = f"Bearer {token}"
    answer = host.call(method, path, headers=headers)
    assert answer is not None
    return answer


def sign_in(host: FunctionsHost, email: str = "demo@altaviz.dev") -> Answer:
    body = json.dumps({"email": email}).encode()
    headers = {"Content-Type": "application/json", "Content-Length": str(len(body))}
    answer = host.call("POST", "/api/auth/dev", headers=headers, body=body)
    assert answer is not None
    return answer


def token(host: FunctionsHost) -> str:
    return json.loads(sign_in(host).response.get_body())["token"]


def problem(answer: Answer) -> dict[str, str]:
    body = json.loads(answer.response.get_body())
    assert answer.response.headers["Content-Type"] == "application/problem+json"
    assert body["requestId"] == answer.response.headers["X-Request-Id"] == answer.invocation_id
    assert body["status"] == answer.response.status_code
    return body


def test_the_host_finds_a_function_for_each_operation_and_the_fallback_last(host: FunctionsHost) -> None:
    assert host.names() == [*sorted([*EXPECTED, *TIMERS]), FALLBACK]


def test_each_timer_has_a_function_that_its_schedule_alone_starts(host: FunctionsHost) -> None:
    settings = WorkflowSettings()

    assert host.timers.keys() == TIMERS
    for workflow in Workflow:
        assert host.timers[workflow].schedule == settings.schedule(workflow)
    assert host.timers["tell_people"].schedule == NotificationSettings().notifications_schedule
    assert host.timers["handle_billing_events"].schedule == BillingSettings().billing_events_schedule
    assert host.timers["reconcile_subscriptions"].schedule == BillingSettings().billing_reconcile_schedule
    assert not any(timer.on_startup for timer in host.timers.values())


def test_a_timer_runs_its_workflow_for_every_organization_once_in_a_slot(
    host: FunctionsHost, database: Database
) -> None:
    customers = [a_customer(database) for _ in range(2)]

    for _ in range(3):
        host.fire(Workflow.ALERT_ESCALATION)

    for customer in customers:
        with transactions.read(database, customer.organization_id) as connection:
            runs = connection.execute(select(workflow_runs)).mappings().all()
        assert {(row["workflow"], row["started_by"], row["changed"]) for row in runs} == {
            ("alert_escalation", "timer", 0)
        }
        assert len(runs) <= 2  # the clock may have passed from one slot to the next meanwhile


def test_importing_the_door_opens_no_database(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    secret = "x" * 40
    host = started(monkeypatch, SESSION_SECRET=secret, ALTAVIZ_DATABASE_DIR=str(tmp_path / "data"))

    assert call(host, "GET", "/api/health").response.status_code == 200
    assert list(tmp_path.iterdir()) == []


def test_a_start_without_its_settings_names_them_where_operations_look(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The host shows no import error: without a word on stderr there would be no functions and no reason."""
    monkeypatch.delenv("SESSION_SECRET", raising=False)

    with pytest.raises(SettingsError, match="SESSION_SECRET"):
        started(monkeypatch, ALTAVIZ_ENVIRONMENT="production")

    assert "DB_HOST must be set" in capsys.readouterr().err


def test_starting_loads_nothing_that_few_requests_need() -> None:
    program = (
        "import sys; import functions.host; "
        "print(*{'pyarrow', 'numpy', 'pandas', 'deltalake', 'azure.storage', 'azure.identity', 'stripe'}"
        " & set(sys.modules))"
    )

    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)  # noqa: S603 - our own program

    assert loaded.stdout == "\n"


@pytest.mark.parametrize("name", EXPECTED)
def test_each_operation_answers_through_its_own_function(host: FunctionsHost, name: str) -> None:
    method, path = EXPECTED[name]
    answer = (
        sign_in(host)
        if name == "sign_in_for_development"
        else call(host, method, path.format_map(OF_NOTHING), token(host))
    )
    usual = 422 if name in WANT_A_BODY else 404 if "{" in path else 200

    assert answer.function == name
    assert answer.response.status_code == {
        "sign_out": 204,
        "ingest_readings": 403,
        "begin_entra_sign_in": 503,
        "open_billing_portal": 503,
        "receive_stripe_event": 400,
        "complete_entra_sign_in": 401,
    }.get(name, usual)
    assert answer.response.headers["X-Frame-Options"] == "DENY"


def test_the_cookie_of_the_sign_in_is_a_session(host: FunctionsHost) -> None:
    cookie = SimpleCookie(sign_in(host).response.headers["Set-Cookie"])["altaviz_session"]

    answer = call(host, "GET", "/api/auth/session", Cookie=f"altaviz_session={cookie.value}")

    assert cookie["secure"]
    assert json.loads(answer.response.get_body())["email"] == "demo@altaviz.dev"


@pytest.mark.parametrize(("changed", "status"), [(b"", 200), (b"\n", 400)])
def test_what_stripe_signs_arrives_byte_for_byte(host: FunctionsHost, changed: bytes, status: int) -> None:
    event: dict[str, object] = {
        "id": f"evt_{status}",
        "object": "event",
        "type": "product.created",
        "livemode": False,
        "created": 1768176000,
        "data": {"object": {}},
    }
    body = json.dumps(event, indent=2).replace("\n", "\r\n").encode() + b"\r\n"
    signature = signed(body, at=datetime.now(UTC))
    headers = {"Stripe-Signature": signature, "Content-Length": str(len(body + changed))}

    answer = host.call("POST", "/api/stripe/webhook", headers=headers, body=body + changed)

    assert answer is not None
    assert (answer.function, answer.response.status_code) == ("receive_stripe_event", status)


def test_what_no_operation_takes_falls_to_the_fallback(host: FunctionsHost) -> None:
    nowhere = call(host, "GET", "/api/nowhere")
    root = call(host, "GET", "/")
    wrong_method = call(host, "DELETE", "/api/fleet")
    preflight = call(host, "OPTIONS", "/api/fleet", Origin="https://evil.example")

    assert {each.function for each in (nowhere, root, wrong_method, preflight)} == {FALLBACK}
    assert problem(nowhere)["title"] == problem(root)["title"] == "Not Found"
    assert problem(wrong_method)["title"] == "Method Not Allowed"
    assert wrong_method.response.headers["Allow"] == "GET"
    assert preflight.response.status_code == 405
    assert "Access-Control-Allow-Origin" not in preflight.response.headers


@pytest.mark.parametrize("path", ["/api/compressors/%FF", "/api/%FF", "/api/compressors/a%2Fb", "/api/compressors/%00"])
def test_an_odd_path_is_the_clients_mistake(host: FunctionsHost, path: str) -> None:
    answer = call(host, "GET", path, token(host))

    assert problem(answer)["title"] in {"Not Found", "Unprocessable Entity", "Unprocessable Content"}


def test_without_a_session_every_function_keeps_its_401(host: FunctionsHost) -> None:
    answer = call(host, "GET", "/api/compressors")

    assert problem(answer)["title"] == "Unauthorized"
    assert answer.response.headers["WWW-Authenticate"] == "Bearer"


def test_an_answer_that_the_client_has_is_not_sent_again(host: FunctionsHost) -> None:
    session = token(host)
    full = call(host, "GET", "/api/compressors", session).response
    held = call(host, "GET", "/api/compressors", session, **{"If-None-Match": full.headers["ETag"]}).response

    assert (full.status_code, held.status_code, held.get_body()) == (200, 304, b"")
    assert held.headers["ETag"] == full.headers["ETag"]
    assert held.headers["Cache-Control"] == full.headers["Cache-Control"] == "private, no-cache"
    assert held.headers["Vary"] == "Authorization, Cookie"
    assert "Content-Length" not in held.headers


def test_an_unforeseen_failure_keeps_its_body_and_is_logged_with_its_id(
    host: FunctionsHost, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    session = token(host)

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("canary secret")

    monkeypatch.setattr("functions.fleet.actions.summarize_fleet", fail)
    answer = call(host, "GET", "/api/fleet", session)

    assert answer.response.status_code == 500
    assert problem(answer)["detail"] == "something went wrong here; quote the requestId when you report it"
    assert b"canary" not in answer.response.get_body()
    assert f"request {answer.invocation_id} failed" in caplog.text


def test_organizations_are_kept_apart_through_the_functions(host: FunctionsHost, database: Database) -> None:
    stranger = a_customer(database)
    a_station(database, stranger)
    a_compressor(database, stranger, "COMP-FOREIGN")

    foreign = problem(call(host, "GET", "/api/compressors/COMP-FOREIGN", token(host)))
    missing = problem(call(host, "GET", "/api/compressors/COMP-MISSING", token(host)))

    assert foreign.pop("requestId") != missing.pop("requestId")
    assert foreign == missing
