"""Who may act for the whole installation: whoever holds its key, sent as `x-api-key`.

An operation that takes the key takes a person's session too, for that person's organization. What comes with a key is
judged by the key alone, right or wrong; what comes without goes the way of every other request, step by step as in
`functions.access.caller` and `functions.access.writes`.
"""

import hmac
from collections.abc import Iterator
from typing import Annotated, Final

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials

from functions.access import caller, writes
from functions.access.caller import Entered
from functions.access.keys import Key, PresentedKey
from functions.access.roles import PEOPLE_ONLY
from functions.access.sessions import Session
from functions.access.writes import IdempotencyKey, fingerprint
from functions.application import CurrentApplication, Now
from shared_code.errors import ForbiddenError, UnauthorizedError, UnavailableError

SCHEME: Final = "installation_key"

_key = APIKeyHeader(
    name="x-api-key",
    scheme_name=SCHEME,
    description="The installation's own key (WORKFLOWS_API_KEY), for all organizations.",
    auto_error=False,
)


async def has_key(application: CurrentApplication, sent: Annotated[str | None, Security(_key)]) -> bool:
    """Return whether the request came with the installation's key; false where it came with none.

    Raises:
        UnauthorizedError: it came with another.
        UnavailableError: the installation has none.
    """
    if sent is None:
        return False
    expected = application.settings.workflows.workflows_api_key
    if expected is None:
        raise UnavailableError("this installation takes no x-api-key: WORKFLOWS_API_KEY is not set")
    if not hmac.compare_digest(sent.encode(), expected.get_secret_value().encode()):
        raise UnauthorizedError("the x-api-key is not valid")
    return True


HasKey = Annotated[bool, Depends(has_key)]


async def _presented(
    request: Request,
    application: CurrentApplication,
    now: Now,
    by_key: HasKey,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(caller.BEARER)],
    cookie: Annotated[str | None, Security(caller.COOKIE)],
) -> Session | PresentedKey | None:
    if by_key:
        return None
    sent = await caller.presented(request, application, now, bearer, cookie)
    return await caller.not_refused_before(sent, application, now)


_Presented = Annotated[Session | PresentedKey | None, Depends(_presented)]


def _enter(request: Request, sent: _Presented, application: CurrentApplication, now: Now) -> Iterator[Entered | None]:
    if sent is None:
        yield None
    else:
        yield from caller.enter(request, sent, application, now)


async def enter_or_key(
    request: Request,
    entered: Annotated[Entered | None, Depends(_enter, scope="function", max_concurrency=caller.MOST_AT_ONCE)],
    sent: _Presented,
    application: CurrentApplication,
    now: Now,
) -> Entered | None:
    """Return a person's transaction, once the request is counted against their plan; None with the key.

    Raises:
        ForbiddenError: a machine's key asks.
        TooManyRequestsError: the organization has no request left.
    """
    if entered is None or sent is None:
        return None
    if isinstance(entered.caller, Key):
        raise ForbiddenError(PEOPLE_ONLY)
    return await caller.within_quota(request, entered, sent, application, now)


EnteredOrKey = Annotated[Entered | None, Depends(enter_or_key)]


def open_write_or_key(
    request: Request,
    entered: EnteredOrKey,
    application: CurrentApplication,
    now: Now,
    told_by: Annotated[str | None, Depends(fingerprint)],
    idempotency_key: IdempotencyKey = None,
) -> Entered | None:
    """Return a person's transaction, for what was not done under its Idempotency-Key before; None with the key.

    What whoever holds the installation's key may do has no other effect when it is done again.

    Raises:
        ReplayedError: it was written before.
        InvalidError: the Idempotency-Key came with another request.
    """
    if entered is not None:
        writes.open_write(request, entered, application, now, told_by, idempotency_key)
    return entered


WritingOrKey = Annotated[Entered | None, Depends(open_write_or_key)]
