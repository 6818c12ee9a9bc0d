"""Invitations as links: what a signed token says about one. Holding the link is what counts, not an e-mail address."""

from datetime import datetime, timedelta
from typing import Annotated, Final, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from functions.access import tokens
from shared_code.errors import NotFoundError
from shared_code.identifiers import OrganizationId

AUDIENCE: Final = "altaviz-invitation"
LIFETIME: Final = timedelta(days=7)
REFUSED: Final = "the invitation is not valid, or it has ended, was revoked or was accepted already"


class Invitation(BaseModel):
    """Which invitation a link is about; `exp` is in seconds since 1970."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", validate_by_name=True)

    organization_id: Annotated[OrganizationId, Field(alias="organizationId", strict=False)]
    jti: Annotated[UUID, Field(strict=False)]
    exp: int
    iss: Literal["altaviz"] = tokens.ISSUER
    aud: Literal["altaviz-invitation"] = AUDIENCE


def sign(organization_id: OrganizationId, invitation_id: UUID, *, expires_at: datetime, key: str) -> str:
    """Return the token of an invitation's link."""
    invitation = Invitation(organization_id=organization_id, jti=invitation_id, exp=int(expires_at.timestamp()))
    return tokens.sign(invitation.model_dump(mode="json", by_alias=True), key)


def verify(token: str, key: str, *, now: datetime) -> Invitation:
    """Return which invitation a link is about; whether it still stands, the database knows.

    Raises:
        NotFoundError: for whatever is wrong with it, always in the same words.
    """
    try:
        invitation = Invitation.model_validate(tokens.read(token, key, audience=AUDIENCE), by_alias=True, by_name=False)
    except ValidationError:
        raise NotFoundError(REFUSED) from None
    if now.timestamp() >= invitation.exp:
        raise NotFoundError(REFUSED)
    return invitation
