"""A client is told that it has an answer already when it has, and never when the answer has changed."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import text, update

from functions import revalidation
from functions.access import sessions
from functions.access.keys import Scope
from functions.access.roles import RULES
from functions.api import create_app
from functions.kept_answers import InMemory
from functions.settings import CacheSettings, Settings
from shared_code.alarms import Severity
from shared_code.database import transactions
from shared_code.database.engines import Database
from shared_code.database.tables import organizations
from shared_code.database.tables.organizations import Tier, UserRole
from tests.factories.fleet import (
    Customer,
    a_colleague,
    a_compressor,
    a_customer,
    a_key,
    a_session,
    a_station,
    a_window,
    an_alert,
)
from tests.functions.conftest import KEY
from tests.seams.api_client import ApiClient
from tests.seams.operations import described
from tests.seams.redis_server import a_redis_server

SignIn = Callable[[Customer], ApiClient]
READS = [
    "/api/fleet",
    "/api/stations",
    "/api/compressors",
    "/api/compressors/COMP-001",
    "/api/compressors/COMP-001/readings",
    "/api/alerts",
    "/api/data-quality",
    "/api/maintenance",
    "/api/predictions",
    "/api/organization",
    "/api/organization/members",
    "/api/organization/audit-log",
    "/api/organization/api-keys",
    "/api/organization/invitations",
]


@pytest.fixture
def customer(database: Database, now: datetime) -> Customer:
    customer = a_customer(database)
    a_station(database, customer)
    a_compressor(database, customer)
    a_window(database, customer, "COMP-001", end=now - timedelta(hours=2))
    return customer


def again(client: ApiClient, path: str, tag: str) -> httpx.Response:
    return client.get(path, headers={**client.headers, "If-None-Match": tag})


def tags(client: ApiClient, paths: list[str] = READS) -> dict[str, str]:
    return {path: client.get(path).headers["ETag"] for path in paths}


def changed(client: ApiClient, before: dict[str, str]) -> set[str]:
    """Return the paths that are answered in full, and check that the others would have been answered the same."""
    found: set[str] = set()
    for path, tag in before.items():
        answer = again(client, path, tag)
        assert answer.status_code in {200, 304}
        if answer.status_code == 200:
            found.add(path)
    return found


@pytest.mark.parametrize("path", READS)
def test_what_the_client_has_is_not_sent_again(signed_in: SignIn, customer: Customer, path: str) -> None:
    client = signed_in(customer)
    full = client.get(path)
    answer = again(client, path, full.headers["ETag"])

    assert (full.status_code, answer.status_code, answer.content) == (200, 304, b"")
    for name in ("ETag", "Cache-Control", "Vary"):
        assert answer.headers[name] == full.headers[name]
    assert full.headers["ETag"].startswith('W/"')
    assert full.headers["Cache-Control"] == "private, no-cache"
    assert full.headers["Vary"] == "Authorization, Cookie"
    assert {"Content-Type", "Content-Length"}.isdisjoint(answer.headers)
    assert answer.headers["X-Frame-Options"] == "DENY"


def test_every_read_of_an_organization_has_a_tag(api: ApiClient) -> None:
    reads = {
        operation["operationId"]: operation
        for method, _, operation in described(api)
        if method == "GET" and {} not in operation.get("security", [{}])
    }

    assert set(reads) >= revalidation.VERSIONED >= revalidation.KEPT
    for operation in reads.values():
        assert "ETag" in operation["responses"]["200"]["headers"]
        assert "content" not in operation["responses"]["304"]
        assert "If-None-Match" in [parameter["name"] for parameter in operation["parameters"]]


@pytest.mark.parametrize(
    ("held", "status"),
    [
        ("{tag}", 304),
        ('"other", {tag}', 304),
        ("{strong}", 304),
        ('W/"other"', 200),
        ("*", 200),
        ("nonsense", 200),
        ("", 200),
        ("{inside}", 200),
    ],
)
def test_tags_are_compared_weakly(signed_in: SignIn, customer: Customer, held: str, status: int) -> None:
    client = signed_in(customer)
    tag = client.get("/api/fleet").headers["ETag"]

    given = held.format(tag=tag, strong=tag.removeprefix("W/"), inside=tag[3:-1])
    assert again(client, "/api/fleet", given).status_code == status


def test_who_may_not_read_is_not_told_that_nothing_changed(
    api: ApiClient, signed_in: SignIn, database: Database, customer: Customer
) -> None:
    tag = signed_in(customer).get("/api/organization/api-keys").headers["ETag"]
    viewer = signed_in(a_colleague(database, customer, UserRole.VIEWER))

    for path in ("/api/fleet", "/api/organization/api-keys"):
        refused = again(api, path, tag)
        assert refused.status_code == 401
        assert "ETag" not in refused.headers
        assert refused.headers["Cache-Control"] == "no-store"
    assert again(viewer, "/api/organization/api-keys", tag).status_code == 403


def test_a_publish_changes_every_answer_that_shows_readings(
    signed_in: SignIn, database: Database, customer: Customer, now: datetime
) -> None:
    client = signed_in(customer)
    before = tags(client)
    assert changed(client, before) == set()

    a_window(database, customer, "COMP-001", end=now - timedelta(hours=1), values={"vibration_max": 9.0})

    assert changed(client, before) >= set(READS[:1] + READS[2:5])
    assert client.get("/api/fleet").json()["by_health"]["critical"] == 1
    # A correction of a window that was shown before.
    before = tags(client)
    a_window(database, customer, "COMP-001", end=now - timedelta(hours=1), values={"vibration_max": 3.0})
    assert client.get("/api/fleet").json()["by_health"]["healthy"] == 1
    assert changed(client, before) >= set(READS[:1] + READS[2:5])


def test_an_edit_changes_every_answer_that_shows_it(signed_in: SignIn, database: Database, customer: Customer) -> None:
    client = signed_in(customer)
    before = tags(client)

    client.request("PATCH", "/api/stations/STATION-A", json={"station_name": "Renamed"})

    assert client.get("/api/stations").json()["items"][0]["station_name"] == "Renamed"
    assert client.get("/api/compressors").json()["items"][0]["station_name"] == "Renamed"
    assert changed(client, before) >= {"/api/stations", "/api/compressors", "/api/fleet", "/api/organization/audit-log"}
    before = tags(client)
    client.request("PATCH", "/api/organization", json={"name": "Renamed"})
    assert changed(client, before) >= {"/api/organization"}
    before = tags(client)
    signed_in(a_colleague(database, customer, UserRole.VIEWER))  # written by no transaction of the API's
    assert changed(client, before) == {"/api/organization/members"}


def test_what_is_rolled_back_changes_nothing(signed_in: SignIn, customer: Customer) -> None:
    client = signed_in(customer)
    before = tags(client)

    refused = client.request("PATCH", "/api/compressors/COMP-001", json={"station_id": "NO-SUCH"})

    assert refused.status_code == 422
    assert changed(client, before) == set()


def test_other_parameters_roles_plans_and_organizations_have_other_tags(
    signed_in: SignIn, database: Database, customer: Customer
) -> None:
    paths = [
        "/api/compressors",
        "/api/compressors?limit=1",
        "/api/compressors?limit=2",
        "/api/compressors?limit=1&health=healthy",
        "/api/compressors/COMP-001/readings",
        "/api/compressors/COMP-001/readings?window=24hr",
    ]
    viewer = a_colleague(database, customer, UserRole.VIEWER)
    stranger = a_customer(database)
    a_station(database, stranger)
    a_compressor(database, stranger)
    everybody = [signed_in(each) for each in (customer, viewer, stranger)]
    found = [client.get(path).headers["ETag"] for client in everybody for path in paths]
    owner = everybody[0]

    assert len(set(found)) == len(found)
    with transactions.owner(database) as connection:
        mine = organizations.c.id == customer.organization_id
        connection.execute(update(organizations).where(mine).values(subscription_tier=Tier.FREE))
    assert set(tags(owner, paths[:-1]).values()).isdisjoint(found)
    assert again(owner, paths[-1], found[5]).status_code == 403


def test_a_key_is_answered_alike(api: ApiClient, database: Database, customer: Customer, now: datetime) -> None:
    client = api.with_token(a_key(database, customer, Scope.READ, now=now))
    before = tags(client, READS[:6])

    assert changed(client, before) == set()
    an_alert(database, customer, "COMP-001", Severity.CRITICAL)
    a_window(database, customer, "COMP-001", end=now)
    assert changed(client, before) >= set(READS[:5]) - {"/api/stations"}


def test_another_program_has_other_tags(
    signed_in: SignIn, customer: Customer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    client = signed_in(customer)
    before = tags(client, ["/api/fleet"])
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "thresholds.yaml").write_text("other: limits")
    monkeypatch.setattr(revalidation, "ROOT", tmp_path)
    monkeypatch.setattr(revalidation, "program", revalidation.program.__wrapped__)

    assert changed(client, before) == {"/api/fleet"}


@pytest.fixture(params=["memory", "redis", "redis that is down"])
def kept(request: pytest.FixtureRequest, database: Database, settings: Settings, now: datetime) -> Iterator[SignIn]:
    """The API with its answers kept in each of the ways."""

    def client(cache: CacheSettings) -> SignIn:
        changed_settings = Settings(settings.access, settings.database, KEY, cache=cache)
        api = ApiClient(create_app(changed_settings, lambda: database, clock=lambda: now))
        return lambda customer: api.with_token(sessions.sign(a_session(database, customer, now=now), KEY))

    if request.param == "memory":
        yield client(CacheSettings())
        return
    with a_redis_server() as server:
        if request.param != "redis":
            server.stop()
        yield client(CacheSettings(redis_url=SecretStr(server.url)))


def test_what_is_kept_is_never_shown_after_a_change_or_to_others(
    kept: SignIn, database: Database, customer: Customer, now: datetime
) -> None:
    mine, colleague = kept(customer), kept(a_colleague(database, customer, UserRole.VIEWER))
    strangers = kept(a_customer(database))
    paths = ["/api/fleet", "/api/compressors", "/api/compressors/COMP-001"]
    first = [mine.get(path).content for path in paths]

    assert [mine.get(path).content for path in paths] == first
    assert [colleague.get(path).content for path in paths] == first
    assert strangers.get("/api/fleet").json()["compressors"] == 0
    assert strangers.get("/api/compressors").json()["items"] == []
    assert strangers.get("/api/compressors/COMP-001").status_code == 404
    a_window(database, customer, "COMP-001", end=now, values={"vibration_max": 9.0})
    assert mine.get("/api/fleet").json()["by_health"]["critical"] == 1
    assert mine.get("/api/compressors").json()["items"][0]["health"] == "critical"
    mine.request("PATCH", "/api/compressors/COMP-001", json={"model": "Ariel"})
    assert mine.get("/api/compressors/COMP-001").json()["model"] == "Ariel"


@pytest.mark.parametrize("kept", ["memory", "redis"], indirect=True)
def test_what_is_kept_is_not_made_again(
    kept: SignIn, database: Database, customer: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = kept(customer)
    first = client.get("/api/fleet")
    monkeypatch.delattr("functions.fleet.actions.summarize_fleet")

    second = client.get("/api/fleet")

    assert second.content == first.content
    for name in ("Content-Type", "Content-Length", "ETag", "Cache-Control", "Vary"):
        assert second.headers[name] == first.headers[name]
    with transactions.owner(database) as connection:  # a change of which the version tells
        connection.execute(text("UPDATE organization_versions SET version = version + 1"))
    assert client.get("/api/fleet").status_code == 500


def test_the_organization_is_in_every_key(
    signed_in: SignIn, customer: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys: list[str] = []

    def look_up(_: InMemory, key: str) -> None:
        keys.append(key)

    monkeypatch.setattr(InMemory, "get", look_up)
    client = signed_in(customer)
    for path in READS:
        client.get(path)

    assert len(set(keys)) == len(revalidation.KEPT)
    assert all(key.split(":")[1] == str(customer.organization_id) for key in keys)


def test_the_listed_operations_are_reads() -> None:
    assert set(RULES) >= revalidation.VERSIONED
