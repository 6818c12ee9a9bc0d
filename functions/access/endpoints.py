"""Sign-in, the session, and sign-out over HTTP."""

from fastapi import APIRouter, Request, Response, status

from functions.access import actions, caller, sessions
from functions.access.caller import CurrentSession
from functions.access.schemas import DevelopmentSignIn, SignedIn
from functions.access.sessions import Session
from functions.application import CurrentApplication, Now
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
    token = sessions.sign(session, application.settings.session_key)
    caller.set_cookie(request, response, token)
    return SignedIn(token=token, expiresAt=session.expires_at)


@router.get("/session", operation_id="get_session", responses=responses(401))
def get_session(session: CurrentSession) -> Session:
    """Say who is asking: the claims of the session."""
    return session


@router.post("/logout", operation_id="sign_out", status_code=status.HTTP_204_NO_CONTENT)
def sign_out(request: Request, response: Response) -> None:
    """Clear the session's cookie; without one, nothing happens."""
    caller.clear_cookie(request, response)
