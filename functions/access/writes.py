"""Operations that change something: each takes an Idempotency-Key, here and nowhere else.

An operation asks for `WriteConnection` and stands on a router whose `route_class` is `WriteRoute`; the application does
not start where it has one without the other.
"""

import hashlib
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, Final

from anyio import CapacityLimiter, to_thread
from fastapi import Depends, Header, Request, Response
from fastapi.routing import APIRoute

from functions.access import replays
from functions.access.caller import CurrentlyEntered
from functions.access.replays import Answer, Pending, ReplayedError
from functions.access.sessions import Session
from functions.application import CurrentApplication, Now
from shared_code.database.transactions import Write

KEPT_HEADERS: Final = ("content-type", "etag", "location")
PENDING: Final = "pending"

IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="Chosen by the client for this request, best a UUID. For 24 hours the same request under the same"
        " key has the same answer and no other effect; another request under it is a 422.",
        examples=["6f1c2f0e-5a57-4a53-9c1b-0f1f8a3d3b52"],
    ),
]


async def fingerprint(request: Request) -> str | None:
    """Return what tells one request from another, for those that come with a key."""
    if "Idempotency-Key" not in request.headers:
        return None
    asked = f"{request.method} {request.scope['path']}?".encode() + request.scope["query_string"]
    return hashlib.sha256(asked + b"\0" + await request.body()).hexdigest()


def open_write(
    request: Request,
    entered: CurrentlyEntered,
    application: CurrentApplication,
    now: Now,
    told_by: Annotated[str | None, Depends(fingerprint)],
    idempotency_key: IdempotencyKey = None,
) -> Write:
    """Return the request's transaction, to write in; under a key, only what was not written under it before.

    Raises:
        ReplayedError: it was; `WriteRoute` gives the answer of that time.
        InvalidError: the key came with another request.
    """
    connection, caller = Write(entered.connection), entered.caller
    if idempotency_key is not None and told_by is not None:
        request.scope["state"][PENDING] = replays.announce(
            connection,
            caller.organization_id,
            caller=caller.sub if isinstance(caller, Session) else caller.id,
            key=idempotency_key,
            fingerprint=told_by,
            session_key=application.settings.session_key,
            now=now,
        )
    return connection


WriteConnection = Annotated[Write, Depends(open_write)]


class WriteRoute(APIRoute):
    """Keeps what a request with a key was told, before its transaction ends, and tells it to those that repeat it."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what serves a request; it returns while the request's transaction is still open."""
        handle = super().get_route_handler()

        async def handle_once(request: Request) -> Response:
            try:
                response = await handle(request)
            except ReplayedError as known:
                answer = known.answer
                return Response(answer.body, answer.status, answer.headers | {"Idempotency-Replayed": "true"})
            pending: Pending | None = request.scope["state"].get(PENDING)
            if pending is not None:
                headers = {name: response.headers[name] for name in KEPT_HEADERS if name in response.headers}
                answer = Answer(response.status_code, headers, bytes(response.body))
                # A thread of its own: others may wait for the connection that this one is about to give back.
                await to_thread.run_sync(replays.keep, pending, answer, limiter=CapacityLimiter(1))
            return response

        return handle_once
