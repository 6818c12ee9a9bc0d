"""A session from sign-in to its end, over two instances of the API on one database."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from http.cookies import SimpleCookie
from typing import Any

import httpx
import pytest
from sqlalchemy import delete, event, func, select, update

from functions.access import sessions
from functions.access.sessions import LONGEST, REFRESH_GRACE, Session
from functions.api import create_app
from functions.settings import Settings
from shared_code.database import transactions
from shared_code.database.engines import Database, Role
from shared_code.database.tables import organizations, users
from shared_code.database.tables import sessions as session_table
from tests.factories.fleet import Customer, a_customer, a_session
from tests.seams.api_client import BASE_URL, ApiClient

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)


@dataclass
class Clock:
    now: datetime

    def __call__(self) -> datetime:
        return self.now

    def advance(self, by: timedelta) -> None:
        self.now += by


@dataclass
class World:
    """One customer's session, and two instances of the API that share nothing but the database and a clock."""

    clock: Clock
    here: ApiClient
    there: ApiClient
    customer: Customer
    token: str

    def status(self, token: str) -> set[int]:
        return {api.with_token(token).get("/api/stations").status_code for api in (self.here, self.there)}

    def refresh(self, token: str) -> httpx.Response:
        return self.here.with_token(token).post("/api/auth/refresh")

    def refreshed(self, token: str) -> str:
        answer = self.refresh(token)
        assert answer.status_code == 200
        return answer.json()["token"]


@pytest.fixture
def world(database: Database, settings: Settings, now: datetime) -> World:
    clock = Clock(now)
    here, there = (ApiClient(create_app(settings, lambda: database, clock=clock)) for _ in range(2))
    customer = a_customer(database)
    return World(
        clock, here, there, customer, sessions.sign(a_session(database, customer, now=now), settings.session_key)
    )


def claims(token: str, world: World, settings: Settings) -> Session:
    return sessions.verify(token, settings.session_key, now=world.clock())


def test_a_refresh_gives_a_new_token_of_the_same_session_for_eight_hours(world: World, settings: Settings) -> None:
    world.clock.advance(HOUR)

    answer = world.refresh(world.token)

    old, new = claims(world.token, world, settings), claims(answer.json()["token"], world, settings)
    assert (new.sid, new.sub) == (old.sid, old.sub)
    assert new.jti != old.jti
    assert new.expires_at == world.clock() + timedelta(hours=8)
    assert answer.json()["expiresAt"] == "2026-01-12T09:00:00Z"
    assert SimpleCookie(answer.headers["Set-Cookie"])["altaviz_session"].value == answer.json()["token"]
    assert world.status(answer.json()["token"]) == {200}


def test_refresh_race_fifty_at_once_all_get_the_same_successor(world: World) -> None:
    world.clock.advance(HOUR)

    answers = world.here.with_token(world.token).together([("POST", "/api/auth/refresh")] * 50)

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["token"] for answer in answers}) == 1
    assert world.status(answers[0].json()["token"]) == {200}


def test_refresh_race_in_turns_across_instances_never_signs_anybody_out(world: World) -> None:
    """The old token, its successor and the old one again, by tabs that do not know of one another."""
    tokens = [world.token]
    for step in range(40):
        world.clock.advance(SECOND)
        tokens.append(world.refreshed(tokens[step % len(tokens)]))

    assert len(set(tokens)) == 2
    assert world.status(tokens[-1]) == {200}


def test_a_refreshed_token_is_good_for_the_grace_and_no_longer(world: World) -> None:
    successor = world.refreshed(world.token)

    world.clock.advance(REFRESH_GRACE - SECOND)
    assert world.status(world.token) == {200}
    world.clock.advance(SECOND)
    assert world.status(world.token) == {401}
    assert world.status(successor) == {200}


def test_a_refresh_of_a_token_refreshed_long_before_ends_the_session(world: World) -> None:
    successor = world.refreshed(world.token)
    world.clock.advance(REFRESH_GRACE)

    assert world.refresh(world.token).status_code == 401
    assert world.status(successor) == {401}
    assert world.refresh(successor).status_code == 401


def test_a_token_can_be_refreshed_for_seven_days(world: World) -> None:
    token, steps = world.token, 0
    while world.status(token) == {200}:
        world.clock.advance(4 * HOUR)
        answer = world.refresh(token)
        token, steps = (answer.json()["token"] if answer.status_code == 200 else token), steps + 1

    assert steps * 4 * HOUR == LONGEST


