"""Shapes of the sign-in operations."""

from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from shared_code.database.tables.organizations import Tier, UserRole

Email = Annotated[
    str,
    StringConstraints(strip_whitespace=True, to_lower=True, max_length=320, pattern=r"^[^@\s\x00]+@[^@\s\x00]+$"),
]


class DevelopmentSignIn(BaseModel):
    """Who wants to sign in with development credentials."""

    model_config = ConfigDict(extra="forbid")

    email: Annotated[Email, Field(examples=["demo@altaviz.dev"])]


class SignedIn(BaseModel):
    """A session, to be sent as `Authorization: Bearer` until it ends."""

    token: str
    expires_at: AwareDatetime = Field(alias="expiresAt")


class OrganizationChoice(BaseModel):
    """Where to go on."""

    model_config = ConfigDict(extra="forbid")

    organization_id: UUID


class MyOrganization(BaseModel):
    """An organization that the caller belongs to, and their role there."""

    organization_id: UUID
    organization_name: str
    role: UserRole
    subscription_tier: Tier
