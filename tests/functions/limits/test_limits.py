"""Limits by address and by organization, over two instances that share a database and a clock."""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event, select, text

from functions.access import sessions
from functions.access.keys import Scope
from functions.api import create_app
from functions.host import function_app
from functions.limits import counters
from functions.limits.allowance import SECOND, Allowance, decide, headers
from functions.limits.counters import InMemory, InSql
from functions.limits.limits import counted_address
from functions.limits.queries import FORGOTTEN_AT_ONCE
from functions.settings import EdgeSettings, Settings
from shared_code.database import transactions
from shared_code.database.engines import Database, Role
from shared_code.database.tables import rate_limits
from shared_code.database.tables.organizations import Tier
from tests.factories.fleet import Customer, a_customer, a_key, a_session
from tests.seams.api_client import BASE_URL
from tests.seams.functions_host import FunctionsHost

FREE_QUOTA = 120
NOWHERE = "/api/nowhere"
SERVED = 404
"""What `NOWHERE` answers: an answer like any other, and the cheapest."""
STORES = ("memory", "sql")


@dataclass
class World:
    """Instances of the API that are asked from any address."""

    now: datetime
    instances: list[FastAPI]
    database: Database
    settings: Settings

    def ask(
        self,
        *,
        address: str = "203.0.113.7",
        instance: int = 0,
        path: str = NOWHERE,
        method: str = "GET",
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        async def run() -> httpx.Response:
            transport = httpx.ASGITransport(self.instances[instance], client=(address, 50_000))
            async with httpx.AsyncClient(transport=transport, base_url=BASE_URL) as client:
                return await client.request(method, path, headers=headers)

        return asyncio.run(run())

    def bearer(self, customer: Customer) -> dict[str, str]:
        session = a_session(self.database, customer, now=self.now)
        return {"Authorization": f"Bearer {sessions.sign(session, self.settings.session_key)}"}


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest) -> str:
    return request.param


def a_world(
    database: Database, settings: Settings, now: datetime, *, store: str, limit: int = 10, instances: int = 1
) -> World:
    edge = EdgeSettings.model_validate(
        {
            "altaviz_requests_per_minute": limit,
            "altaviz_requests_counted_in": store,
            "cors_allowed_origins": ("https://web.example",),
        }
    )
    settings = replace(settings, edge=edge)
    world = World(now, [], database, settings)
    world.instances = [create_app(settings, lambda: database, clock=lambda: world.now) for _ in range(instances)]
    with transactions.owner(database) as connection:
        connection.execute(text("TRUNCATE rate_limits"))
    return world


@pytest.fixture
def world(database: Database, settings: Settings, now: datetime, store: str) -> World:
    return a_world(database, settings, now, store=store)


def test_a_burst_is_admitted_and_the_next_request_is_told_when_to_come_back(world: World) -> None:
    statuses = [world.ask().status_code for _ in range(10)]
    refused = world.ask()

    assert statuses == [SERVED] * 10
    assert refused.status_code == 429
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert refused.json()["title"] == "Too Many Requests"
    assert refused.json()["requestId"] == refused.headers["X-Request-Id"]
    assert refused.headers["Retry-After"] == "6"  # sixty seconds for ten requests
    assert refused.headers["X-Frame-Options"] == "DENY"
    world.now += timedelta(seconds=5, milliseconds=999)
    assert world.ask().status_code == 429
    world.now += timedelta(milliseconds=1)
    assert [world.ask().status_code for _ in range(2)] == [SERVED, 429]
    world.now += timedelta(minutes=1)
    assert [world.ask().status_code for _ in range(11)] == [SERVED] * 10 + [429]


def test_headers_say_what_is_left_and_when_all_is_back(world: World) -> None:
    answers = [world.ask() for _ in range(3)]
    world.now += timedelta(seconds=7)
    answers.append(world.ask())

    assert {answer.headers["RateLimit-Policy"] for answer in answers} == {'"address";q=10;w=60'}
    assert [answer.headers["RateLimit"] for answer in answers] == [
        '"address";r=9;t=6',
        '"address";r=8;t=12',
        '"address";r=7;t=18',
        '"address";r=7;t=17',
    ]


def test_what_is_refused_counts_for_nothing(world: World) -> None:
    for _ in range(30):
        world.ask()
    world.now += timedelta(seconds=6)

    assert world.ask().status_code == SERVED


def test_addresses_are_counted_apart(world: World) -> None:
    assert [world.ask(address=f"198.51.100.{host}").status_code for host in range(30)] == [SERVED] * 30


def test_every_answer_counts_whatever_it_is(world: World) -> None:
    paths = ["/api/nowhere", "/api/fleet", "/api/auth/session", "/", "/api/docs"] * 2

    assert [world.ask(path=path).status_code for path in paths] == [404, 401, 401, 404, 200] * 2
    assert world.ask(path="/api/docs").status_code == 429


