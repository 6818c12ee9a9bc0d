"""Sign-in, the session, and sign-out over HTTP."""

from fastapi import APIRouter, Request, Response, status

from functions.access import actions, caller, sessions
from functions.access.caller import CurrentSession, PresentedSession, SessionIfAny
from functions.access.schemas import DevelopmentSignIn, SignedIn
from functions.access.sessions import Session
from functions.application import Application, CurrentApplication, Now
from functions.problems import responses

router = APIRouter(prefix="/auth", tags=["access"])


@router.post("/dev", operation_id="sign_in_for_development", responses=responses(403, 422))
def sign_in_for_development(
    body: DevelopmentSignIn, request: Request, response: Response, application: CurrentApplication, now: Now
) -> SignedIn:
    """Sign in with development credentials, where they are enabled and the e-mail is on the allow-list."""
    session = actions.sign_in_for_development(
        database=application.database(), settings=application.settings.access, email=body.email, now=now
    )
    return _signed_in(session, request, response, application)


@router.get("/session", operation_id="get_session", responses=responses(401, 403))
def get_session(session: CurrentSession) -> Session:
    """Say who is asking: the claims of the session."""
    return session


@router.post("/refresh", operation_id="refresh_session", responses=responses(401, 403))
def refresh_session(
    claims: PresentedSession, request: Request, response: Response, application: CurrentApplication, now: Now
) -> SignedIn:
    """Exchange the session's token for a new one, once an hour.

    The old token stays good for 60 seconds, and refreshing it again in that time answers with the same new one. Later,
    a refresh of the old token ends the session: somebody else may have it.
    """
    session = actions.refresh(database=application.database(), claims=claims, now=now)
    return _signed_in(session, request, response, application)


@router.post(
    "/logout",
    operation_id="sign_out",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=responses(403),
    openapi_extra={"security": [{}]},  # added to the two ways of sending one
)
def sign_out(
    claims: SessionIfAny, request: Request, response: Response, application: CurrentApplication, now: Now
) -> None:
    """End the session everywhere and clear its cookie; without one, nothing happens."""
    if claims is not None:
        actions.sign_out(database=application.database(), claims=claims, now=now)
    caller.clear_cookie(request, response)


def _signed_in(session: Session, request: Request, response: Response, application: Application) -> SignedIn:
    token = sessions.sign(session, application.settings.session_key)
    caller.set_cookie(request, response, token)
    return SignedIn(token=token, expiresAt=session.expires_at)
