"""The API and its timers on one's own machine: uvicorn, a scheduler, and the database that the settings name."""

# APScheduler carries no types:
# pyright: reportUnknownMemberType=false, reportMissingTypeStubs=false

import os
import signal
import socket
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from datetime import UTC
from types import FrameType
from typing import Final, NoReturn

import uvicorn
from apscheduler.schedulers.background import BackgroundScheduler

from functions import schedules
from functions.api import create_app
from functions.application import settle
from functions.clock import utc_clock
from functions.schedules import Timer
from functions.settings import Settings
from functions.timers import timers
from shared_code.database.home import open_database

DEMO_EMAILS: Final = ("demo@altaviz.dev", "rival@altaviz.dev")
CUT_OUT: Final = r"""sed 's/.*"token":"\([^"]*\)".*/\1/'"""


class PortInUseError(Exception):
    """Somebody else listens there."""


def listen(host: str, port: int) -> socket.socket:
    """Take a port, any free one for 0.

    Raises:
        PortInUseError: it is not to be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        raise PortInUseError(f"cannot listen on {host} port {port}: {reason}; try another --port") from None
    # Asyncio sets this only on sockets that name their protocol; without it an answer's body waits 40 ms for the
    # client to acknowledge its head.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def serve(settings: Settings, listener: socket.socket) -> None:
    """Serve the API and fire its timers until the process is told to end.

    Then the database is closed, which stops an embedded server.
    """
    database = open_database(settings.database, now=utc_clock())
    try:
        # Uvicorn ends in order on both signals, then raises them again: as an exception the second time.
        signal.signal(signal.SIGTERM, _end)
        print(welcome(listener, settings), flush=True)  # noqa: T201 - what a person at the terminal waits for
        app = create_app(settings, lambda: database)
        settle()
        with firing(timers(settings, lambda: database, clock=utc_clock)):
            uvicorn.Server(uvicorn.Config(app, server_header=False, proxy_headers=False)).run(sockets=[listener])
    except KeyboardInterrupt:
        pass
    finally:
        database.dispose()


@contextmanager
def firing(timers: Iterable[Timer]) -> Generator[None]:
    """Fire timers while the block lasts; what runs at its end runs to its own."""
    # As the Functions host does: one run at a time, and one for all that were missed.
    scheduler = BackgroundScheduler(
        timezone=UTC, job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
    )
    for timer in timers:
        scheduler.add_job(timer.run, schedules.trigger(timer.schedule), id=timer.name)
    scheduler.start()
    try:
        yield
    finally:
        scheduler.shutdown()


def welcome(listener: socket.socket, settings: Settings) -> str:
    """Return what to open next, and how to sign in where development credentials allow it."""
    host, port = listener.getsockname()[:2]
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    lines = [
        f"Altaviz listens on {url} (Ctrl-C ends it)",
        f"  what there is   {url}/api/docs",
        f"  for programs    {url}/api/openapi.json",
        f"  can it work     {url}/api/health/ready",
    ]
    access = settings.access
    if access.dev_credentials_enabled and access.dev_credentials_allow_list:
        email = min(access.dev_credentials_allow_list, key=lambda each: (each not in DEMO_EMAILS, each))
        body = f'{{"email":"{email}"}}'
        lines += [
            "Sign in and list compressors:",
            f"  TOKEN=$(curl -s {url}/api/auth/dev -H 'Content-Type: application/json' -d '{body}' | {CUT_OUT})",
            f'  curl -s {url}/api/compressors -H "Authorization: Bearer $TOKEN"',
        ]
    return "\n".join(lines)


def _end(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
