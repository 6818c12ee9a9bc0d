"""Every write leaves an entry: who, what, when, from where."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import delete, select, text, update
from sqlalchemy.exc import ProgrammingError

from functions.access.keys import Scope
from functions.api import create_app
from functions.settings import Settings
from shared_code.alarms import Severity
from shared_code.database import transactions
from shared_code.database.engines import Database
from shared_code.database.tables import audit_log
from shared_code.database.tables.organizations import UserRole
from tests.factories.fleet import Customer, a_colleague, a_customer, a_key, an_alert
from tests.functions.conftest import NOW
from tests.seams.api_client import ApiClient
from tests.seams.operations import described
from tests.seams.stripe import a_stripe, prices

SignIn = Callable[[Customer], ApiClient]
LOG = "/api/organization/audit-log"

WRITES = {
    "accept_invitation": {"session.ended", "session.began", "invitation.accepted"},
    "acknowledge_alert": {"alert.acknowledged"},
    "change_member_role": {"member.role_changed"},
    "comment_on_alert": {"alert.commented"},
    "create_api_key": {"api_key.created"},
    "create_compressor": {"compressor.created"},
    "create_invitation": {"invitation.created"},
    "create_notification_channel": {"channel.created"},
    "create_station": {"station.created"},
    "ingest_readings": {"readings.delivered"},
    "record_maintenance": {"maintenance.recorded"},
    "open_billing_portal": {"portal.opened"},
    "remove_member": {"member.removed"},
    "remove_notification_channel": {"channel.removed"},
    "rename_organization": {"organization.renamed"},
    "replay_notification_delivery": {"delivery.replayed"},
    "resolve_alert": {"alert.resolved"},
    "retire_compressor": {"compressor.retired"},
    "retire_station": {"station.retired"},
    "revoke_api_key": {"api_key.revoked"},
    "revoke_invitation": {"invitation.revoked"},
    "rotate_api_key": {"api_key.rotated"},
    "rotate_notification_secret": {"channel.secret_rotated"},
    "run_workflows": {"workflows.run"},
    "shelve_alert": {"alert.shelved"},
    "sign_in_for_development": {"session.began"},
    "sign_out": {"session.ended"},
    "start_checkout": {"checkout.started"},
    "switch_organization": {"session.ended", "session.began"},
    "test_notification_channel": {"channel.tested"},
    "unshelve_alert": {"alert.unshelved"},
    "update_alert_rule": {"alert_rule.changed"},
    "update_compressor": {"compressor.changed"},
    "update_notification_channel": {"channel.changed"},
    "update_station": {"station.changed"},
    "update_workflow_settings": {"workflows.settings_changed"},
}
LEAVE_NO_ENTRY = {"refresh_session"}
"""A refresh changes nothing that anybody would look for; a refused one ends the session, and that is kept."""
OF_NOBODY_HERE = {"receive_stripe_event"}
"""Stripe's events are kept as they came; what follows from them has an entry when it follows."""
CHANGE_NOTHING = {"backtest_alert_rule"}


def entries(database: Database, *organizations: UUID) -> list[dict[str, Any]]:
    with transactions.owner(database) as connection:
        rows = connection.execute(select(audit_log).where(audit_log.c.organization_id.in_(organizations)))
        return [dict(row) for row in rows.mappings()]


