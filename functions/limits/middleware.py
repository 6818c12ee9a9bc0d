"""The layer that counts every request by its address, and tells each client what is left of its allowances."""

from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from functions.limits.allowance import Verdict, headers
from functions.limits.limits import Limits, refuse
from functions.problems import PREFIX, problem

UNCOUNTED: Final = frozenset({f"{PREFIX}/health", f"{PREFIX}/health/ready", f"{PREFIX}/stripe/webhook"})
"""Probes: one that is refused would have a healthy instance taken away, and all of them come from one address.

So do Stripe's events, hundreds at a time; what is not signed is refused before it costs more than counting it would."""
VERDICTS: Final = "verdicts"


def note(scope: Scope, verdict: Verdict) -> None:
    """Add an allowance to what the answer tells."""
    scope["state"][VERDICTS].append(verdict)


class LimitAddresses:
    """Wraps an ASGI application; `scope["client"]` is who connected, and no header of the request is asked."""

    def __init__(self, app: ASGIApp, *, limits: Limits, clock: Callable[[], datetime]) -> None:
        self.app, self.limits, self.clock = app, limits, clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it."""
        if scope["type"] != "http" or scope["path"] in UNCOUNTED:
            await self.app(scope, receive, send)
            return
        verdicts: list[Verdict] = []
        scope["state"][VERDICTS] = verdicts

        async def send_with_allowances(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(headers(verdicts))
            await send(message)

        client: tuple[str, int] | None = scope.get("client")
        verdict = await self.limits.count_address(client[0] if client else None, now=self.clock())
        note(scope, verdict)
        if verdict.admitted:
            await self.app(scope, receive, send_with_allowances)
            return
        error = refuse(verdict)
        retry = {"Retry-After": str(error.retry_after)}
        answer = problem(scope, HTTPStatus.TOO_MANY_REQUESTS, str(error), headers=retry)
        await answer(scope, receive, send_with_allowances)
