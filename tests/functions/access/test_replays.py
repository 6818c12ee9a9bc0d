"""Writes that come with an Idempotency-Key: sent again, they are told the same and have no other effect."""

import logging
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import APIRouter
from sqlalchemy import func, select, update

from functions.access import guards, replays, sessions
from functions.access.roles import RULES
from functions.access.writes import WriteConnection
from functions.api import create_app
from functions.host import function_app
from functions.settings import Settings
from shared_code.database import transactions
from shared_code.database.engines import Database
from shared_code.database.tables import audit_log, idempotent_requests
from shared_code.database.tables import users as users_table
from shared_code.database.tables.organizations import UserRole
from tests.factories.fleet import Customer, a_colleague, a_customer, a_session, a_station
from tests.seams.api_client import ApiClient
from tests.seams.functions_host import FunctionsHost
from tests.seams.operations import described

STATION = {"station_id": "S", "station_name": "S", "latitude": 0, "longitude": 0, "timezone": "UTC"}
KEYS = "/api/organization/api-keys"
NEW_KEY = {"name": "Gateway", "scopes": ["read"]}
TAKE_NONE = {"refresh_session", "sign_in_for_development", "sign_out", "switch_organization", "accept_invitation"}
"""What begins or ends a session; a repeat of it would come with a session that has ended."""
CHANGE_NOTHING = {"backtest_alert_rule"}
KNOWN_BY_ITSELF = {"receive_stripe_event"}
"""Stripe sends no key of ours: the event's own id says that it came before."""


@dataclass
class World:
    now: datetime
    api: ApiClient
    customer: Customer
    database: Database
    settings: Settings

    def client(self, customer: Customer | None = None) -> ApiClient:
        session = a_session(self.database, customer or self.customer, now=self.now)
        return self.api.with_token(sessions.sign(session, self.settings.session_key))

    def send(
        self, method: str, path: str, body: object = None, *, key: str = "one", by: ApiClient | None = None
    ) -> httpx.Response:
        return (by or self.client()).request(method, path, json=body, headers={"Idempotency-Key": key})

    def count(self, table: Any) -> int:  # noqa: ANN401 - a table
        with transactions.owner(self.database) as connection:
            mine = table.c.organization_id == self.customer.organization_id
            return connection.scalar(select(func.count()).select_from(table).where(mine)) or 0


@pytest.fixture
def world(database: Database, settings: Settings, now: datetime) -> World:
    app = create_app(settings, lambda: database, clock=lambda: world.now)
    world = World(now, ApiClient(app), a_customer(database), database, settings)
    return world


def same(first: httpx.Response, again: httpx.Response) -> bool:
    kept = [(each.status_code, each.content, each.headers.get("Content-Type")) for each in (first, again)]
    return kept[0] == kept[1] and "Idempotency-Replayed" not in first.headers


def test_every_write_of_an_organization_takes_a_key(api: ApiClient) -> None:
    takers = {
        operation["operationId"]
        for _, _, operation in described(api)
        if any(parameter["name"].lower() == "idempotency-key" for parameter in operation.get("parameters", []))
    }

    unsafe = {operation["operationId"] for method, _, operation in described(api) if method != "GET"}
    assert takers == unsafe - TAKE_NONE - CHANGE_NOTHING - KNOWN_BY_ITSELF


def test_a_write_that_would_not_keep_its_answer_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    def rename(connection: WriteConnection) -> None: ...

    monkeypatch.setattr(guards, "RULES", {**RULES, "rename": RULES["rename_organization"]})
    router = APIRouter()
    router.post("/x", operation_id="rename")(rename)

    with pytest.raises(ValueError, match="rename: writes, and its router"):
        guards.refuse_unguarded(router)


def test_the_same_request_has_the_same_answer_and_one_effect(world: World) -> None:
    first = world.send("POST", "/api/stations", STATION)
    world.now += timedelta(hours=7)
    again = world.send("POST", "/api/stations", STATION)
    changed = world.send("PATCH", "/api/stations/S", {"city": "Midland"}, key="two")
    world.send("PATCH", "/api/stations/S", {"city": "Odessa"}, key="three")
    changed_again = world.send("PATCH", "/api/stations/S", {"city": "Midland"}, key="two")

    assert first.status_code == 201
    assert same(first, again)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert same(changed, changed_again)
    assert world.client().get("/api/stations").json()["items"][0]["city"] == "Odessa"