def test_a_session_that_nobody_refreshes_is_over_after_eight_hours(world: World) -> None:
    world.clock.advance(timedelta(hours=8))

    assert world.status(world.token) == {401}
    assert world.refresh(world.token).status_code == 401


@pytest.mark.parametrize("carried", ["header", "cookie"])
def test_signing_out_ends_every_token_of_the_session_everywhere_at_once(world: World, carried: str) -> None:
    successor = world.refreshed(world.token)
    headers = {
        "header": {"Authorization": f"Bearer {successor}"},
        "cookie": {"Cookie": f"altaviz_session={successor}", "Origin": BASE_URL},
    }[carried]

    answer = world.here.post("/api/auth/logout", headers=headers)

    assert answer.status_code == 204
    assert SimpleCookie(answer.headers["Set-Cookie"])["altaviz_session"].value == ""
    assert world.status(world.token) | world.status(successor) == {401}
    assert world.refresh(successor).status_code == 401


def test_signing_out_of_one_session_leaves_the_others(world: World, database: Database, settings: Settings) -> None:
    other = sessions.sign(a_session(database, world.customer, now=world.clock()), settings.session_key)

    world.here.with_token(world.token).post("/api/auth/logout")

    assert (world.status(world.token), world.status(other)) == ({401}, {200})


def test_a_changed_role_and_plan_take_effect_everywhere_at_once(world: World, database: Database) -> None:
    with transactions.write(database, world.customer.organization_id) as connection:
        connection.execute(update(users).values(role="viewer"))
        connection.execute(update(organizations).values(subscription_tier="free", name="Renamed"))

    for api in (world.here, world.there):
        said = api.with_token(world.token).get("/api/auth/session").json()
        assert (said["role"], said["subscriptionTier"], said["organizationName"]) == ("viewer", "free", "Renamed")


def test_a_removed_member_is_out_everywhere_at_once(world: World, database: Database) -> None:
    with transactions.write(database, world.customer.organization_id) as connection:
        connection.execute(delete(users).where(users.c.id == world.customer.member.sub))

    assert world.status(world.token) == {401}
    assert world.refresh(world.token).status_code == 401


def test_a_well_signed_token_of_a_session_that_never_was_is_refused(world: World, settings: Settings) -> None:
    made_up = sessions.sign(sessions.start(world.customer.member, now=world.clock()), settings.session_key)

    assert world.status(made_up) == {401}
    assert world.refresh(made_up).status_code == 401
    assert world.here.with_token(made_up).post("/api/auth/logout").status_code == 204


def test_a_session_of_another_organization_cannot_be_refreshed_or_ended(
    world: World, database: Database, settings: Settings
) -> None:
    """Even the key's holder names an organization and a session together, or nothing."""
    stranger = a_customer(database)
    ours = claims(world.token, world, settings)
    mixed = sessions.sign(ours.model_copy(update={"organization_id": stranger.organization_id}), settings.session_key)

    assert world.refresh(mixed).status_code == 401
    assert world.here.with_token(mixed).post("/api/auth/logout").status_code == 204
    assert world.status(world.token) == {200}


def test_sessions_that_ran_out_are_forgotten_at_the_next_sign_in(world: World, database: Database) -> None:
    world.clock.advance(timedelta(hours=9))
    a_session(database, world.customer, now=world.clock())

    with transactions.read(database, world.customer.organization_id) as connection:
        assert connection.scalar(select(func.count()).select_from(session_table)) == 1


@contextmanager
def statements(database: Database) -> Generator[list[str]]:
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:  # noqa: ANN401 - SQLAlchemy's signature
        seen.append(statement)

    engine = database.engine(Role.APP)
    event.listen(engine, "before_cursor_execute", note)
    yield seen
    event.remove(engine, "before_cursor_execute", note)


def test_a_read_asks_the_database_three_times(world: World, database: Database) -> None:
    """Become the organization and read-only; does the session stand; what was asked for."""
    with statements(database) as seen:
        assert world.here.with_token(world.token).get("/api/stations").status_code == 200

    assert len(seen) == 3


def test_the_cookie_is_refreshed_too(world: World) -> None:
    cookie = {"Cookie": f"altaviz_session={world.token}", "Origin": BASE_URL}
    answer = replace(world.here, headers=cookie).post("/api/auth/refresh")

    assert SimpleCookie(answer.headers["Set-Cookie"])["altaviz_session"].value == answer.json()["token"] != world.token
