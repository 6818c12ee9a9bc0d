"""Shapes of the sign-in operations."""

from typing import Annotated

from pydantic import AwareDatetime, BaseModel, Field, StringConstraints

Email = Annotated[
    str,
    StringConstraints(strip_whitespace=True, to_lower=True, max_length=320, pattern=r"^[^@\s\x00]+@[^@\s\x00]+$"),
]


class DevelopmentSignIn(BaseModel):
    """Who wants to sign in with development credentials."""

    email: Annotated[Email, Field(examples=["demo@altaviz.dev"])]


class SignedIn(BaseModel):
    """A session, to be sent as `Authorization: Bearer` until it ends."""

    token: str
    expires_at: AwareDatetime = Field(alias="expiresAt")