def test_a_deletion_sent_again_is_the_same_empty_answer(world: World) -> None:
    a_station(world.database, world.customer, "GONE")

    first = world.send("DELETE", "/api/stations/GONE")
    again = world.send("DELETE", "/api/stations/GONE")

    assert (first.status_code, first.content) == (204, b"")
    assert same(first, again)


def test_without_a_key_each_request_stands_alone(world: World) -> None:
    answers = [world.client().post(KEYS, json=NEW_KEY) for _ in range(2)]

    assert len({answer.json()["id"] for answer in answers}) == 2
    assert world.count(idempotent_requests) == 0


def test_a_hundred_at_once_have_one_effect_and_one_answer(world: World) -> None:
    headers = world.client().headers | {"Idempotency-Key": "one"}

    answers = world.api.each_at_once([("POST", KEYS, headers, NEW_KEY)] * 100)

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert sum("Idempotency-Replayed" in answer.headers for answer in answers) == 99
    assert len(world.client().get(KEYS).json()["items"]) == 1
    assert world.count(audit_log) == 1


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", KEYS, NEW_KEY | {"name": "Another"}),
        ("POST", "/api/stations", NEW_KEY),
        ("PATCH", "/api/organization", {"name": "Gateway"}),
        ("POST", f"{KEYS}?x=1", NEW_KEY),
    ],
    ids=str,
)
def test_another_request_under_the_key_is_refused(world: World, method: str, path: str, body: object) -> None:
    made = world.send("POST", KEYS, NEW_KEY)
    other = world.send(method, path, body)

    assert (made.status_code, other.status_code) == (201, 422)
    assert len(world.client().get(KEYS).json()["items"]) == 1


def test_another_request_under_the_key_is_told_what_to_mend(world: World) -> None:
    world.send("POST", KEYS, NEW_KEY)

    answer = world.send("POST", KEYS, NEW_KEY | {"name": "Another"})

    assert answer.json()["errors"] == [{"field": "Idempotency-Key", "message": replays.OTHER_REQUEST}]


@pytest.mark.parametrize("key", ["", " ", "a b", "\t", "x" * 256, "\u00fc"])
def test_what_is_no_key_is_422_and_has_no_effect(world: World, key: str) -> None:
    client = world.client()
    answer = client.request("POST", KEYS, json=NEW_KEY, headers={b"Idempotency-Key": key.encode()})

    assert answer.status_code == 422
    assert client.get(KEYS).json()["items"] == []


def test_what_was_refused_is_judged_again(world: World) -> None:
    machine = {"compressor_id": "C", "model": "Ajax", "horsepower": 1340, "station_id": "S"}

    refused = world.send("POST", "/api/compressors", machine)
    world.send("POST", "/api/stations", STATION, key="two")
    taken = world.send("POST", "/api/compressors", machine)

    assert (refused.status_code, taken.status_code) == (422, 201)


def test_a_crash_before_the_commit_leaves_neither_effect_nor_answer(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> None:
        raise RuntimeError

    client = world.client()
    with monkeypatch.context() as patched:
        patched.setattr(replays, "keep", crash)
        crashed = world.send("POST", KEYS, NEW_KEY, by=client)
    left = (world.count(idempotent_requests), client.get(KEYS).json()["items"], world.count(audit_log))
    again = world.send("POST", KEYS, NEW_KEY, by=client)

    assert crashed.status_code == 500
    assert left == (0, [], 0)
    assert again.status_code == 201
    assert "Idempotency-Replayed" not in again.headers


def test_a_key_is_its_callers_own(world: World) -> None:
    colleague = a_colleague(world.database, world.customer, UserRole.ADMIN)
    stranger = a_customer(world.database)

    answers = [world.send("POST", KEYS, NEW_KEY, by=world.client(who)) for who in (world.customer, colleague, stranger)]

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["key"] for answer in answers}) == 3


def test_who_may_no_more_is_told_nothing_of_before(world: World) -> None:
    client = world.client()
    world.send("POST", KEYS, NEW_KEY, by=client)
    with transactions.owner(world.database) as connection:
        mine = users_table.c.id == world.customer.member.sub
        connection.execute(update(users_table).where(mine).values(role="viewer"))

    assert world.send("POST", KEYS, NEW_KEY, by=client).status_code == 403


