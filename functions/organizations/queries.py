"""SQL of the organization's own affairs."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Column, ColumnElement, RowMapping, and_, delete, func, insert, or_, select, update

from shared_code.database.tables import api_keys, audit_log, invitations, organizations, users
from shared_code.database.tables.organizations import UserRole
from shared_code.database.transactions import Read, Write
from shared_code.identifiers import OrganizationId, UserId


def list_api_keys(
    connection: Read, organization_id: OrganizationId, *, after: tuple[datetime, UUID] | None, limit: int
) -> Sequence[RowMapping]:
    """Return up to `limit` keys in the order in which they were made."""
    key = api_keys.c
    query = select(api_keys).where(key.organization_id == organization_id).order_by(key.created_at, key.id)
    if after is not None:
        query = query.where(_later(key.created_at, key.id, after))
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


def get_organization(connection: Read | Write, organization_id: OrganizationId) -> RowMapping:
    """Return the organization."""
    query = select(organizations).where(organizations.c.id == organization_id)
    return connection.execute(query).mappings().one()


def rename_organization(connection: Write, organization_id: OrganizationId, *, name: str, now: datetime) -> None:
    """Give the organization another name."""
    connection.execute(
        update(organizations).where(organizations.c.id == organization_id).values(name=name, updated_at=now)
    )


def list_members(
    connection: Read, organization_id: OrganizationId, *, after: tuple[datetime, UUID] | None, limit: int
) -> Sequence[RowMapping]:
    """Return up to `limit` members in the order in which they came."""
    user = users.c
    query = select(users).where(user.organization_id == organization_id).order_by(user.created_at, user.id)
    if after is not None:
        query = query.where(_later(user.created_at, user.id, after))
    return connection.execute(query.limit(limit)).mappings().all()


def find_member(connection: Read | Write, organization_id: OrganizationId, user_id: UserId) -> RowMapping | None:
    """Return a member, or None."""
    query = select(users).where(users.c.organization_id == organization_id, users.c.id == user_id)
    return connection.execute(query).mappings().one_or_none()


def count_owners(connection: Write, organization_id: OrganizationId) -> int:
    """Return how many owners the organization has."""
    query = select(func.count()).where(users.c.organization_id == organization_id, users.c.role == UserRole.OWNER)
    return connection.execute(query).scalar_one()


def set_role(connection: Write, organization_id: OrganizationId, user_id: UserId, role: UserRole) -> None:
    """Give a member a role."""
    connection.execute(
        update(users).where(users.c.organization_id == organization_id, users.c.id == user_id).values(role=role)
    )


def delete_member(connection: Write, organization_id: OrganizationId, user_id: UserId) -> None:
    """Remove a member, and with them their sessions."""
    connection.execute(delete(users).where(users.c.organization_id == organization_id, users.c.id == user_id))


def add_invitation(connection: Write, organization_id: OrganizationId, values: dict[str, Any]) -> RowMapping:
    """Add an invitation and return it."""
    statement = insert(invitations).values(organization_id=organization_id, **values).returning(invitations)
    return connection.execute(statement).mappings().one()


def list_invitations(
    connection: Read, organization_id: OrganizationId, *, after: tuple[datetime, UUID] | None, limit: int
) -> Sequence[RowMapping]:
    """Return up to `limit` invitations in the order in which they were made."""
    invitation = invitations.c
    query = (
        select(invitations)
        .where(invitation.organization_id == organization_id)
        .order_by(invitation.created_at, invitation.id)
    )
    if after is not None:
        query = query.where(_later(invitation.created_at, invitation.id, after))
    return connection.execute(query.limit(limit)).mappings().all()


def claim_invitation(
    connection: Write, organization_id: OrganizationId, invitation_id: UUID, *, user_id: UserId, now: datetime
) -> RowMapping | None:
    """Mark an invitation that still stands as accepted and return it; None where it does not, or another was first."""
    statement = (
        update(invitations)
        .where(*_standing(organization_id, invitation_id), invitations.c.expires_at > now)
        .values(accepted_at=now, accepted_by=user_id)
        .returning(invitations)
    )
    return connection.execute(statement).mappings().one_or_none()


def revoke_invitation(
    connection: Write, organization_id: OrganizationId, invitation_id: UUID, *, now: datetime
) -> RowMapping | None:
    """Mark an invitation that was not accepted as revoked and return it; None: there is no such."""
    statement = (
        update(invitations)
        .where(*_standing(organization_id, invitation_id))
        .values(revoked_at=now)
        .returning(invitations)
    )
    return connection.execute(statement).mappings().one_or_none()


def list_audit_log(
    connection: Read, organization_id: OrganizationId, *, before: tuple[datetime, UUID] | None, limit: int
) -> Sequence[RowMapping]:
    """Return up to `limit` entries of the audit log, the newest first."""
    entry = audit_log.c
    query = (
        select(audit_log)
        .where(entry.organization_id == organization_id)
        .order_by(entry.occurred_at.desc(), entry.id.desc())
    )
    if before is not None:
        at, entry_id = before
        query = query.where(or_(entry.occurred_at < at, and_(entry.occurred_at == at, entry.id < entry_id)))
    return connection.execute(query.limit(limit)).mappings().all()


def _standing(organization_id: OrganizationId, invitation_id: UUID) -> tuple[ColumnElement[bool], ...]:
    invitation = invitations.c
    return (
        invitation.organization_id == organization_id,
        invitation.id == invitation_id,
        invitation.accepted_at.is_(None),
        invitation.revoked_at.is_(None),
    )


def _later(at: Column[Any], identifier: Column[Any], after: tuple[datetime, UUID]) -> ColumnElement[bool]:
    """Return the condition of coming after a position; tuples cannot be compared on every database."""
    return or_(at > after[0], and_(at == after[0], identifier > after[1]))
