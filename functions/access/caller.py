"""Who sent this request, and the transaction that it is served in.

A person sends a session, in a header or a cookie; a machine sends its key. The transaction is open for the caller's
organization and ends before the answer is sent: `scope="function"` makes a commit that fails an error of this request
instead of a lie told after a 200. Requests beyond `max_concurrency` wait without a thread: were they to wait for a
pooled connection in one, those that hold a connection would find no thread to finish in. What waits for nothing is
`async`: FastAPI hands every other function to a thread and back.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, NamedTuple

from fastapi import Depends, Security
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import Request

from functions import revalidation
from functions.access import actions, cookies, keys, roles, sessions
from functions.access.audit import Origin
from functions.access.keys import Key, PresentedKey
from functions.access.roles import MACHINES_ONLY, PEOPLE_ONLY
from functions.access.sessions import Session
from functions.application import Application, CurrentApplication, Now
from functions.limits.limits import refuse
from functions.limits.middleware import note
from functions.plans import plans
from shared_code.database import transactions
from shared_code.database.transactions import Read, Write
from shared_code.errors import ForbiddenError, UnauthorizedError

SAFE_METHODS: Final = frozenset({"GET", "HEAD"})

BEARER: Final = HTTPBearer(scheme_name="bearer", bearerFormat="JWT", auto_error=False)
COOKIE: Final = APIKeyCookie(scheme_name="cookie", name=cookies.SESSION, auto_error=False)


async def presented(
    request: Request,
    application: CurrentApplication,
    now: Now,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(BEARER)],
    cookie: Annotated[str | None, Security(COOKIE)],
) -> Session | PresentedKey:
    """Return what the caller sent: what a session's token says, or a key.

    The header goes before the cookie, and something bad in it is not excused by a good cookie. The database has not
    been asked yet.

    Raises:
        ForbiddenError: a browser sent the cookie along with another site's request.
        UnauthorizedError: there is nothing, or it is not to be believed.
    """
    if bearer and bearer.credentials.startswith(keys.PREFIX):
        return PresentedKey(keys.digest(bearer.credentials))
    if cookie and not bearer:
        _refuse_other_sites(request, application.settings.access.altaviz_public_url)
    token = bearer.credentials if bearer else cookie
    if not token:
        raise UnauthorizedError("sign in first: send `Authorization: Bearer` with a session token, or its cookie")
    return sessions.verify(token, application.settings.session_key, now=now)


Presented = Annotated[Session | PresentedKey, Depends(presented)]


async def presented_session(sent: Presented) -> Session:
    """Return what the caller's token says, for operations that ask the database themselves.

    Raises:
        ForbiddenError: it is a key.
    """
    if isinstance(sent, PresentedKey):
        raise ForbiddenError(PEOPLE_ONLY)
    return sent


PresentedSession = Annotated[Session, Depends(presented_session)]


async def not_refused_before(sent: Presented, application: CurrentApplication, now: Now) -> Session | PresentedKey:
    """Let a session or key go on to the database, unless its organization had no request left a moment ago.

    Raises:
        TooManyRequestsError: it had none, and has none yet.
    """
    refusal = application.limits.find_refusal(_credential(sent), now=now)
    if refusal is not None:
        raise refuse(refusal)
    return sent


NotRefusedBefore = Annotated[Session | PresentedKey, Depends(not_refused_before)]


async def session_if_any(
    request: Request,
    application: CurrentApplication,
    now: Now,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(BEARER)],
    cookie: Annotated[str | None, Security(COOKIE)],
) -> Session | None:
    """Return what the caller's token says, or None where there is none to be believed."""
    with suppress(UnauthorizedError):
        sent = await presented(request, application, now, bearer, cookie)
        return None if isinstance(sent, PresentedKey) else sent
    return None


SessionIfAny = Annotated[Session | None, Depends(session_if_any)]


class Standpoint(NamedTuple):
    """What an answer depends on besides the question: the organization's version, and the role or scopes."""

    version: int
    role_or_scopes: str


@dataclass(frozen=True, slots=True)
class Entered:
    """The transaction of a request, open for the organization of the session or key that it has confirmed."""

    connection: Read | Write
    caller: Session | Key
    standpoint: Standpoint | None = None
    """Of a request that reads."""


def enter(request: Request, sent: NotRefusedBefore, application: CurrentApplication, now: Now) -> Iterator[Entered]:
    """Open the one transaction of a request, read-only where its method is safe, and ask it whether the caller stands.

    Asking there costs a read no round trip of its own, and what ends a session ends it at once, in every instance.

    Raises:
        UnauthorizedError: it does not.
        ForbiddenError: its role or scope may not do this.
    """
    database = application.database()
    if isinstance(sent, PresentedKey):
        with transactions.key_holder(database, sent.digest) as holder:
            key, entered, version = actions.admit_key(holder, sent, now=now)
            roles.require_scope(operation_id(request), key)
            if request.method not in SAFE_METHODS:
                yield Entered(entered, key)
            else:
                reading = transactions.only_read(entered)
                yield Entered(reading, key, Standpoint(version, " ".join(sorted(key.scopes))))
        return
    begin = transactions.read if request.method in SAFE_METHODS else transactions.write
    with begin(database, sent.organization_id) as connection:
        session, version = actions.confirm(connection, sent, now=now)
        roles.require_role(operation_id(request), session.role)
        reads = request.method in SAFE_METHODS
        yield Entered(connection, session, Standpoint(version, session.role) if reads else None)