def test_probes_are_not_counted_and_do_not_count(world: World) -> None:
    for path in ("/api/health", "/api/health/ready"):
        answers = [world.ask(path=path) for _ in range(15)]
        assert {answer.status_code for answer in answers} == {200}
        assert "RateLimit" not in answers[-1].headers
    assert world.ask().headers["RateLimit"] == '"address";r=9;t=6'


@pytest.mark.parametrize("path", ["/api/health/../fleet", "/api/health?x=/api/fleet", "/api/health/", "/api//health"])
def test_no_odd_path_to_a_probe_reaches_anything_else_uncounted(world: World, path: str) -> None:
    answer = world.ask(path=path)

    assert "RateLimit" in answer.headers or answer.json() == {"status": "ok"}


@pytest.mark.parametrize(
    "spoofed",
    [
        {"X-Forwarded-For": "198.51.100.{}"},
        {"X-Forwarded-For": "198.51.100.{}:1234, 198.51.100.{}"},
        {"X-Real-IP": "198.51.100.{}"},
        {"X-Azure-ClientIP": "198.51.100.{}"},
        {"X-Client-IP": "198.51.100.{}"},
        {"CF-Connecting-IP": "198.51.100.{}"},
        {"True-Client-IP": "198.51.100.{}"},
        {"Forwarded": "for=198.51.100.{}"},
        {"Host": "host-{}.example"},
    ],
    ids=lambda headers: next(iter(headers)),
)
def test_no_header_makes_a_client_somebody_else(world: World, spoofed: dict[str, str]) -> None:
    statuses = [
        world.ask(headers={name: value.replace("{}", str(n)) for name, value in spoofed.items()}).status_code
        for n in range(11)
    ]

    assert statuses == [SERVED] * 10 + [429]


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("::FFFF:cb00:7107", "203.0.113.7"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("2001:DB8:0:1:ffff::2", "2001:db8:0:1::/64"),
        ("2001:db8:0:2::1", "2001:db8:0:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("junk", "unknown"),
        ("", "unknown"),
        (None, "unknown"),
        ("203.0.113.007", "unknown"),
    ],
)
def test_an_address_is_counted_as_what_its_owner_cannot_change(address: str | None, counted: str) -> None:
    assert counted_address(address) == counted


def test_two_instances_share_one_allowance(database: Database, settings: Settings, now: datetime) -> None:
    world = a_world(database, settings, now, store="sql", instances=2)

    assert [world.ask(instance=n % 2).status_code for n in range(11)] == [SERVED] * 10 + [429]
    assert world.ask(instance=0).status_code == world.ask(instance=1).status_code == 429


def test_of_many_at_once_at_several_instances_no_more_than_the_allowance_is_admitted(
    database: Database, now: datetime
) -> None:
    with transactions.owner(database) as connection:
        connection.execute(text("TRUNCATE rate_limits"))
    allowance = Allowance("address", 10)

    async def run() -> list[bool]:
        shared = [InSql(lambda: database) for _ in range(3)]
        each = (shared[n % 3].count("somebody", allowance, now=now) for n in range(60))
        return [verdict.admitted for verdict in await asyncio.gather(*each)]

    assert sum(asyncio.run(run())) == 10


def test_threads_of_one_program_share_one_allowance(now: datetime) -> None:
    counter, allowance = InMemory(), Allowance("address", 10)

    with ThreadPoolExecutor(8) as threads:
        asked = [threads.submit(counter.count_here, "somebody", allowance, now=now) for _ in range(200)]

    assert sum(each.result().admitted for each in asked) == 10


@given(
    requests=st.integers(1, 5000),
    waits=st.lists(st.integers(0, 90 * SECOND), min_size=1, max_size=60),
)
def test_never_more_than_the_burst_and_what_came_back_since(requests: int, waits: list[int]) -> None:
    """Against the definition: of any span of time, no more is admitted than the burst and its share of the rate."""
    allowance, now, whole_at = Allowance("address", requests), 1_000_000_000, 0
    admitted: list[int] = []
    for wait in waits:
        now += wait
        verdict = decide(allowance, whole_at, now=now)
        again = decide(allowance, verdict.whole_at, now=max(now, verdict.retry_at))
        assert again.admitted
        assert verdict.admitted or verdict.remaining == 0
        assert 0 <= verdict.remaining < requests or requests == 1
        whole_at = verdict.whole_at
        admitted += [now] if verdict.admitted else []
    for first, began in enumerate(admitted):
        for last in range(first, len(admitted)):
            span = admitted[last] - began
            assert last - first + 1 <= requests + span // allowance.interval


