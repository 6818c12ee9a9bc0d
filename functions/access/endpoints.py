"""Sign-in, the session, and sign-out over HTTP."""

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request, Response, status
from fastapi.responses import RedirectResponse

from functions.access import actions, cookies, entra
from functions.access.caller import (
    CurrentOrigin,
    CurrentSession,
    PresentedSession,
    ReadConnection,
    SessionIfAny,
    SessionWriteConnection,
)
from functions.access.schemas import DevelopmentSignIn, MyOrganization, OrganizationChoice, SignedIn
from functions.access.sessions import Session
from functions.application import CurrentApplication, Now
from functions.pagination import Page
from functions.problems import responses
from shared_code.errors import UnauthorizedError
from shared_code.identifiers import OrganizationId

router = APIRouter(prefix="/auth", tags=["access"])

SIGNED_IN_PATH: Final = "/api/auth/session"
"""Where the browser goes when somebody has signed in: it shows who."""


@router.post("/dev", operation_id="sign_in_for_development", responses=responses(403, 422))
def sign_in_for_development(
    body: DevelopmentSignIn,
    request: Request,
    response: Response,
    application: CurrentApplication,
    origin: CurrentOrigin,
    now: Now,
) -> SignedIn:
    """Sign in with development credentials, where they are enabled and the e-mail is on the allow-list."""
    session = actions.sign_in_for_development(
        database=application.database(), settings=application.settings.access, email=body.email, origin=origin, now=now
    )
    return cookies.hand_over(session, request, response, application)


@router.get(
    "/entra",
    operation_id="begin_entra_sign_in",
    status_code=status.HTTP_303_SEE_OTHER,
    response_class=RedirectResponse,
    response_description="To the provider's sign-in page.",
    responses=responses(503),
)
def begin_entra_sign_in(request: Request, application: CurrentApplication, now: Now) -> RedirectResponse:
    """Sign in with Microsoft Entra: send the browser to its page, which sends it back within ten minutes."""
    url, state = actions.begin_entra_sign_in(
        database=application.database(), settings=application.settings.access, now=now
    )
    redirect = RedirectResponse(url, status.HTTP_303_SEE_OTHER)
    cookies.remember_state(request, redirect, state)
    return redirect


@router.get(
    "/entra/callback",
    operation_id="complete_entra_sign_in",
    status_code=status.HTTP_303_SEE_OTHER,
    response_class=RedirectResponse,
    response_description="Signed in: the session is in its cookie.",
    responses=responses(401, 422, 503),
)
def complete_entra_sign_in(
    request: Request,
    application: CurrentApplication,
    origin: CurrentOrigin,
    now: Now,
    state: Annotated[str, Query(max_length=200, description="As it was sent.")] = "",
    code: Annotated[str, Query(max_length=8192, description="What the provider trades for who has signed in.")] = "",
) -> RedirectResponse:
    """Take the answer of Entra, once, from the browser that began; without a code, nobody has signed in."""
    if not (state and code and cookies.brings_state(request, state)):
        raise UnauthorizedError(entra.REFUSED)
    session = actions.complete_entra_sign_in(
        database=application.database(),
        settings=application.settings.access,
        state=state,
        code=code,
        origin=origin,
        now=now,
    )
    redirect = RedirectResponse(SIGNED_IN_PATH, status.HTTP_303_SEE_OTHER)
    cookies.hand_over(session, request, redirect, application)
    return redirect


@router.get("/session", operation_id="get_session", responses=responses(401, 403))
def get_session(session: CurrentSession) -> Session:
    """Say who is asking: the claims of the session."""
    return session


@router.post("/session", operation_id="switch_organization", responses=responses(401, 403, 404, 422))
def switch_organization(
    session: CurrentSession,
    connection: SessionWriteConnection,
    request: Request,
    response: Response,
    application: CurrentApplication,
    origin: CurrentOrigin,
    now: Now,
    body: OrganizationChoice,
) -> SignedIn:
    """Go on in another organization that the caller belongs to; the session here ends. Signing in leads there next."""
    begun = actions.switch_organization(
        connection, session, organization_id=OrganizationId(body.organization_id), origin=origin, now=now
    )
    return cookies.hand_over(begun, request, response, application)


@router.get("/organizations", operation_id="list_my_organizations", responses=responses(401, 403))
def list_my_organizations(session: CurrentSession, connection: ReadConnection) -> Page[MyOrganization]:
    """List the organizations that the caller belongs to, the one last used first; there is never a next page."""
    places = actions.list_organizations(connection, session)
    return Page(items=[MyOrganization.model_validate(place, from_attributes=True) for place in places], next=None)


@router.post("/refresh", operation_id="refresh_session", responses=responses(401, 403))
def refresh_session(
    claims: PresentedSession,
    request: Request,
    response: Response,
    application: CurrentApplication,
    origin: CurrentOrigin,
    now: Now,
) -> SignedIn:
    """Exchange the session's token for a new one, once an hour.

    The old token stays good for 60 seconds, and refreshing it again in that time answers with the same new one. Later,
    a refresh of the old token ends the session: somebody else may have it.
    """
    session = actions.refresh(database=application.database(), claims=claims, origin=origin, now=now)
    return cookies.hand_over(session, request, response, application)


@router.post(
    "/logout",
    operation_id="sign_out",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=responses(403),
    openapi_extra={"security": [{}]},  # added to the two ways of sending one
)
def sign_out(
    claims: SessionIfAny,
    request: Request,
    response: Response,
    application: CurrentApplication,
    origin: CurrentOrigin,
    now: Now,
) -> None:
    """End the session everywhere and clear its cookie; without one, nothing happens."""
    if claims is not None:
        actions.sign_out(database=application.database(), claims=claims, origin=origin, now=now)
    cookies.forget_session(request, response)
