"""The Azure Functions host: every path operation and every timer becomes a function of its own.

Each HTTP-triggered function hands its request to the whole application, which routes it again. What the host adds is
that operations people see every operation by its name. Nothing here relies on a lifespan: the host starts one never or
several times, and ends none.
"""

import logging
import re
import sys
from collections.abc import Awaitable, Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote_to_bytes, urlsplit

import azure.functions as func  # noqa: TID251 - this is the module that meets the Functions host
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.types import Receive, Scope, Send

from functions.api import create_app
from functions.application import OpenOnce, settle
from functions.clock import utc_clock
from functions.schedules import Timer
from functions.settings import read_settings
from functions.timers import timers
from shared_code.database.home import open_database
from shared_code.errors import SettingsError

FALLBACK: Final = "zzz_everything_else"
"""Sorts after every operation, so that it gets what they leave: 404, 405, preflight."""

Handler = Callable[[func.HttpRequest, func.Context], Awaitable[func.HttpResponse]]

_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
_PARAMETER: Final = re.compile(r"\{(?P<name>\w+)(?::(?P<convertor>\w+))?\}")
_RESERVED: Final = ("admin", "runtime")

_invocation: ContextVar[func.Context | None] = ContextVar("invocation", default=None)


@dataclass(frozen=True, slots=True)
class Operation:
    """A path operation as the host knows it: the function's name, its route template and its methods."""

    name: str
    route: str
    methods: tuple[str, ...]


def start() -> func.FunctionApp:
    """Return the function app of the deployed program; no connection is opened before a request needs it.

    Raises:
        SettingsError: names every setting to mend. It is written out too, for the host shows no import error.
    """
    try:
        settings = read_settings()
    except SettingsError as wrong:
        sys.stderr.write(f"Altaviz cannot start: {wrong}\n")
        raise
    keep_invocation_ids()
    database = OpenOnce(lambda: open_database(settings.database, now=utc_clock()))
    app = function_app(create_app(settings, database), timers(settings, database, clock=utc_clock))
    settle()
    return app


def function_app(app: FastAPI, timers: Iterable[Timer] = ()) -> func.FunctionApp:
    """Return a function app with a function for each operation of the API and each timer, and one for whatever is left.

    Raises:
        ValueError: the host could not serve these operations as FastAPI does; says why.
    """
    host = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
    found = operations(app)
    for operation in found:
        _add(host, operation, _handler(app))
    for timer in timers:
        if timer.name in {operation.name for operation in found}:
            raise ValueError(f"{timer.name}: is an operation and a timer")
        _add_timer(host, timer)
    everything = tuple(method.value for method in func.HttpMethod)
    _add(host, Operation(FALLBACK, "{*path}", everything), _handler(app))
    return host


def operations(app: FastAPI) -> list[Operation]:
    """Return the operations of the API in order of registration, checked against the host's rules."""
    found = [
        Operation(
            route.operation_id or route.name or "", host_route(route.path or ""), tuple(sorted(route.methods or ()))
        )
        for route in iter_route_contexts(app.routes)
        if isinstance(route.original_route, APIRoute)
    ]
    refuse_what_the_host_cannot_serve(found)
    return found


def host_route(path: str) -> str:
    """Return FastAPI's path as the host writes it: `/a/{n:int}/{rest:path}` is `a/{n}/{*rest}`, the root is `/`."""

    def rewrite(parameter: re.Match[str]) -> str:
        star = "*" if parameter["convertor"] == "path" else ""
        return f"{{{star}{parameter['name']}}}"

    return _PARAMETER.sub(rewrite, path.lstrip("/")) or "/"


def refuse_what_the_host_cannot_serve(found: list[Operation]) -> None:
    """Check names and routes.

    Raises:
        ValueError: a name or route is not allowed, or the host would choose another operation than FastAPI.
    """
    for operation in found:
        if not _NAME.fullmatch(operation.name):
            raise ValueError(f"{operation.name}: a function's name is lower-case letters, digits and _")
        if operation.name >= FALLBACK:
            raise ValueError(f"{operation.name}: sorts after {FALLBACK}, which would take its requests")
        if operation.route.split("/")[0] in _RESERVED:
            raise ValueError(f"{operation.name}: the host keeps {operation.route} for itself")
    names = [operation.name for operation in found]
    if len(set(names)) < len(names):
        raise ValueError(f"function names are not unique: {sorted(names)}")
    for later, operation in enumerate(found):
        for earlier in found[:later]:
            _refuse_order(earlier, operation)


