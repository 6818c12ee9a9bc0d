"""Keys for machines, from the admin who makes one to the gateway that uses it."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, text

from functions.access import roles, sessions
from functions.access.caller import IngestKey
from functions.access.keys import Scope
from functions.access.roles import RULES, Rule
from functions.api import create_app
from functions.settings import Settings
from shared_code.database import transactions
from shared_code.database.engines import Database
from shared_code.database.tables import api_keys
from tests.factories.fleet import Customer, a_customer, a_session
from tests.seams.api_client import ApiClient
from tests.seams.operations import described, of_nothing

KEYS = "/api/organization/api-keys"
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


@dataclass
class World:
    """An admin, and an API that has an operation for gateways."""

    now: datetime
    customer: Customer
    nobody: ApiClient
    database: Database
    settings: Settings

    @property
    def admin(self) -> ApiClient:
        session = a_session(self.database, self.customer, now=self.now)
        return self.nobody.with_token(sessions.sign(session, self.settings.session_key))

    def make(self, **body: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever a client sends
        answer = self.admin.post(KEYS, json={"name": "Gateway", "scopes": ["ingest", "read"]} | body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def rotate(self, key: dict[str, Any], **body: int) -> dict[str, Any]:
        answer = self.admin.post(f"{KEYS}/{key['id']}/rotate", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def reads(self, key: dict[str, Any]) -> int:
        return self.nobody.with_token(key["key"]).get("/api/stations").status_code

    def delivers(self, key: dict[str, Any]) -> int:
        return self.nobody.with_token(key["key"]).post("/deliveries").status_code


@pytest.fixture
def world(database: Database, settings: Settings, now: datetime, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(roles, "RULES", {**RULES, "deliver": Rule(None, Scope.INGEST)})
    customer = a_customer(database)
    app = create_app(settings, lambda: database, clock=lambda: world.now)

    @app.post("/deliveries", operation_id="deliver", include_in_schema=False)
    def deliver(key: IngestKey) -> UUID:
        return key.organization_id

    world = World(now, customer, ApiClient(app), database, settings)
    return world


def test_anonymous_is_401_and_another_organizations_key_is_like_a_missing_one(
    world: World, signed_in: Callable[[Customer], ApiClient], database: Database
) -> None:
    key = world.make()
    stranger = signed_in(a_customer(database))
    calls = [("POST", f"{KEYS}/{{}}/rotate"), ("DELETE", f"{KEYS}/{{}}")]

    assert {world.nobody.request(method, path.format(key["id"])).status_code for method, path in calls} == {401}
    for method, path in calls:
        foreign = stranger.request(method, path.format(key["id"]), json={})
        missing = stranger.request(method, path.format(uuid4()), json={})
        assert foreign.status_code == missing.status_code == 404
        assert foreign.json() | {"requestId": ""} == missing.json() | {"requestId": ""}
    assert stranger.get(KEYS).json() == {"items": [], "next": None}
    assert world.reads(key) == 200


def test_a_key_is_shown_once_and_listed_without_its_secret(world: World) -> None:
    made = world.make(name=" Karnes City ", scopes=["ingest"], expires_in_days=30)

    secret = made.pop("key")
    assert secret.startswith("altaviz_key_")
    assert len(secret) == len("altaviz_key_") + 43
    assert made == {
        "id": made["id"],
        "name": "Karnes City",
        "prefix": secret[:18],
        "scopes": ["ingest"],
        "created_at": "2026-01-12T00:00:00Z",
        "expires_at": "2026-02-11T00:00:00Z",
        "previous_until": None,
        "last_used_at": None,
    }
    assert world.admin.get(KEYS).json() == {"items": [made], "next": None}


def test_keys_are_listed_in_pages(world: World) -> None:
    made: list[str] = []
    for _ in range(3):
        made.append(world.make()["id"])
        world.now += timedelta(seconds=1)

    first = world.admin.get(KEYS, params={"limit": 2}).json()
    second = world.admin.get(KEYS, params={"limit": 2, "cursor": first["next"]}).json()

    assert [item["id"] for item in first["items"] + second["items"]] == made
    assert second["next"] is None


def test_a_key_reads_its_own_organization_and_delivers_to_it(world: World) -> None:
    key = world.make()

    assert world.reads(key) == 200
    answer = world.nobody.with_token(key["key"]).post("/deliveries")
    assert answer.json() == str(world.customer.organization_id)


def test_a_key_does_what_its_scopes_say_and_no_more(world: World) -> None:
    reader, gateway = world.make(scopes=["read"]), world.make(scopes=["ingest"])

    assert (world.reads(reader), world.delivers(reader)) == (200, 403)
    assert (world.reads(gateway), world.delivers(gateway)) == (403, 200)


def test_a_key_reads_what_the_table_says_and_is_kept_from_all_else(world: World) -> None:
    client = world.nobody.with_token(world.make()["key"])
    refused = {
        operation["operationId"]
        for method, path, operation in described(world.nobody)
        if client.request(method, of_nothing(path, operation)).status_code == 403
    }

    assert refused == {name for name, rule in RULES.items() if rule.role is not None and rule.scope is None}


def test_a_person_does_not_deliver(world: World) -> None:
    assert world.admin.post("/deliveries").status_code == 403
    assert world.nobody.post("/deliveries").status_code == 401


@pytest.mark.parametrize("ending", ["", "x", "A" * 43, "\x00", "ü", "' OR 1=1 --", "x" * 5000])
def test_what_is_no_key_is_refused(world: World, ending: str) -> None:
    client = world.nobody
    headers = {b"Authorization": f"Bearer altaviz_key_{ending}".encode()}

    assert client.get("/api/stations", headers=headers).status_code == 401
    assert client.post("/deliveries", headers=headers).status_code == 401
    assert client.post("/api/auth/refresh", headers=headers).status_code == 403
    assert client.post("/api/auth/logout", headers=headers).status_code == 204


def test_a_key_is_not_taken_from_the_cookie(world: World) -> None:
    headers = {"Cookie": f"altaviz_session={world.make()['key']}"}

    assert world.nobody.get("/api/stations", headers=headers).status_code == 401


def test_a_key_ends_when_it_says(world: World) -> None:
    key = world.make(expires_in_days=2)

    world.now += 2 * DAY - timedelta(seconds=1)
    assert world.reads(key) == 200
    world.now += timedelta(seconds=1)
    assert (world.reads(key), world.delivers(key)) == (401, 401)


def test_a_revoked_key_is_out_at_once_with_the_secret_before(world: World) -> None:
    old = world.make()
    new = world.rotate(old)

    assert world.admin.request("DELETE", f"{KEYS}/{old['id']}").status_code == 204

    assert (world.reads(old), world.reads(new)) == (401, 401)
    assert world.admin.request("DELETE", f"{KEYS}/{old['id']}").status_code == 404


def test_secrets_rotated_with_no_failed_request(world: World) -> None:
    old = world.make()
    new = world.rotate(old, overlap_hours=2)

    assert new["previous_until"] == "2026-01-12T02:00:00Z"
    for _ in range(120):
        assert (world.reads(old), world.reads(new)) == (200, 200)
        world.now += MINUTE
    assert (world.reads(old), world.reads(new)) == (401, 200)


def test_of_two_rotations_in_a_row_the_first_secret_is_out(world: World) -> None:
    first = world.make()
    second = world.rotate(first)
    third = world.rotate(second)

    assert [world.reads(key) for key in (first, second, third)] == [401, 200, 200]


def test_a_rotation_does_not_make_the_old_secret_live_longer(world: World) -> None:
    old = world.make(expires_in_days=1)
    world.now += DAY - MINUTE
    new = world.rotate(old, overlap_hours=168)

    world.now += MINUTE
    assert (world.reads(old), world.reads(new)) == (401, 200)


def test_the_last_use_is_noted_at_most_once_a_minute(world: World) -> None:
    key = world.make()
    noted: list[str] = []
    for _ in range(5):
        world.reads(key)
        world.delivers(key)
        noted.append(world.admin.get(KEYS).json()["items"][0]["last_used_at"])
        world.now += timedelta(seconds=25)

    minutes = ["2026-01-12T00:00:00Z"] * 3 + ["2026-01-12T00:01:15Z"] * 2
    assert noted == minutes


def test_a_read_with_a_key_changes_nothing_else(world: World, database: Database) -> None:
    """Looking a key up needs a transaction that may write; the row is locked no longer than the request lasts."""
    key = world.make()

    answers = world.nobody.with_token(key["key"]).together([("GET", "/api/stations")] * 40)

    assert {answer.status_code for answer in answers} == {200}
    with transactions.owner(database) as connection:
        idle = text("SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'")
        assert connection.scalar(idle) == 0


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": "", "scopes": ["read"]},
        {"name": " ", "scopes": ["read"]},
        {"name": "a\nb", "scopes": ["read"]},
        {"name": "x" * 101, "scopes": ["read"]},
        {"name": "x", "scopes": []},
        {"name": "x", "scopes": ["write"]},
        {"name": "x", "scopes": "read"},
        {"name": "x", "scopes": ["read"], "expires_in_days": 0},
        {"name": "x", "scopes": ["read"], "expires_in_days": 731},
        {"name": "x", "scopes": ["read"], "expires_in_days": None},
    ],
    ids=str,
)
def test_a_wrong_key_is_422(world: World, body: object) -> None:
    answer = world.admin.post(KEYS, json=body)

    assert answer.status_code == 422
    assert answer.json()["errors"]


@pytest.mark.parametrize(
    "more",
    [
        {"organization_id": "00000000-0000-4000-8000-000000000001"},
        {"id": "00000000-0000-4000-8000-000000000001"},
        {"secret_hash": "0" * 64},
        {"created_at": "2026-01-12T00:00:00+00:00"},
        {"last_used_at": None},
    ],
    ids=str,
)
def test_mass_assignment_of_a_key_is_refused(world: World, more: dict[str, object]) -> None:
    answer = world.admin.post(KEYS, json={"name": "x", "scopes": ["read"]} | more)

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == list(more)


def test_a_canary_key_is_never_in_a_log_or_the_database(
    world: World, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    key = world.make()
    secrets = [key["key"], world.rotate(key)["key"]]
    for secret in secrets:
        world.nobody.with_token(secret).get("/api/stations")

    with transactions.owner(database) as connection:
        stored = " ".join(str(row) for row in connection.execute(select(api_keys)))
    for secret in secrets:
        assert secret not in caplog.text
        assert secret not in stored
        assert secret.removeprefix("altaviz_key_")[8:] not in caplog.text + stored