def test_sql_and_memory_decide_alike(database: Database, now: datetime) -> None:
    caller = f"somebody {uuid4()}"
    memory, shared = InMemory(), InSql(lambda: database)
    steps = [0, 0, 0, 1, 0, 30, 0, 0, 0, 7, 61, 0, 0, 0, 0, 3]

    for step in steps:
        now += timedelta(seconds=step)
        allowance = Allowance("address", 3)
        here = asyncio.run(memory.count(caller, allowance, now=now))
        there = asyncio.run(shared.count(caller, allowance, now=now))
        assert here == there


def test_memory_does_not_grow_with_addresses(monkeypatch: pytest.MonkeyPatch, now: datetime) -> None:
    monkeypatch.setattr(counters, "MOST_CALLERS", 100)
    counter, allowance = InMemory(), Allowance("address", 10)

    for n in range(1000):
        counter.count_here(f"address {n}", allowance, now=now)
        assert len(counter._whole_at) <= 100  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - what the test is about


def test_sql_forgets_callers_that_ask_no_more(database: Database, settings: Settings, now: datetime) -> None:
    world = a_world(database, settings, now, store="sql")
    for host in range(5):
        world.ask(address=f"198.51.100.{host}")
    world.now += timedelta(minutes=2)
    world.ask(address="203.0.113.7")

    with transactions.owner(database) as connection:
        assert list(connection.scalars(select(rate_limits.c.caller))) == ["address 203.0.113.7"]


def test_sql_forgets_no_more_at_once_than_it_says(database: Database, settings: Settings, now: datetime) -> None:
    world = a_world(database, settings, now, store="sql")
    with transactions.owner(database) as connection:
        rows = [{"caller": str(n), "whole_at": 1, "admitted": True} for n in range(FORGOTTEN_AT_ONCE + 500)]
        connection.execute(rate_limits.insert(), rows)
    world.ask()

    with transactions.owner(database) as connection:
        assert len(list(connection.scalars(select(rate_limits.c.caller)))) == 501


def test_while_sql_is_down_requests_are_served_and_counted_by_each_instance_alone(
    database: Database, settings: Settings, now: datetime, caplog: pytest.LogCaptureFixture
) -> None:
    world = a_world(database, settings, now, store="sql", instances=2)
    with transactions.owner(database) as connection:
        connection.execute(text("ALTER TABLE rate_limits RENAME TO rate_limits_gone"))
    try:
        here = [world.ask(instance=0).status_code for _ in range(11)]
        there = [world.ask(instance=1).status_code for _ in range(11)]
    finally:
        with transactions.owner(database) as connection:
            connection.execute(text("ALTER TABLE rate_limits_gone RENAME TO rate_limits"))

    assert here == there == [SERVED] * 10 + [429]
    said = [record for record in caplog.records if "counted by this instance alone" in record.message]
    assert len(said) == 2  # once an instance, not once a request
    assert said[0].levelno == logging.ERROR


def test_a_store_that_hangs_holds_nobody_up_for_long(
    database: Database, settings: Settings, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counters, "PATIENCE", 0.05)
    world = a_world(database, settings, now, store="sql")
    with database.engine(Role.OWNER).connect() as holder:
        holder.execute(text("LOCK TABLE rate_limits IN ACCESS EXCLUSIVE MODE"))
        assert world.ask().status_code == SERVED


def test_counting_in_sql_takes_one_statement(database: Database, now: datetime) -> None:
    counter, seen = InSql(lambda: database), list[str]()
    asyncio.run(counter.count("warm", Allowance("address", 10), now=now))
    engine = database.counting_engine()

    def listen(_c: object, _cursor: object, statement: str, *_: object) -> None:
        seen.append(statement)

    event.listen(engine, "before_cursor_execute", listen)
    asyncio.run(counter.count("somebody", Allowance("address", 10), now=now))
    event.remove(engine, "before_cursor_execute", listen)

    assert len(seen) == 1


# By organization.


def test_a_plan_includes_so_many_requests_a_minute_of_people_and_machines_together(
    database: Database, settings: Settings, now: datetime, store: str
) -> None:
    world = a_world(database, settings, now, store=store, limit=100_000)
    customer, other = (a_customer(database, tier=Tier.FREE) for _ in range(2))
    person = world.bearer(customer)
    machine = {"Authorization": f"Bearer {a_key(database, customer, Scope.READ, now=now)}"}

    first = world.ask(path="/api/stations", headers=person)
    statuses = [world.ask(path="/api/stations", headers=(person, machine)[n % 2]).status_code for n in range(130)]
    refused = world.ask(path="/api/stations", headers=person)

    assert first.headers["RateLimit-Policy"] == f'"address";q=100000;w=60, "organization";q={FREE_QUOTA};w=60'
    assert first.headers["RateLimit"].endswith(f'"organization";r={FREE_QUOTA - 1};t=1')
    assert statuses == [200] * (FREE_QUOTA - 1) + [429] * (131 - FREE_QUOTA)
    assert refused.headers["Retry-After"] == "1"
    assert "your organization" in refused.json()["detail"]
    assert world.ask(path="/api/stations", headers=world.bearer(other)).status_code == 200
    world.now += timedelta(seconds=1)
    assert [world.ask(path="/api/stations", headers=person).status_code for _ in range(3)] == [200, 200, 429]