def operation_id(request: Request) -> str:
    """Return the name of the operation that was routed to; the path, which a client writes, is not asked."""
    route = request.scope["route"]
    return route.operation_id or route.name


MOST_AT_ONCE: Final = 12
"""Below the fifteen connections that a pool of five may grow to: signing in and refreshing open their own."""
_Confirmed = Annotated[Entered, Depends(enter, scope="function", max_concurrency=MOST_AT_ONCE)]


async def within_quota(
    request: Request, entered: _Confirmed, sent: Presented, application: CurrentApplication, now: Now
) -> Entered:
    """Count the request against the plan of the caller's organization, and let it pass while there is some left.

    Raises:
        TooManyRequestsError: there is none.
    """
    await _count(request, entered.caller, sent, application, now)
    return entered


async def _count(
    request: Request, caller: Session | Key, sent: Session | PresentedKey, application: Application, now: datetime
) -> None:
    verdict = await application.limits.count_organization(
        caller.organization_id,
        plans()[caller.subscription_tier].requests_per_minute,
        credential=_credential(sent),
        now=now,
    )
    note(request.scope, verdict)
    if not verdict.admitted:
        raise refuse(verdict)


def _credential(sent: Session | PresentedKey) -> str:
    return sent.digest if isinstance(sent, PresentedKey) else str(sent.sid)


async def with_unknown_answer(
    request: Request, entered: Annotated[Entered, Depends(within_quota)], application: CurrentApplication
) -> Entered:
    """Go no further where the answer is known; the request was counted like any other.

    Raises:
        AnswerKnownError: it is.
    """
    if entered.standpoint is not None:
        standpoint = {
            "organization_id": entered.caller.organization_id,
            "version": entered.standpoint.version,
            "plan": entered.caller.subscription_tier,
            "role": entered.standpoint.role_or_scopes,
        }
        await revalidation.expect(request, operation_id(request), application.answers, standpoint)
    return entered


CurrentlyEntered = Annotated[Entered, Depends(with_unknown_answer)]


async def current_caller(entered: CurrentlyEntered) -> Session | Key:
    """Return who asks, confirmed: a person's session or a machine's key; both say whose they are and on which plan."""
    return entered.caller


async def current_session(entered: CurrentlyEntered) -> Session:
    """Return the session of the person who asks, confirmed.

    Raises:
        ForbiddenError: a machine asks.
    """
    if isinstance(entered.caller, Key):
        raise ForbiddenError(PEOPLE_ONLY)
    return entered.caller


CurrentCaller = Annotated[Session | Key, Depends(current_caller)]
CurrentSession = Annotated[Session, Depends(current_session)]


async def open_read(entered: CurrentlyEntered) -> Read:
    """Return the request's transaction, to read in."""
    return Read(entered.connection)


def open_question(entered: CurrentlyEntered) -> Read:
    """Return the transaction of a request that asks by POST and changes nothing, to read in."""
    return transactions.only_read(Write(entered.connection))


async def open_session_write(entered: CurrentlyEntered) -> Write:
    """Return the request's transaction, for what ends the session that it came with.

    Such a request takes no Idempotency-Key: a repeat would come with a session that has ended. All other writes are in
    `functions.access.writes`.
    """
    return Write(entered.connection)


ReadConnection = Annotated[Read, Depends(open_read)]
QuestionConnection = Annotated[Read, Depends(open_question)]
SessionWriteConnection = Annotated[Write, Depends(open_session_write)]


async def current_origin(request: Request) -> Origin:
    """Return where the request came from, for the audit log."""
    return Origin(request.client.host if request.client else None, request.scope["state"]["request_id"])


CurrentOrigin = Annotated[Origin, Depends(current_origin)]


def confirmed_key(request: Request, sent: NotRefusedBefore, application: CurrentApplication, now: Now) -> Key:
    """Return the key that may deliver readings, for an operation that needs no transaction while it takes them.

    Raises:
        ForbiddenError: a person asks, or the key is for something else.
        UnauthorizedError: there is no such key.
    """
    if not isinstance(sent, PresentedKey):
        raise ForbiddenError(MACHINES_ONLY)
    with transactions.key_holder(application.database(), sent.digest) as holder:
        key, entered, _ = actions.admit_key(holder, sent, now=now)
        roles.require_scope(operation_id(request), key)
        transactions.only_read(entered)
    return key


async def ingest_key(
    request: Request,
    key: Annotated[Key, Depends(confirmed_key)],
    sent: Presented,
    application: CurrentApplication,
    now: Now,
) -> Key:
    """Return the key that may deliver readings, while its organization has a request left.

    Raises:
        TooManyRequestsError: it has none.
    """
    await _count(request, key, sent, application, now)
    return key


IngestKey = Annotated[Key, Depends(ingest_key)]


def _refuse_other_sites(request: Request, public_url: str) -> None:
    """Let a cookie speak for an unsafe request only where the page that sent it is ours.

    Browsers alone send cookies by themselves, and they say in these two headers who made them; no page can change
    that. A header such as Authorization has to be set by whoever knows the token, so it needs no such question.
    """
    if request.method in SAFE_METHODS or request.headers.get("Sec-Fetch-Site") == "same-origin":
        return
    ours = {public_url}
    if cookies.is_loopback(request):
        ours.add(f"{request.url.scheme}://{request.url.netloc}")
    if request.headers.get("Origin") not in ours:
        raise ForbiddenError(
            "with the cookie, only pages of this site may ask for that; send `Origin`, or a bearer token"
        )
