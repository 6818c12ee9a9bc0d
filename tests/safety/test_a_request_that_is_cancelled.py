"""A request is cancelled at each of its awaits: the next user of the connection sees nothing of it.

A client that hangs up, or a host that stops waiting, cancels the task. The pool has one connection here, so whoever
comes next gets the one that the cancelled request had.
"""

import asyncio
import time
import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import func, select, text

from functions.access import sessions
from functions.access.keys import Scope
from functions.api import create_app
from functions.settings import Settings
from shared_code.database import transactions
from shared_code.database.engines import Database, Role
from shared_code.database.tables import audit_log, idempotent_requests, station_locations
from tests.factories.fleet import Customer, a_customer, a_key, a_session, a_station
from tests.functions.conftest import KEY, NOW
from tests.seams.api_client import BASE_URL, ApiClient
from tests.shared_code.database.rows import TENANT_TABLES

PATIENCE = 5.0
SETTINGS = ("organization_id", "identity_issuer", "identity_object", "api_key_hash", "sign_in_state_hash")
Send = Callable[[httpx.AsyncClient, dict[str, str]], Coroutine[Any, Any, httpx.Response]]


class Cancelling:
    """Makes tasks whose waits are counted together; at the `stop`th, the request's own task is cancelled."""

    def __init__(self, stop: int) -> None:
        self.waits, self.stop = 0, stop
        self.request: asyncio.Task[Any] | None = None

    def __call__(self, loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> asyncio.Task[Any]:  # noqa: ANN401 - asyncio's
        task = asyncio.Task(self._counted(work), loop=loop, **options)
        self.request = self.request or task
        return task

    async def _counted(self, work: Coroutine[Any, Any, Any]) -> object:
        return await self._step(work)

    @types.coroutine
    def _step(self, work: Coroutine[Any, Any, Any]) -> Generator[Any, Any, object]:
        sent, thrown = None, None
        while True:
            try:
                waited = work.throw(thrown) if thrown else work.send(sent)
            except StopIteration as done:
                return done.value
            self.waits += 1
            if self.waits == self.stop and self.request is not None:
                asyncio.get_running_loop().call_soon(self.request.cancel)
            sent, thrown = None, None
            try:
                sent = yield waited
            except BaseException as raised:  # noqa: BLE001 - whatever it is goes on to the work
                thrown = raised


def cancelled_at(stop: int, app: Any, headers: dict[str, str], send: Send) -> bool:  # noqa: ANN401 - FastAPI
    """Send a request and cancel it at its `stop`th wait; false where it has fewer."""

    async def request() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url=BASE_URL) as client:
            return await send(client, headers)

    async def run() -> bool:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(Cancelling(stop))
        try:
            await loop.create_task(request())
        except asyncio.CancelledError:
            return True
        finally:
            loop.set_task_factory(None)
        return False

    return asyncio.run(run())


async def read(client: httpx.AsyncClient, headers: dict[str, str]) -> httpx.Response:
    return await client.get("/api/stations", headers=headers)


async def write(client: httpx.AsyncClient, headers: dict[str, str]) -> httpx.Response:
    body = {"station_id": f"S-{uuid4()}", "station_name": "S", "latitude": 0, "longitude": 0, "timezone": "UTC"}
    return await client.post("/api/stations", json=body, headers=headers | {"Idempotency-Key": str(uuid4())})


async def refresh(client: httpx.AsyncClient, headers: dict[str, str]) -> httpx.Response:
    return await client.post("/api/auth/refresh", headers=headers)


async def sign_in(client: httpx.AsyncClient, headers: dict[str, str]) -> httpx.Response:
    del headers
    return await client.post("/api/auth/dev", json={"email": "demo@altaviz.dev"})


def idle_in_transaction(database: Database) -> int:
    asked = text("SELECT count(*) FROM pg_stat_activity WHERE usename = :app AND state LIKE 'idle in transaction%'")
    with transactions.owner(database) as connection:
        return connection.scalar(asked, {"app": Role.APP}) or 0


def assert_nothing_is_left(database: Database) -> None:
    # A thread that was at work is not stopped; it ends what it does, and then there is nobody to hand it to.
    deadline = time.monotonic() + PATIENCE
    while idle_in_transaction(database) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert idle_in_transaction(database) == 0
    with database.engine(Role.APP).connect() as following:
        carried = [
            following.scalar(text("SELECT current_setting(:name, true)"), {"name": f"app.{n}"}) for n in SETTINGS
        ]
        assert not any(carried)
        assert following.scalar(text("SHOW transaction_read_only")) == "off"
        assert sum(following.scalar(select(func.count()).select_from(table)) or 0 for table in TENANT_TABLES) == 0


@pytest.mark.parametrize("send", [read, write, refresh, sign_in])
@pytest.mark.parametrize("who", ["person", "machine"])
def test_the_next_user_of_the_connection_sees_nothing(
    single: Database, settings: Settings, send: Send, who: str
) -> None:
    app = create_app(settings, lambda: single, clock=lambda: NOW)
    customer = a_customer(single)
    a_station(single, customer, "OURS")
    token = a_key(single, customer, Scope.READ, now=NOW) if who == "machine" else _token(single, customer)
    stranger = ApiClient(app).with_token(_token(single, a_customer(single)))
    stop = 0
    while cancelled_at(stop := stop + 1, app, {"Authorization": f"Bearer {token}"}, send):
        assert_nothing_is_left(single)
        assert stranger.get("/api/stations").json() == {"items": [], "next": None}

    assert stop > 1  # it was cancelled at one place at least: what is refused at once has no more
    assert_whole_or_not_at_all(single, customer)


def assert_whole_or_not_at_all(database: Database, customer: Customer) -> None:
    """A station, its entry in the audit log and the note of its key are there together or not at all."""
    with transactions.read(database, customer.organization_id) as connection:
        made, noted, kept = (
            connection.scalar(select(func.count()).select_from(table).where(*only)) or 0
            for table, only in (
                (station_locations, (station_locations.c.station_id != "OURS",)),
                (audit_log, (audit_log.c.action == "station.created",)),
                (idempotent_requests, (idempotent_requests.c.answer.is_not(None),)),
            )
        )
    assert made == noted == kept


def _token(database: Database, customer: Customer) -> str:
    return sessions.sign(a_session(database, customer, now=NOW), KEY)