def _refuse_order(first: Operation, second: Operation) -> None:
    """The host asks functions in order of name, FastAPI in order of registration; where both match, they must agree."""
    if not (set(first.methods) & set(second.methods) and _may_both_match(first.route, second.route)):
        return
    # Whether the host puts `_` before letters or after them is not documented: hold under either.
    if not (first.name < second.name and first.name.upper() < second.name.upper()):
        raise ValueError(
            f"{second.name} would take requests from {first.name}: rename so that {first.name} sorts first"
        )


def _may_both_match(one: str, other: str) -> bool:
    ours, theirs = one.split("/"), other.split("/")
    for left, right in zip(ours, theirs, strict=False):
        if left.startswith("{*") or right.startswith("{*"):
            return True
        if not (left.startswith("{") or right.startswith("{") or left.lower() == right.lower()):
            return False
    return len(ours) == len(theirs)


def _add(host: func.FunctionApp, operation: Operation, handler: Handler) -> None:
    """Add one function."""
    triggered = host.route(route=operation.route, methods=list(operation.methods))(handler)
    host.function_name(operation.name)(triggered)


def _add_timer(host: func.FunctionApp, timer: Timer) -> None:
    """Add one function. The host fires it on one instance, or, where that one's lease is lost, on two."""

    def handle(timer_request: func.TimerRequest, context: func.Context) -> None:
        del timer_request  # the slot comes of the clock, which the host's note of being late would not change
        _invocation.set(context)
        timer.run()

    # A start is no reason to run: instances start whenever there is more to do.
    triggered = host.timer_trigger(arg_name="timer_request", schedule=timer.schedule, run_on_startup=False)(handle)
    host.function_name(timer.name)(triggered)


def _handler(app: FastAPI) -> Handler:
    middleware = func.AsgiMiddleware(_behind_the_front_end(app))

    async def handle(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        _invocation.set(context)
        return await middleware.handle_async(_decodable(req), context)

    return handle


def _behind_the_front_end(app: FastAPI) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    async def with_client(scope: Scope, receive: Receive, send: Send) -> None:
        scope["client"] = client_address(scope)
        await app(scope, receive, send)

    return with_client


def client_address(scope: Scope) -> tuple[str, int] | None:
    """Return who connected to Azure's front end: the last hop it names; those before are the client's own claim."""
    forwarded = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
    last = forwarded[-1].rpartition(",")[2].strip() if forwarded else ""
    if not last:
        return None
    bracketed = re.fullmatch(r"\[(?P<host>[^\]]+)\](?::(?P<port>\d+))?", last)
    if bracketed:
        return bracketed["host"], int(bracketed["port"] or 0)
    host, _, port = last.partition(":")
    # An IPv6 address without brackets has no port: all its colons are its own.
    return (host, int(port)) if port.isdecimal() else (last, 0)


def _decodable(request: func.HttpRequest) -> func.HttpRequest:
    """Return the request with a path that the SDK can decode: it raises where the bytes are not UTF-8."""
    parts = urlsplit(request.url)
    try:
        unquote_to_bytes(parts.path).decode()
    except UnicodeDecodeError:
        url = parts._replace(path=parts.path.replace("%", "%25")).geturl()
        return func.HttpRequest(request.method, url, headers=request.headers, body=request.get_body())
    return request


def keep_invocation_ids() -> None:
    """Let log records made in worker threads keep the invocation they belong to.

    The host's log handler looks for the id on the task or on the thread; a thread of AnyIO's has neither, but it has
    the task's context variables.
    """
    make = logging.getLogRecordFactory()

    def factory(*args: object, **kwargs: object) -> logging.LogRecord:
        context = _invocation.get()
        if context is not None:
            thread: Any = context.thread_local_storage
            thread.invocation_id = context.invocation_id
        return make(*args, **kwargs)

    logging.setLogRecordFactory(factory)
