"""SQL of sign-in."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import RowMapping, insert, select, update
from sqlalchemy.exc import IntegrityError

from shared_code.database.tables import organizations, users
from shared_code.database.tables.organizations import SubscriptionStatus, Tier, UserRole
from shared_code.database.transactions import Read, SignIn, Write
from shared_code.errors import ConflictError
from shared_code.identifiers import OrganizationId, UserId


class Identity(NamedTuple):
    """Who somebody is, as an issuer proved; an e-mail is not that."""

    issuer: str
    tenant: str
    object_id: str


class KnownUser(NamedTuple):
    """A user, and the organization that they belong to."""

    organization_id: OrganizationId
    user_id: UserId


# organization-free: sign-in knows an identity before it knows an organization
def find_user(connection: SignIn, identity: Identity) -> KnownUser | None:
    """Return whose identity this is, or None for somebody new."""
    found = connection.execute(
        select(users.c.organization_id, users.c.id).where(
            users.c.identity_issuer == identity.issuer,
            users.c.identity_tenant == identity.tenant,
            users.c.identity_object == identity.object_id,
        )
    ).one_or_none()
    return KnownUser(OrganizationId(found.organization_id), UserId(found.id)) if found else None


def get_member(connection: Read | Write, organization_id: OrganizationId, user_id: UserId) -> RowMapping:
    """Return what a session says about a user."""
    query = (
        select(
            users.c.id.label("sub"),
            users.c.email,
            users.c.role,
            organizations.c.id.label("organization_id"),
            organizations.c.name.label("organization_name"),
            organizations.c.subscription_tier,
        )
        .join_from(users, organizations, organizations.c.id == users.c.organization_id)
        .where(users.c.organization_id == organization_id, users.c.id == user_id)
    )
    return connection.execute(query).mappings().one()


def add_organization(
    connection: Write,
    organization_id: OrganizationId,
    *,
    name: str,
    slug: str,
    max_compressors: int | None,
    now: datetime,
) -> None:
    """Add an organization on the Free plan."""
    connection.execute(
        insert(organizations).values(
            id=organization_id,
            name=name,
            slug=slug,
            subscription_tier=Tier.FREE,
            subscription_status=SubscriptionStatus.ACTIVE,
            max_compressors=max_compressors,
            created_at=now,
            updated_at=now,
        )
    )


def add_owner(
    connection: Write,
    organization_id: OrganizationId,
    *,
    user_id: UserId,
    identity: Identity,
    email: str,
    name: str,
    now: datetime,
) -> None:
    """Add the organization's owner.

    Raises:
        ConflictError: the identity has become a user in the meantime; the transaction is of no more use.
    """
    try:
        connection.execute(
            insert(users).values(
                organization_id=organization_id,
                id=user_id,
                email=email,
                name=name,
                identity_issuer=identity.issuer,
                identity_tenant=identity.tenant,
                identity_object=identity.object_id,
                role=UserRole.OWNER,
                created_at=now,
            )
        )
    except IntegrityError as error:
        raise ConflictError("this identity is a user already") from error


def record_sign_in(connection: Write, organization_id: OrganizationId, user_id: UserId, *, now: datetime) -> None:
    """Note when a user last signed in."""
    connection.execute(
        update(users).where(users.c.organization_id == organization_id, users.c.id == user_id).values(last_login_at=now)
    )
