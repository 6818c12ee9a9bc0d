"""SQL of the organization's own affairs."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, and_, delete, func, insert, or_, select, update

from shared_code.database.tables import api_keys
from shared_code.database.transactions import Read, Write
from shared_code.identifiers import OrganizationId


def list_api_keys(
    connection: Read, organization_id: OrganizationId, *, after: tuple[datetime, UUID] | None, limit: int
) -> Sequence[RowMapping]:
    """Return up to `limit` keys in the order in which they were made."""
    key = api_keys.c
    query = select(api_keys).where(key.organization_id == organization_id).order_by(key.created_at, key.id)
    if after is not None:
        at, key_id = after
        query = query.where(or_(key.created_at > at, and_(key.created_at == at, key.id > key_id)))
    return connection.execute(query.limit(limit)).mappings().all()


def add_api_key(connection: Write, organization_id: OrganizationId, values: dict[str, Any]) -> RowMapping:
    """Add a key and return it."""
    statement = insert(api_keys).values(organization_id=organization_id, **values).returning(api_keys)
    return connection.execute(statement).mappings().one()


def rotate_api_key(
    connection: Write,
    organization_id: OrganizationId,
    key_id: UUID,
    *,
    secret_hash: str,
    prefix: str,
    expires_at: datetime,
    previous_until: datetime,
) -> RowMapping | None:
    """Give a key another secret, keep the one before until `previous_until`, and return the key; None: no such key."""
    key = api_keys.c
    statement = (
        update(api_keys)
        .where(key.organization_id == organization_id, key.id == key_id)
        .values(
            secret_hash=secret_hash,
            prefix=prefix,
            expires_at=expires_at,
            previous_secret_hash=key.secret_hash,
            previous_until=func.least(key.expires_at, previous_until),
        )
        .returning(api_keys)
    )
    return connection.execute(statement).mappings().one_or_none()


def delete_api_key(connection: Write, organization_id: OrganizationId, key_id: UUID) -> RowMapping | None:
    """Delete a key and return what it was; None: no such key."""
    key = api_keys.c
    statement = delete(api_keys).where(key.organization_id == organization_id, key.id == key_id).returning(api_keys)
    return connection.execute(statement).mappings().one_or_none()