def test_after_a_day_the_key_is_free_again(world: World) -> None:
    first = world.send("POST", KEYS, NEW_KEY)
    world.now += timedelta(hours=24) - timedelta(seconds=1)
    within = world.send("POST", KEYS, NEW_KEY)
    world.now += timedelta(seconds=1)
    after = world.send("POST", KEYS, NEW_KEY)

    assert same(first, within)
    assert after.status_code == 201
    assert after.json()["id"] != first.json()["id"]


def test_what_has_run_out_is_forgotten_a_hundred_at_a_time(world: World) -> None:
    organization_id = world.customer.organization_id
    with transactions.owner(world.database) as connection:
        row = {"organization_id": organization_id, "fingerprint": "0", "expires_at": world.now}
        connection.execute(idempotent_requests.insert(), [row | {"key_hash": str(n)} for n in range(250)])
    left: list[int] = []
    for n in range(3):
        world.send("PATCH", "/api/organization", {"name": f"Name {n}"}, key=f"key-{n}")
        left.append(world.count(idempotent_requests))

    assert left == [151, 52, 3]


def test_secrets_in_answers_are_kept_where_nobody_can_read_them(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    made = world.send("POST", KEYS, NEW_KEY, key="canary-idempotency-key")
    invite = {"email": "a@b.example", "role": "viewer"}
    invited = world.send("POST", "/api/organization/invitations", invite, key="canary-idempotency-key-2")
    again = [
        world.send("POST", KEYS, NEW_KEY, key="canary-idempotency-key"),
        world.send("POST", "/api/organization/invitations", invite, key="canary-idempotency-key-2"),
    ]

    assert same(made, again[0])
    assert same(invited, again[1])
    with transactions.owner(world.database) as connection:
        stored = b" ".join(
            str(dict(row)).encode() + bytes(row["answer"])
            for row in connection.execute(select(idempotent_requests)).mappings()
            if row["answer"] is not None
        )
    token = invited.json()["link"].partition("#token=")[2]
    secrets = (made.json()["key"], token, "canary-idempotency-key")
    assert not [each for each in secrets if each.encode() in stored or each in caplog.text]
    assert b"Gateway" not in stored


@pytest.mark.parametrize("changed", ["session secret", "row"])
def test_an_answer_that_cannot_be_opened_is_a_409_and_no_second_effect(world: World, changed: str) -> None:
    world.send("POST", KEYS, NEW_KEY)
    if changed == "session secret":
        settings = replace(world.settings, session_key="another key, as long as it has to be")
        app = create_app(settings, lambda: world.database, clock=lambda: world.now)
        world = replace(world, settings=settings, api=ApiClient(app))
    else:
        with transactions.owner(world.database) as connection:
            mine = idempotent_requests.c.organization_id == world.customer.organization_id
            connection.execute(update(idempotent_requests).where(mine).values(answer=b"x" * 80))

    answer = world.send("POST", KEYS, NEW_KEY)

    assert answer.status_code == 409
    assert answer.json()["detail"] == replays.FORGOTTEN_ANSWER
    assert len(world.client().get(KEYS).json()["items"]) == 1


def test_a_first_one_that_fails_lets_the_next_have_its_turn(world: World) -> None:
    """Of many at once that are refused, each is refused for itself, and none waits for ever."""
    headers = world.client().headers | {"Idempotency-Key": "one"}
    path = f"/api/organization/members/{uuid4()}"

    answers = world.api.each_at_once([("PATCH", path, headers, {"role": "viewer"})] * 20)

    assert {answer.status_code for answer in answers} == {404}
    assert world.count(idempotent_requests) == 0


def test_through_the_functions_host_too(world: World) -> None:
    host = FunctionsHost(function_app(world.api.app))
    body = b'{"name": "Gateway", "scopes": ["read"]}'
    headers = world.client().headers | {
        "Idempotency-Key": "one",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
    }

    answers = [host.call("POST", KEYS, headers=headers, body=body) for _ in range(2)]

    got = [(each.response.status_code, each.response.get_body()) for each in answers if each]
    assert got[0][0] == 201
    assert got[0] == got[1]
