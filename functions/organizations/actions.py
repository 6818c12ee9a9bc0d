"""What the people of an organization do about it."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from functions.access import keys
from functions.access.keys import Scope
from functions.organizations import queries
from shared_code.database.transactions import Write
from shared_code.errors import NotFoundError
from shared_code.identifiers import OrganizationId

NO_KEY = "there is no such API key"


def create_api_key(
    connection: Write,
    organization_id: OrganizationId,
    *,
    name: str,
    scopes: Collection[Scope],
    lifetime: timedelta,
    now: datetime,
) -> tuple[Mapping[Any, Any], str]:
    """Make a key for a machine; return it and its secret, which is kept nowhere."""
    secret = keys.make()
    made = queries.add_api_key(
        connection,
        organization_id,
        {
            "id": uuid4(),
            "name": name,
            "scopes": " ".join(sorted(scopes)),
            "secret_hash": keys.digest(secret),
            "prefix": secret[: keys.SHOWN],
            "created_at": now,
            "expires_at": now + lifetime,
        },
    )
    return made, secret


def rotate_api_key(
    connection: Write,
    organization_id: OrganizationId,
    *,
    key_id: UUID,
    lifetime: timedelta,
    overlap: timedelta,
    now: datetime,
) -> tuple[Mapping[Any, Any], str]:
    """Give a key a new secret; the one before stays good for `overlap`, so that no machine fails in between.

    Raises:
        NotFoundError: this organization has no such key.
    """
    secret = keys.make()
    rotated = queries.rotate_api_key(
        connection,
        organization_id,
        key_id,
        secret_hash=keys.digest(secret),
        prefix=secret[: keys.SHOWN],
        expires_at=now + lifetime,
        previous_until=now + overlap,
    )
    if rotated is None:
        raise NotFoundError(NO_KEY)
    return rotated, secret


def revoke_api_key(connection: Write, organization_id: OrganizationId, *, key_id: UUID) -> None:
    """Let a key be good no longer, its secrets old and new.

    Raises:
        NotFoundError: this organization has no such key.
    """
    if queries.delete_api_key(connection, organization_id, key_id) is None:
        raise NotFoundError(NO_KEY)
