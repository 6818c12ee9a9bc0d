"""Who sent this request: the session it carries, in a header or a cookie."""

from typing import Annotated, Final

from fastapi import Depends, Response, Security
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import Request

from functions.access import sessions
from functions.access.sessions import Session
from functions.application import CurrentApplication, Now
from shared_code.errors import UnauthorizedError

COOKIE: Final = "altaviz_session"
LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})

_bearer = HTTPBearer(scheme_name="bearer", bearerFormat="JWT", auto_error=False)
_cookie = APIKeyCookie(scheme_name="cookie", name=COOKIE, auto_error=False)


def current_session(
    application: CurrentApplication,
    now: Now,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
    cookie: Annotated[str | None, Security(_cookie)],
) -> Session:
    """Return the caller's session; a bearer token goes before a cookie, and a bad one is not excused by the other.

    Raises:
        UnauthorizedError: there is none, or it is not to be believed.
    """
    token = bearer.credentials if bearer else cookie
    if not token:
        raise UnauthorizedError("sign in first: send `Authorization: Bearer` with a session token, or its cookie")
    return sessions.verify(token, application.settings.session_key, now=now)


CurrentSession = Annotated[Session, Depends(current_session)]


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
    return not (request.url.scheme == "http" and request.url.hostname in LOOPBACK)
