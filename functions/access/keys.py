"""API keys: what lets a machine in."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from shared_code.database.tables.organizations import Tier
from shared_code.identifiers import OrganizationId

PREFIX: Final = "altaviz_key_"
"""Tells a key from a session's token, and tells whoever finds one in a file what they have found."""
SHOWN: Final = len(PREFIX) + 6
"""How much of a key is kept in the clear, for people to tell their keys apart."""
LAST_USE_PRECISION: Final = timedelta(minutes=1)
REFUSED: Final = "the API key is not valid or has ended"


class Scope(StrEnum):
    """What a key is for."""

    READ = "read"
    INGEST = "ingest"


@dataclass(frozen=True, slots=True)
class PresentedKey:
    """A key that a caller has sent, not yet looked up; only its digest goes on from here."""

    digest: str


@dataclass(frozen=True, slots=True)
class Key:
    """A key that was looked up, and whose it is."""

    organization_id: OrganizationId
    id: UUID
    name: str
    scopes: frozenset[Scope]
    subscription_tier: Tier


def make() -> str:
    """Return a new key: 32 random bytes behind the prefix."""
    return PREFIX + secrets.token_urlsafe(32)


def digest(key: str) -> str:
    """Return what is stored of a key. It is random and long, so a plain hash cannot be turned back."""
    return hashlib.sha256(key.encode()).hexdigest()
