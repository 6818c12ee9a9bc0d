"""Who sent this request: the session it carries, in a header or a cookie."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Depends, Response, Security
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import Request

from functions.access import actions, roles, sessions
from functions.access.sessions import Session
from functions.application import CurrentApplication, Now
from shared_code.database import transactions
from shared_code.database.transactions import Read, Write
from shared_code.errors import ForbiddenError, UnauthorizedError

COOKIE: Final = "altaviz_session"
SAFE_METHODS: Final = frozenset({"GET", "HEAD"})
LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})

_bearer = HTTPBearer(scheme_name="bearer", bearerFormat="JWT", auto_error=False)
_cookie = APIKeyCookie(scheme_name="cookie", name=COOKIE, auto_error=False)


def presented_session(
    request: Request,
    application: CurrentApplication,
    now: Now,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
    cookie: Annotated[str | None, Security(_cookie)],
) -> Session:
    """Return what the caller's token says: a bearer token goes before a cookie, and a bad one is not excused by it.

    The database has not been asked: this is for operations that do so themselves. All others take `CurrentSession`.

    Raises:
        ForbiddenError: a browser sent the cookie along with another site's request.
        UnauthorizedError: there is none, or it is not to be believed.
    """
    if cookie and not bearer:
        _refuse_other_sites(request, application.settings.access.altaviz_public_url)
    token = bearer.credentials if bearer else cookie
    if not token:
        raise UnauthorizedError("sign in first: send `Authorization: Bearer` with a session token, or its cookie")
    return sessions.verify(token, application.settings.session_key, now=now)


PresentedSession = Annotated[Session, Depends(presented_session)]


def session_if_any(
    request: Request,
    application: CurrentApplication,
    now: Now,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
    cookie: Annotated[str | None, Security(_cookie)],
) -> Session | None:
    """Return what the caller's token says, or None where none is to be believed."""
    with suppress(UnauthorizedError):
        return presented_session(request, application, now, bearer, cookie)
    return None


SessionIfAny = Annotated[Session | None, Depends(session_if_any)]


@dataclass(frozen=True, slots=True)
class Entered:
    """The transaction of a request, open for the organization of the session that it has confirmed."""

    connection: Read | Write
    session: Session


def enter(request: Request, claims: PresentedSession, application: CurrentApplication, now: Now) -> Iterator[Entered]:
    """Open the one transaction of a request, read-only where its method is safe, and ask it whether the session stands.

    Asking there costs a read no round trip of its own, and what ends a session ends it at once, in every instance.

    Raises:
        UnauthorizedError: it does not.
        ForbiddenError: its role may not do this.
    """
    begin = transactions.read if request.method in SAFE_METHODS else transactions.write
    with begin(application.database(), claims.organization_id) as connection:
        session = actions.confirm(connection, claims, now=now)
        roles.require(operation_id(request), session.role)
        yield Entered(connection, session)


def operation_id(request: Request) -> str:
    """Return the name of the operation that was routed to; the path, which a client writes, is not asked."""
    route = request.scope["route"]
    return route.operation_id or route.name


# Below the fifteen connections that a pool of five may grow to: signing in and refreshing open their own.
CurrentlyEntered = Annotated[Entered, Depends(enter, scope="function", max_concurrency=12)]


def current_session(entered: CurrentlyEntered) -> Session:
    """Return the caller's session, confirmed."""
    return entered.session


CurrentSession = Annotated[Session, Depends(current_session)]


def _refuse_other_sites(request: Request, public_url: str) -> None:
    """Let a cookie speak for an unsafe request only where the page that sent it is ours.

    Browsers alone send cookies by themselves, and they say in these two headers who made them; no page can change
    that. A header such as Authorization has to be set by whoever knows the token, so it needs no such question.
    """
    if request.method in SAFE_METHODS or request.headers.get("Sec-Fetch-Site") == "same-origin":
        return
    ours = {public_url}
    if _is_loopback(request):
        ours.add(f"{request.url.scheme}://{request.url.netloc}")
    if request.headers.get("Origin") not in ours:
        raise ForbiddenError(
            "with the cookie, only pages of this site may ask for that; send `Origin`, or a bearer token"
        )


def set_cookie(request: Request, response: Response, token: str) -> None:
    """Give the browser the session to keep."""
    response.set_cookie(
        COOKIE,
        token,
        max_age=int(sessions.LIFETIME.total_seconds()),
        secure=_needs_secure(request),
        httponly=True,
        samesite="lax",
    )


def clear_cookie(request: Request, response: Response) -> None:
    """Let the browser forget the session."""
    response.delete_cookie(COOKIE, secure=_needs_secure(request), httponly=True, samesite="lax")


def _needs_secure(request: Request) -> bool:
    """Plain http is for this machine alone, and some browsers keep no Secure cookie there."""
    return not (request.url.scheme == "http" and _is_loopback(request))


def _is_loopback(request: Request) -> bool:
    try:
        return request.url.hostname in LOOPBACK
    except ValueError:  # a Host header that is none
        return False
