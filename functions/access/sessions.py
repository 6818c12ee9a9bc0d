"""Sessions: what a signed token says about a caller, how it is made, and when it is believed."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Literal
from uuid import UUID, uuid4

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from functions.access import tokens
from shared_code.database.tables.organizations import Tier, UserRole
from shared_code.errors import UnauthorizedError
from shared_code.identifiers import OrganizationId, UserId

AUDIENCE: Final = "altaviz-api"
LIFETIME: Final = timedelta(hours=8)
"""How long a token is believed; a refresh makes another."""
LONGEST: Final = timedelta(days=7)
"""How long after signing in the last token ends, however often it is refreshed."""
REFRESH_GRACE: Final = timedelta(seconds=60)
"""How long a refreshed token is still good, so that requests on their way and refreshes side by side do not fail."""
REFUSED: Final = "the session is not valid or has ended; sign in again"
CLOCK_LEEWAY: Final = timedelta(seconds=60)
"""How far ahead the clock of another instance that issued the token may be."""

# Read from text, where everything else must arrive as the type it is.
_Parsed = Field(strict=False)


class Member(BaseModel):
    """A person as the session names them: a user of one organization."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", validate_by_name=True)

    sub: Annotated[UserId, _Parsed]
    email: str
    organization_id: Annotated[OrganizationId, Field(alias="organizationId"), _Parsed]
    organization_name: Annotated[str, Field(alias="organizationName")]
    role: Annotated[UserRole, _Parsed]
    subscription_tier: Annotated[Tier, Field(alias="subscriptionTier"), _Parsed]


class Session(Member):
    """A member's claims, as signed; `iat` and `exp` are seconds since 1970."""

    iat: int
    exp: int
    iss: Literal["altaviz"] = tokens.ISSUER
    aud: Literal["altaviz-api"] = AUDIENCE
    sid: Annotated[UUID, _Parsed]
    jti: Annotated[UUID, _Parsed]

    @property
    def issued_at(self) -> datetime:
        """When the token was made."""
        return datetime.fromtimestamp(self.iat, UTC)

    @property
    def expires_at(self) -> datetime:
        """The first instant at which the session is no longer believed."""
        return datetime.fromtimestamp(self.exp, UTC)


@dataclass(frozen=True, slots=True)
class Standing:
    """What the database knows of a session's tokens."""

    token_id: UUID
    previous_token_id: UUID | None
    refreshed_at: datetime
    expires_at: datetime
    ended_at: datetime | None

    def admits(self, token_id: UUID, *, now: datetime) -> bool:
        """Return whether a token that is otherwise good may still be used: the newest, and for a moment the last."""
        if self.ended_at is not None or now >= self.expires_at:
            return False
        in_grace = now < self.refreshed_at + REFRESH_GRACE
        return token_id == self.token_id or (in_grace and token_id == self.previous_token_id)


def start(member: Member, *, now: datetime) -> Session:
    """Return a new session of a member who has just proven who they are."""
    issued = now.replace(microsecond=0)
    return issue(member, sid=uuid4(), jti=uuid4(), issued_at=issued, expires_at=issued + LIFETIME)


def issue(member: Member, *, sid: UUID, jti: UUID, issued_at: datetime, expires_at: datetime) -> Session:
    """Return what a token of a session says; the same arguments make the same token."""
    return Session(**dict(member), iat=int(issued_at.timestamp()), exp=int(expires_at.timestamp()), sid=sid, jti=jti)


def sign(session: Session, key: str) -> str:
    """Return the session as a token; its characters are safe in headers and cookies."""
    return tokens.sign(session.model_dump(mode="json", by_alias=True), key)


def verify(token: str, key: str, *, now: datetime) -> Session:
    """Return the session that a token carries; whether it was ended, the database knows.

    Raises:
        UnauthorizedError: for whatever is wrong with it, always in the same words.
    """
    session = _read(token, key)
    if session is None or not _current(session, now):
        raise UnauthorizedError(REFUSED)
    return session


def _read(token: str, key: str) -> Session | None:
    try:
        return Session.model_validate(tokens.read(token, key, audience=AUDIENCE), by_alias=True, by_name=False)
    except ValidationError:
        return None


def _current(session: Session, now: datetime) -> bool:
    seconds = now.timestamp()
    issued = session.iat - CLOCK_LEEWAY.total_seconds() <= seconds
    return issued and seconds < session.exp <= session.iat + LIFETIME.total_seconds()
