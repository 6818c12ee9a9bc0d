"""Measures reads of the API at 1,000 machines and a million windows: `python -m benchmarks.api` prints lines of JSON.

One process and one caller, over an embedded PostgreSQL of its own: through uvicorn on loopback, and through the
functions as the host calls them. Beside each stands a peer of the same run: the statements that the request sends, sent
by psycopg alone. Kept answers are not used, but where that is said.
"""

import asyncio
import http.client
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any, Final

import uvicorn
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import event

from functions.access import sessions
from functions.api import create_app
from functions.application import settle
from functions.host import function_app
from functions.local import listen
from functions.settings import AccessSettings, EdgeSettings, Settings
from shared_code.database.engines import Database, Role
from shared_code.database.home import open_database
from shared_code.settings import DatabaseSettings, read
from tests.factories import large_fleet
from tests.factories.fleet import a_customer, a_session
from tests.seams.functions_host import FunctionsHost

KEY: Final = "a key for this run, which guards nothing"
REPEATS: Final = 200
OK, NOT_MODIFIED = 200, 304

Call = Callable[[str, dict[str, str]], tuple[int, bytes, str]]


class _Ticking:
    """A clock that moves on by a tenth of a second whenever it is read, so that no plan's quota runs out."""

    def __init__(self, start: datetime) -> None:
        self._now = start

    def __call__(self) -> datetime:
        self._now += timedelta(seconds=0.1)
        return self._now


class Nothing:
    """Keeps no answers."""

    def get(self, key: str) -> None:
        """Have nothing."""
        del key

    def put(self, key: str, body: bytes) -> None:
        """Keep nothing."""
        del key, body


def main() -> None:
    """Fill a database and measure each read over it."""
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    month = f"{now - timedelta(days=30):%Y-%m-%dT%H:%M:%SZ}"
    reads = {
        "fleet of 1,000 machines": "/api/fleet",
        "page of 50 machines": "/api/compressors",
        "page of 50 machines, 3 fields": "/api/compressors?fields=compressor_id,health,newest_window_end",
        "page of 50 stations": "/api/stations",
        "one machine": "/api/compressors/COMP-0500",
        "page of 50 readings": "/api/compressors/COMP-0500/readings",
        "month of readings (720)": f"/api/compressors/COMP-0500/readings?start={month}&limit=1000",
        "month of readings, SI": f"/api/compressors/COMP-0500/readings?start={month}&limit=1000&units=si",
        "month of readings, 3 fields": f"/api/compressors/COMP-0500/readings?start={month}&limit=1000"
        "&fields=agg_timestamp,vibration_mean,vibration_max",
        "month as CSV": f"/api/compressors/COMP-0500/readings/export?start={month}",
        "month as Parquet": f"/api/compressors/COMP-0500/readings/export?start={month}&format=parquet",
    }
    with tempfile.TemporaryDirectory(prefix="altaviz-api-") as folder:
        database = open_database(read(DatabaseSettings, data_dir=Path(folder, "postgresql")), now=now)
        try:
            customer = a_customer(database)
            large_fleet.fill(database, customer.organization_id, end=now)
            edge = EdgeSettings(altaviz_requests_per_minute=1_000_000)
            settings = Settings(AccessSettings(session_secret=SecretStr(KEY)), database.settings, KEY, edge=edge)
            token = sessions.sign(a_session(database, customer, now=datetime.now(UTC)), KEY)
            headers = {"Authorization": f"Bearer {token}"}
            _measure(database, settings, reads, headers)
        finally:
            database.dispose()


def _measure(database: Database, settings: Settings, reads: dict[str, str], headers: dict[str, str]) -> None:
    app = create_app(settings, lambda: database, clock=_Ticking(datetime.now(UTC)))
    keeping = app.state.application
    app.state.application = replace(keeping, answers=Nothing())
    settle()
    with listen("127.0.0.1", 0) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_keep_alive=600))
        thread = Thread(target=server.run, args=([listener],))
        thread.start()
        over_http = _over_http(listener.getsockname()[1])
        with asyncio.Runner() as runner:
            functions = _through_functions(app, runner.run)
            try:
                for name, path in reads.items():
                    peer = _peer(database, _statements(database, partial(over_http, path, headers)))
                    measured = {
                        "uvicorn_ms": _times(partial(over_http, path, headers)),
                        "functions_ms": _times(partial(functions, path, headers)),
                        "psycopg_alone_ms": _times(peer),
                    }
                    ratio = measured["uvicorn_ms"]["p50"] / measured["psycopg_alone_ms"]["p50"]
                    _print(name, {**measured, "ratio": round(ratio, 1)})
                app.state.application = keeping
                fleet = reads["fleet of 1,000 machines"]
                _print("fleet, kept", {"uvicorn_ms": _times(partial(over_http, fleet, headers))})
                held = headers | {"If-None-Match": over_http(fleet, headers)[2]}
                _print("fleet, 304", {"uvicorn_ms": _times(partial(over_http, fleet, held), NOT_MODIFIED)})
            finally:
                server.should_exit = True
                thread.join()


def _over_http(port: int) -> Call:
    connection = http.client.HTTPConnection("127.0.0.1", port)

    def call(path: str, headers: dict[str, str]) -> tuple[int, bytes, str]:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers["ETag"] or ""

    return call


def _through_functions(app: FastAPI, run: Callable[[Coroutine[Any, Any, Any]], Any]) -> Call:
    host = FunctionsHost(function_app(app))

    def call(path: str, headers: dict[str, str]) -> tuple[int, bytes, str]:
        response = run(host.answer("GET", path, headers=headers)).response
        return response.status_code, response.get_body(), response.headers["ETag"]

    return call


def _statements(database: Database, ask: Callable[[], object]) -> list[tuple[str, Any]]:
    """Return what a request sends to the database."""
    sent: list[tuple[str, Any]] = []

    def note(_c: object, _k: object, statement: str, parameters: object, _x: object, _m: object) -> None:
        sent.append((statement, parameters))

    engine = database.engine(Role.APP)
    event.listen(engine, "before_cursor_execute", note)
    try:
        ask()
    finally:
        event.remove(engine, "before_cursor_execute", note)
    return sent


def _peer(database: Database, statements: list[tuple[str, Any]]) -> Callable[[], tuple[int, bytes, str]]:
    borrowed = database.engine(Role.APP).raw_connection()
    connection: Any = borrowed.driver_connection

    def run() -> tuple[int, bytes, str]:
        with connection.cursor() as cursor:
            for statement, parameters in statements:
                cursor.execute(statement, parameters)
                cursor.fetchall()
        borrowed.rollback()
        return OK, b"", ""

    return run


def _times(call: Callable[[], tuple[int, bytes, str]], expected: int = OK) -> dict[str, float]:
    milliseconds: list[float] = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        status, body, _ = call()
        milliseconds.append((time.perf_counter() - began) * 1000)
        if status != expected:
            raise SystemExit(f"{status} {body[:200]!r}")
    centiles = statistics.quantiles(milliseconds[10:], n=100)
    return {"p50": round(centiles[49], 2), "p99": round(centiles[98], 2)}


def _print(name: str, measured: dict[str, Any]) -> None:
    print(json.dumps({"read": name, **measured, "load": round(os.getloadavg()[0], 1)}), flush=True)


if __name__ == "__main__":
    main()