def test_what_a_gateway_delivers_counts_too(database: Database, settings: Settings, now: datetime) -> None:
    world = a_world(database, settings, now, store="memory", limit=100_000)
    customer = a_customer(database, tier=Tier.FREE)
    headers = {"Authorization": f"Bearer {a_key(database, customer, Scope.INGEST, now=now)}"}
    asked = [world.ask(method="POST", path="/api/readings", headers=headers).status_code for _ in range(FREE_QUOTA + 1)]

    assert asked == [415] * FREE_QUOTA + [429]


def test_who_is_nobody_spends_nobodys_quota(database: Database, settings: Settings, now: datetime) -> None:
    world = a_world(database, settings, now, store="memory", limit=100_000)
    customer = a_customer(database, tier=Tier.FREE)
    never_began = sessions.sign(sessions.start(customer.member, now=now), settings.session_key)
    forged = {"Authorization": f"Bearer {never_began}"}

    assert {world.ask(path="/api/fleet", headers=forged).status_code for _ in range(200)} == {401}
    answer = world.ask(path="/api/fleet", headers=world.bearer(customer))
    assert answer.headers["RateLimit"].endswith(f'"organization";r={FREE_QUOTA - 1};t=1')


def test_a_refusal_is_repeated_without_asking_the_database(
    database: Database, settings: Settings, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = a_world(database, settings, now, store="memory", limit=100_000)
    headers = world.bearer(a_customer(database, tier=Tier.FREE))
    for _ in range(FREE_QUOTA + 1):
        world.ask(path="/api/fleet", headers=headers)

    def no_more(*_: object) -> None:
        raise AssertionError

    with monkeypatch.context() as patched:
        patched.setattr(transactions, "read", no_more)
        assert world.ask(path="/api/fleet", headers=headers).status_code == 429
    world.now += timedelta(milliseconds=500)
    assert world.ask(path="/api/fleet", headers=headers).status_code == 200


# Through the Functions host.


def test_behind_azures_front_the_last_hop_is_counted_and_the_headers_arrive_whole(
    database: Database, settings: Settings, now: datetime, store: str
) -> None:
    world = a_world(database, settings, now, store=store)
    host = FunctionsHost(function_app(world.instances[0]))

    def ask(forwarded: str, path: str = NOWHERE, **more: str) -> tuple[int, dict[str, str]]:
        answer = host.call("GET", path, headers={"X-Forwarded-For": forwarded, **more})
        assert answer is not None
        return answer.response.status_code, {name.lower(): value for name, value in answer.response.headers.items()}

    statuses = [ask(f"198.51.100.{n}, 203.0.113.7:{50_000 + n}")[0] for n in range(11)]
    status, received = ask("[2001:db8::7]:443")

    assert statuses == [SERVED] * 10 + [429]
    assert ask("203.0.113.7, 192.0.2.1")[0] == SERVED
    assert [ask(f"[2001:db8::{n}]:443")[0] for n in range(10)] == [SERVED] * 9 + [429]
    assert (status, received["ratelimit"]) == (SERVED, '"address";r=9;t=6')
    person = world.bearer(a_customer(database))["Authorization"]
    _, both = ask("192.0.2.9", "/api/fleet", Authorization=person)
    assert both["ratelimit"] == '"address";r=9;t=6, "organization";r=2999;t=1'


def test_a_refusal_can_be_read_by_pages_of_allowed_origins(world: World) -> None:
    answers = [world.ask(headers={"Origin": "https://web.example"}) for _ in range(11)]

    assert answers[-1].status_code == 429
    assert answers[-1].headers["Access-Control-Allow-Origin"] == "https://web.example"
    exposed = answers[-1].headers["Access-Control-Expose-Headers"]
    assert {"Retry-After", "RateLimit", "RateLimit-Policy"} <= set(exposed.split(", "))


def test_headers_are_structured_fields() -> None:
    verdicts = [decide(Allowance(name, 10), 0, now=SECOND) for name in ("address", "organization")]

    assert headers(verdicts) == {
        "RateLimit-Policy": '"address";q=10;w=60, "organization";q=10;w=60',
        "RateLimit": '"address";r=9;t=6, "organization";r=9;t=6',
    }
