"""What the browser is given to keep: the session, and the state of a sign-in that it has begun."""

import hmac
from typing import Final

from fastapi import Request, Response

from functions.access import actions, sessions
from functions.access.schemas import SignedIn
from functions.access.sessions import Session
from functions.application import Application

SESSION: Final = "altaviz_session"
STATE: Final = "altaviz_sign_in"
STATE_PATH: Final = "/api/auth/entra"
LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


def hand_over(session: Session, request: Request, response: Response, application: Application) -> SignedIn:
    """Sign a session, give it to the browser to keep, and return it for other clients."""
    token = sessions.sign(session, application.settings.session_key)
    response.set_cookie(
        SESSION,
        token,
        max_age=int(sessions.LIFETIME.total_seconds()),
        secure=_needs_secure(request),
        httponly=True,
        samesite="lax",
    )
    return SignedIn(token=token, expiresAt=session.expires_at)


def remember_state(request: Request, response: Response, state: str) -> None:
    """Give the browser the state of the sign-in it begins, so that no other browser can finish it."""
    response.set_cookie(
        STATE,
        state,
        max_age=int(actions.ATTEMPT_LIFETIME.total_seconds()),
        path=STATE_PATH,
        secure=_needs_secure(request),
        httponly=True,
        samesite="lax",  # the provider sends the browser back, which is another site's navigation
    )


def brings_state(request: Request, state: str) -> bool:
    """Return whether the browser is the one that began the sign-in of this state."""
    return hmac.compare_digest(request.cookies.get(STATE, "").encode(), state.encode())


def forget_session(request: Request, response: Response) -> None:
    """Let the browser forget the session."""
    response.delete_cookie(SESSION, secure=_needs_secure(request), httponly=True, samesite="lax")


def _needs_secure(request: Request) -> bool:
    """Plain http is for this machine alone, and some browsers keep no Secure cookie there."""
    return not (request.url.scheme == "http" and is_loopback(request))


def is_loopback(request: Request) -> bool:
    """Return whether the client speaks to this machine under a name that only this machine has."""
    try:
        return request.url.hostname in LOOPBACK
    except ValueError:  # a Host header that is none
        return False
