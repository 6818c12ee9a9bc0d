"""Answers that the client has already (RFC 9110, section 13): the tag of an answer comes from what can change it.

That is the organization's version, the caller's role and plan, the operation, what was asked of it, and the program
with its configuration. A request whose tag is known is answered before any work is done. Operations that are not listed
here may depend on more, such as the time; their tag is made of the answer itself, so that they save the way and not the
work.
All tags are weak: they say that two answers mean the same, and nothing about how they were packed on the way.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial
from http import HTTPStatus
from typing import Any, Final

from anyio import to_thread
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from functions.kept_answers import KeptAnswers
from shared_code.settings import ROOT

VERSIONED: Final = frozenset(
    {
        "describe_alert_rules",
        "export_readings",
        "get_alert",
        "get_compressor",
        "get_fleet",
        "get_prediction",
        "list_compressors",
        "list_data_quality",
        "list_maintenance",
        "list_predictions",
        "list_readings",
        "list_stations",
    }
)
"""Operations whose answer depends on nothing but what the tag is made of: not on the person, and not on the time."""
KEPT: Final = frozenset({"get_compressor", "get_fleet", "list_compressors"})
"""Those of them whose answers are kept, because many ask them alike: the fleet, and the latest of its machines."""
REVALIDATED: Final = "private, no-cache"
VARIES_WITH: Final = "Authorization, Cookie"
PROGRAM: Final = ("functions", "shared_code", "config")

_ANSWER: Final = "answer"
_TAG: Final = re.compile(r'(?:W/)?("[^"]*")')


@dataclass(frozen=True, slots=True)
class Expected:
    """What is known of an answer before it is made; without a tag that comes of the answer itself."""

    tag: str | None = None
    key: str | None = None
    """Where to keep it."""


class AnswerKnownError(Exception):
    """There is nothing to do: the client has the answer, or here is the body of one that was kept."""

    def __init__(self, body: bytes | None) -> None:
        super().__init__("the answer is known")
        self.body = body


async def expect(request: Request, operation_id: str, kept: KeptAnswers, standpoint: Mapping[str, object]) -> None:
    """Note of a request which answer it would get, once it is known that the caller may have it.

    Args:
        request: one that reads.
        operation_id: what it asks for.
        kept: where answers are kept.
        standpoint: who asks, as far as answers depend on it: `organization_id`, its `version`, role and plan.

    Raises:
        AnswerKnownError: that answer is with the client, or kept.
    """
    state: dict[str, Any] = request.scope["state"]
    state[_ANSWER] = Expected()
    if operation_id not in VERSIONED:
        return
    asked = [request.scope["path"], request.scope["query_string"].decode("latin-1")]
    parts = [program(), operation_id, *asked, {name: str(value) for name, value in standpoint.items()}]
    tag = _tag(json.dumps(parts).encode())
    key = f"altaviz:{standpoint['organization_id']}:{tag}" if operation_id in KEPT else None
    state[_ANSWER] = Expected(tag, key)
    if _is_held(request.headers, tag):
        raise AnswerKnownError(None)
    if key is not None and (body := await to_thread.run_sync(kept.get, key)) is not None:
        state[_ANSWER] = Expected(tag)
        raise AnswerKnownError(body)


async def known(_: Request, error: Exception) -> Response:
    """Answer with what is known."""
    if not isinstance(error, AnswerKnownError):
        raise error
    if error.body is None:
        return Response(status_code=HTTPStatus.NOT_MODIFIED)
    return Response(error.body, media_type="application/json")


@cache
def program() -> str:
    """Return what tells this program and its configuration from every other: instances of two may run side by side."""
    digest = hashlib.sha256()
    for folder in PROGRAM:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in {".py", ".yaml"}:
                digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


class Revalidation:
    """Wraps an ASGI application: answers to expected requests get their tag, and go out empty where it is held."""

    def __init__(self, app: ASGIApp, kept: KeptAnswers) -> None:
        self.app = app
        self.kept = kept

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        start: Message | None = None
        chunks: list[bytes] = []

        async def send_tagged(message: Message) -> None:
            nonlocal start
            expected: Expected | None = scope["state"].get(_ANSWER)
            if (
                message["type"] == "http.response.start"
                and expected
                and message["status"] in {HTTPStatus.OK, HTTPStatus.NOT_MODIFIED}
            ):
                start = message
            elif start is None or expected is None:
                await send(message)
            else:
                chunks.append(message.get("body", b""))
                if not message.get("more_body", False):
                    await self._finish(scope, expected, start, b"".join(chunks), send)

        await self.app(scope, receive, send_tagged if scope["type"] == "http" else send)

    async def _finish(self, scope: Scope, expected: Expected, start: Message, body: bytes, send: Send) -> None:
        headers = MutableHeaders(scope=start)
        tag = expected.tag or _tag(body)
        headers["ETag"] = tag
        headers["Cache-Control"] = REVALIDATED
        headers.add_vary_header(VARIES_WITH)
        made = start["status"] == HTTPStatus.OK
        if made and _is_held(Headers(scope=scope), tag):
            start["status"] = HTTPStatus.NOT_MODIFIED.value
            del headers["Content-Type"], headers["Content-Length"]
            body = b""
        await send(start)
        await send({"type": "http.response.body", "body": body})
        if body and expected.key is not None:
            await to_thread.run_sync(partial(self.kept.put, expected.key, body))


def _tag(content: bytes) -> str:
    return f'W/"{hashlib.sha256(content).hexdigest()[:32]}"'


def _is_held(headers: Headers, tag: str) -> bool:
    """Return whether If-None-Match names the tag, by weak comparison; `*` names none before there is an answer."""
    held = ",".join(headers.getlist("If-None-Match"))
    return tag.removeprefix("W/") in _TAG.findall(held)
