"""Shapes of the organization's operations."""

from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from functions.access.keys import Scope
from functions.pagination import Position

Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$")
]
"""What people call a thing, in one line."""

KeyDays = Annotated[int, Field(ge=1, le=730, description="How many days the secret is good.")]


class Body(BaseModel):
    """What a client may send; a field that is not named is refused, so that none is set by accident."""

    model_config = ConfigDict(extra="forbid")


class NewApiKey(Body):
    """A key to be made."""

    name: Annotated[Name, Field(examples=["Gateway at Karnes City"])]
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


class ApiKeyPosition(Position):
    """Keys are listed in the order in which they were made."""

    created_at: AwareDatetime
    id: UUID