class Journey:
    """Calls operations and keeps which entries each of them left."""

    def __init__(self, database: Database, *organizations: UUID) -> None:
        self.database, self.organizations = database, organizations
        self.left: dict[str, set[str]] = {}
        self.seen: set[UUID] = {entry["id"] for entry in entries(database, *organizations)}

    def call(self, name: str, client: ApiClient, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - JSON
        answer = client.request(method, path, json=body)
        assert answer.status_code < 300, answer.text
        new = [entry for entry in entries(self.database, *self.organizations) if entry["id"] not in self.seen]
        self.seen |= {entry["id"] for entry in new}
        self.left[name] = {entry["action"] for entry in new}
        return answer.json() if answer.content else None


def test_every_operation_that_writes_leaves_an_entry(  # noqa: PLR0915 - a call of each
    api: ApiClient, signed_in: SignIn, database: Database, settings: Settings
) -> None:
    us, other = a_customer(database), a_customer(database)
    colleague = a_colleague(database, us, UserRole.VIEWER)
    demo = UUID("00000000-0000-4000-8000-000000000001")
    owner, guest = signed_in(us), signed_in(other)
    journey = Journey(database, us.organization_id, other.organization_id, demo)

    call = journey.call
    key = call("create_api_key", owner, "POST", "/api/organization/api-keys", {"name": "x", "scopes": ["read"]})["id"]
    call("rotate_api_key", owner, "POST", f"/api/organization/api-keys/{key}/rotate", {})
    call("revoke_api_key", owner, "DELETE", f"/api/organization/api-keys/{key}")
    place = {"station_id": "S", "station_name": "S", "latitude": 0, "longitude": 0, "timezone": "UTC"}
    machine = {"compressor_id": "C", "model": "Ajax DPC-360", "horsepower": 1340, "station_id": "S"}
    call("create_station", owner, "POST", "/api/stations", place)
    call("update_station", owner, "PATCH", "/api/stations/S", {"city": "Midland"})
    call("create_compressor", owner, "POST", "/api/compressors", machine)
    call("update_compressor", owner, "PATCH", "/api/compressors/C", {"install_date": "2019-06-30"})
    gateway = api.with_token(a_key(database, us, Scope.INGEST, now=NOW))
    call("ingest_readings", gateway, "POST", "/api/readings", [None])
    alert = an_alert(database, us, "C", Severity.WARNING)
    call("comment_on_alert", owner, "POST", f"/api/alerts/{alert}/comment", {"text": "x"})
    shelf = {"until": (NOW + timedelta(days=1)).isoformat(), "reason": "x"}
    call("shelve_alert", owner, "POST", f"/api/alerts/{alert}/shelve", shelf)
    call("unshelve_alert", owner, "POST", f"/api/alerts/{alert}/unshelve")
    call("acknowledge_alert", owner, "POST", f"/api/alerts/{alert}/acknowledge")
    call("resolve_alert", owner, "POST", f"/api/alerts/{alert}/resolve")
    call("update_alert_rule", owner, "PATCH", "/api/alerts/rules/vibration_high", {"warning_limit": 7})
    done = {"compressor_id": "C", "event_date": NOW.isoformat(), "event_type": "inspection", "severity": "low"}
    call("record_maintenance", owner, "POST", "/api/maintenance", done | {"description": "x", "downtime_hours": 0})
    call("retire_compressor", owner, "DELETE", "/api/compressors/C")
    call("retire_station", owner, "DELETE", "/api/stations/S")
    call("run_workflows", owner, "POST", "/api/workflows/run", {"workflow": "all"})
    call("update_workflow_settings", owner, "PATCH", "/api/workflows/settings", {"cleanup_days": 14})
    webhook = {"kind": "webhook", "name": "x", "address": "https://localhost/"}  # where nothing is sent
    made = call("create_notification_channel", owner, "POST", "/api/notifications/channels", webhook)
    channel = f"/api/notifications/channels/{made['channel_id']}"
    call("update_notification_channel", owner, "PATCH", channel, {"after_minutes": 15})
    call("rotate_notification_secret", owner, "POST", f"{channel}/secret")
    sent = call("test_notification_channel", owner, "POST", f"{channel}/test")
    replay = f"/api/notifications/deliveries/{sent['delivery_id']}/replay"
    call("replay_notification_delivery", owner, "POST", replay)
    call("remove_notification_channel", owner, "DELETE", channel)
    with a_stripe(NOW) as stripe, prices():
        sold_here = create_app(replace(settings, billing=stripe.settings), lambda: database, clock=lambda: NOW)
        buyer = replace(owner, app=sold_here)
        call("start_checkout", buyer, "POST", "/api/billing/checkout", {"plan": "pro"})
        call("open_billing_portal", buyer, "POST", "/api/billing/portal")
    call("rename_organization", owner, "PATCH", "/api/organization", {"name": "Renamed"})
    person = f"/api/organization/members/{colleague.member.sub}"
    call("change_member_role", owner, "PATCH", person, {"role": "admin"})
    call("remove_member", owner, "DELETE", person)
    invite = {"email": "guest@elsewhere.example", "role": "viewer"}
    revoked = call("create_invitation", owner, "POST", "/api/organization/invitations", invite)
    call("revoke_invitation", owner, "DELETE", f"/api/organization/invitations/{revoked['id']}")
    link = call("create_invitation", owner, "POST", "/api/organization/invitations", invite)["link"]
    token = {"token": link.partition("#token=")[2]}
    joined = api.with_token(call("accept_invitation", guest, "POST", "/api/invitations/accept", token)["token"])
    home = {"organization_id": str(other.organization_id)}
    call("switch_organization", joined, "POST", "/api/auth/session", home)
    call("refresh_session", owner, "POST", "/api/auth/refresh")
    call("sign_out", owner, "POST", "/api/auth/logout")
    call("sign_in_for_development", api, "POST", "/api/auth/dev", {"email": "demo@altaviz.dev"})

    assert journey.left == WRITES | {name: set[str]() for name in LEAVE_NO_ENTRY}
    writes = {operation["operationId"] for method, _, operation in described(api) if method != "GET"}
    assert writes == WRITES.keys() | LEAVE_NO_ENTRY | CHANGE_NOTHING | OF_NOBODY_HERE


def test_an_entry_says_who_what_when_and_from_where(signed_in: SignIn, database: Database) -> None:
    us = a_customer(database)
    colleague = a_colleague(database, us, UserRole.VIEWER)
    owner = signed_in(us)
    path = f"/api/organization/members/{colleague.member.sub}"

    changed = owner.request("PATCH", path, json={"role": "operator"})
    (entry,) = owner.get(LOG).json()["items"]

    assert entry == {
        "id": entry["id"],
        "occurred_at": "2026-01-12T00:00:00Z",
        "action": "member.role_changed",
        "target": str(colleague.member.sub),
        "details": {"email": colleague.member.email, "from": "viewer", "to": "operator"},
        "actor_kind": "user",
        "actor_id": str(us.member.sub),
        "actor_name": us.member.email,
        "address": "127.0.0.1",
        "request_id": changed.headers["X-Request-Id"],
    }


def test_what_is_refused_or_fails_leaves_no_entry(signed_in: SignIn, database: Database) -> None:
    us = a_customer(database)
    owner = signed_in(us)

    last_owner = owner.request("DELETE", f"/api/organization/members/{us.member.sub}")
    nobody = owner.request("PATCH", f"/api/organization/members/{uuid4()}", json={"role": "viewer"})

    assert (last_owner.status_code, nobody.status_code) == (409, 404)
    assert owner.get(LOG).json()["items"] == []


def test_the_log_is_for_admins_of_the_organization_newest_first_in_pages(
    api: ApiClient, signed_in: SignIn, database: Database
) -> None:
    us = a_customer(database)
    admin = signed_in(a_colleague(database, us, UserRole.ADMIN))
    for name in ("First", "Second", "Third"):
        admin.request("PATCH", "/api/organization", json={"name": name})

    assert api.get(LOG).status_code == 401
    assert signed_in(a_colleague(database, us, UserRole.OPERATOR)).get(LOG).status_code == 403
    assert signed_in(a_customer(database)).get(LOG).json()["items"] == []
    first = admin.get(LOG, params={"limit": 2}).json()
    second = admin.get(LOG, params={"limit": 2, "cursor": first["next"]}).json()
    names = [entry["details"]["to"] for entry in first["items"] + second["items"]]
    assert (sorted(names), second["next"]) == (["First", "Second", "Third"], None)


def test_reuse_of_a_refreshed_token_is_kept(signed_in: SignIn, database: Database) -> None:
    us = a_customer(database)
    client = signed_in(us)
    with transactions.owner(database) as connection:
        statement = text("UPDATE sessions SET token_id = gen_random_uuid() WHERE organization_id = :organization_id")
        connection.execute(statement, {"organization_id": us.organization_id})

    assert client.post("/api/auth/refresh").status_code == 401

    assert [entry["action"] for entry in entries(database, us.organization_id)] == ["session.ended_for_reuse"]


@pytest.mark.parametrize("statement", [update(audit_log).values(action="nothing"), delete(audit_log)], ids=str)
def test_the_api_can_add_entries_and_never_change_or_delete_one(
    signed_in: SignIn,
    database: Database,
    statement: Any,  # noqa: ANN401 - SQLAlchemy's
) -> None:
    us = a_customer(database)
    signed_in(us).request("PATCH", "/api/organization", json={"name": "Kept"})

    with (
        pytest.raises(ProgrammingError, match="permission denied"),
        transactions.write(database, us.organization_id) as connection,
    ):
        connection.execute(statement)

    assert len(entries(database, us.organization_id)) == 1
