"""Shapes of the organization's operations."""

from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field, StringConstraints

from functions.access.keys import Scope
from functions.bodies import Body, Text
from functions.pagination import Position
from shared_code.database.tables.access import ActorKind
from shared_code.database.tables.organizations import SubscriptionStatus, Tier, UserRole

MailAddress = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True,
        to_lower=True,
        max_length=254,
        pattern=r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$",
    ),
]
"""What a browser's form takes for an e-mail address: one, and nothing that means more than itself in a header."""

KeyDays = Annotated[int, Field(ge=1, le=730, description="How many days the secret is good.")]


class NewApiKey(Body):
    """A key to be made."""

    name: Annotated[Text, Field(examples=["Gateway at Karnes City"])]
    scopes: Annotated[frozenset[Scope], Field(min_length=1, description="What it may do.", examples=[["ingest"]])]
    expires_in_days: KeyDays = 365


class RotatedApiKey(Body):
    """How to change a key's secret."""

    expires_in_days: KeyDays = 365
    overlap_hours: Annotated[int, Field(ge=0, le=168, description="How long the old secret stays good.")] = 24


class ApiKey(BaseModel):
    """A machine's key. `prefix` is how its secret begins; the secret itself is not kept."""

    id: UUID
    name: str
    prefix: str
    scopes: list[Scope]
    created_at: AwareDatetime
    expires_at: AwareDatetime
    previous_until: Annotated[AwareDatetime | None, Field(description="How long the secret before is good.")]
    last_used_at: Annotated[AwareDatetime | None, Field(description="To the minute.")]


class IssuedApiKey(ApiKey):
    """A key with its secret, which is shown this once."""

    key: Annotated[str, Field(description="To be sent as `Authorization: Bearer`.")]


class CreatedPosition(Position):
    """Keys, members and invitations are listed in the order in which they came to be."""

    created_at: AwareDatetime
    id: UUID


class Organization(BaseModel):
    """The organization and its plan; `max_compressors` is null where there is no limit."""

    id: UUID
    name: str
    slug: str
    subscription_tier: Tier
    subscription_status: SubscriptionStatus
    max_compressors: int | None
    created_at: AwareDatetime


class NewName(Body):
    """Another name for the organization."""

    name: Annotated[Text, Field(examples=["Karnes Gas Gathering"])]


class OrganizationMember(BaseModel):
    """Somebody who belongs to the organization."""

    user_id: UUID
    email: str
    name: str
    role: UserRole
    created_at: AwareDatetime
    last_login_at: AwareDatetime | None


class NewRole(Body):
    """Another role for a member."""

    role: UserRole


class NewInvitation(Body):
    """Somebody to be invited."""

    email: Annotated[MailAddress, Field(examples=["somebody@altaviz.example"])]
    role: UserRole


class InvitationStatus(StrEnum):
    """Where an invitation stands."""

    OPEN = "open"
    ACCEPTED = "accepted"
    REVOKED = "revoked"
    EXPIRED = "expired"


class Invitation(BaseModel):
    """An invitation. Its link is not kept: make another where it is lost."""

    id: UUID
    email: str
    role: UserRole
    invited_by: str
    status: InvitationStatus
    created_at: AwareDatetime
    expires_at: AwareDatetime


class SentInvitation(Invitation):
    """A new invitation."""

    link: Annotated[
        str | None, Field(description="For you to pass on, where no e-mail can be sent; null where one was.")
    ]


class InvitationToken(Body):
    """What stands behind `#token=` in an invitation's link."""

    token: Annotated[str, StringConstraints(min_length=1, max_length=4096)]


class AuditEntry(BaseModel):
    """Something that was done: what, to what, by whom, when and from where."""

    id: UUID
    occurred_at: AwareDatetime
    action: Annotated[str, Field(examples=["member.role_changed"])]
    target: str | None
    details: dict[str, Any]
    actor_kind: ActorKind
    actor_id: UUID | None
    actor_name: str
    address: Annotated[str | None, Field(description="The address that connected.")]
    request_id: str | None
