"""The outermost layers: requests get an id and a limit, answers their security headers, and failures an answer."""

import asyncio
import logging
from http import HTTPStatus
from typing import Any, Final
from uuid import uuid4

from anyio import CancelScope
from fastapi import HTTPException
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from functions.problems import problem

SECURITY_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
MAX_BODY_BYTES: Final = 1_048_576
LARGER_BODY: Final = "x-max-body-bytes"
"""An operation that takes a larger body says so under this name in its part of the OpenAPI document."""
logger = logging.getLogger(__name__)


class Orderly:
    """Wraps an ASGI application; a request that its server cancels ends in order before the cancellation goes on.

    The server's cancellation strikes wherever the request waits, also for a thread that is just opening a transaction:
    the transaction would be open, and nobody there to end it. So the request runs in a task of its own, which is told
    to stop in a way that waits for threads at work.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        stop = CancelScope()

        async def serve() -> None:
            with stop:
                await self.app(scope, receive, send)

        serving = asyncio.create_task(serve())
        try:
            await asyncio.shield(serving)
        except asyncio.CancelledError:
            stop.cancel()
            await asyncio.shield(serving)
            raise


class Envelope:
    """Wraps an ASGI application; under Azure Functions the request's id is the invocation's."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id: str = scope.get("azure_functions.invocation_id") or str(uuid4())
        scope["state"] = {**(scope.get("state") or {}), "request_id": request_id}

        async def send_dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                _dress(MutableHeaders(scope=message), request_id)
            await send(message)

        await self.app(scope, _limited(receive, scope), send_dressed)


class Failures:
    """Wraps an ASGI application; a failure that nobody foresaw is logged, and its answer says nothing but its id."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def send_noting(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, send_noting)
        except Exception:
            logger.exception("request %s failed", scope["state"]["request_id"])
            if started:
                raise  # half an answer is out; only breaking off can tell the client
            detail = "something went wrong here; quote the requestId when you report it"
            answer = problem(scope, HTTPStatus.INTERNAL_SERVER_ERROR, detail)
            await answer(scope, receive, send)


def _limited(receive: Receive, scope: Scope) -> Receive:
    received = 0

    async def receive_limited() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        limit = _body_limit(scope)
        if received > limit:
            too_large = f"a request's body may have {limit} bytes here"
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, too_large)
        return message

    return receive_limited


def _body_limit(scope: Scope) -> int:
    """Return how many bytes the operation takes that was routed to; what the client writes is not asked."""
    described: dict[str, Any] = getattr(scope.get("route"), "openapi_extra", None) or {}
    return described.get(LARGER_BODY, MAX_BODY_BYTES)


def _dress(headers: MutableHeaders, request_id: str) -> None:
    headers["X-Request-Id"] = request_id
    headers.setdefault("Cache-Control", "no-store")
    for name, value in SECURITY_HEADERS.items():
        headers.setdefault(name, value)
