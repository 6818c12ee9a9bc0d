"""What the people of an organization do about it."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from functions.access import actions as access
from functions.access import audit, invitations, keys
from functions.access import queries as access_queries
from functions.access.audit import Origin
from functions.access.keys import Scope
from functions.access.queries import KnownUser, Person
from functions.access.roles import RANKS
from functions.access.sessions import Session
from functions.mail import send
from functions.organizations import mail, queries
from functions.settings import Settings
from shared_code.database import transactions
from shared_code.database.tables.organizations import UserRole
from shared_code.database.transactions import Write
from shared_code.errors import ConflictError, ForbiddenError, NotFoundError
from shared_code.identifiers import OrganizationId, UserId

NO_KEY = "there is no such API key"
NO_MEMBER = "there is no such member"
LAST_OWNER = "an organization keeps at least one owner: make somebody else an owner first"
OWNERS_ONLY = "only an owner makes somebody an owner or changes one"


def create_api_key(
    connection: Write,
    organization_id: OrganizationId,
    *,
    name: str,
    scopes: Collection[Scope],
    lifetime: timedelta,
    by: Session,
    origin: Origin,
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
    audit.record(
        connection,
        organization_id,
        "api_key.created",
        by=by,
        origin=origin,
        now=now,
        target=made["id"],
        details={"name": name, "scopes": made["scopes"]},
    )
    return made, secret


def rotate_api_key(
    connection: Write,
    organization_id: OrganizationId,
    *,
    key_id: UUID,
    lifetime: timedelta,
    overlap: timedelta,
    by: Session,
    origin: Origin,
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
    audit.record(
        connection,
        organization_id,
        "api_key.rotated",
        by=by,
        origin=origin,
        now=now,
        target=key_id,
        details={"name": rotated["name"], "previous_until": rotated["previous_until"].isoformat()},
    )
    return rotated, secret


def revoke_api_key(
    connection: Write, organization_id: OrganizationId, *, key_id: UUID, by: Session, origin: Origin, now: datetime
) -> None:
    """Let a key be good no longer, its secrets old and new.

    Raises:
        NotFoundError: this organization has no such key.
    """
    revoked = queries.delete_api_key(connection, organization_id, key_id)
    if revoked is None:
        raise NotFoundError(NO_KEY)
    audit.record(
        connection,
        organization_id,
        "api_key.revoked",
        by=by,
        origin=origin,
        now=now,
        target=key_id,
        details={"name": revoked["name"]},
    )


def rename_organization(
    connection: Write, organization_id: OrganizationId, *, name: str, by: Session, origin: Origin, now: datetime
) -> Mapping[Any, Any]:
    """Give the organization another name; return it."""
    queries.rename_organization(connection, organization_id, name=name, now=now)
    details = {"from": by.organization_name, "to": name}
    audit.record(connection, organization_id, "organization.renamed", by=by, origin=origin, now=now, details=details)
    return queries.get_organization(connection, organization_id)


def change_member_role(
    connection: Write,
    organization_id: OrganizationId,
    *,
    user_id: UserId,
    role: UserRole,
    by: Session,
    origin: Origin,
    now: datetime,
) -> Mapping[Any, Any]:
    """Give a member another role, from their next request on; return them.

    Raises:
        NotFoundError: nobody such belongs to this organization.
        ForbiddenError: it is about an owner, and no owner asks.
        ConflictError: they are the last owner.
    """
    member = _member_to_change(connection, organization_id, user_id, by)
    if role is UserRole.OWNER and not _is_owner(connection, organization_id, by):
        raise ForbiddenError(OWNERS_ONLY)
    if role is not UserRole.OWNER:
        _refuse_last_owner(connection, organization_id, member)
    queries.set_role(connection, organization_id, user_id, role)
    details = {"email": member["email"], "from": member["role"], "to": role}
    audit.record(
        connection,
        organization_id,
        "member.role_changed",
        by=by,
        origin=origin,
        now=now,
        target=user_id,
        details=details,
    )
    return {**member, "role": role}


def remove_member(
    connection: Write, organization_id: OrganizationId, *, user_id: UserId, by: Session, origin: Origin, now: datetime
) -> None:
    """Remove a member, who is out from their next request on. Whoever is no admin may remove themself.

    Raises:
        NotFoundError: nobody such belongs to this organization.
        ForbiddenError: the caller may not remove them.
        ConflictError: they are the last owner.
    """
    member = _member_to_change(connection, organization_id, user_id, by)
    if user_id != by.sub and RANKS.index(by.role) < RANKS.index(UserRole.ADMIN):
        raise ForbiddenError("removing somebody else takes the role admin or higher")
    _refuse_last_owner(connection, organization_id, member)
    queries.delete_member(connection, organization_id, user_id)
    details = {"email": member["email"], "role": member["role"]}
    audit.record(
        connection, organization_id, "member.removed", by=by, origin=origin, now=now, target=user_id, details=details
    )


def _member_to_change(
    connection: Write, organization_id: OrganizationId, user_id: UserId, by: Session
) -> Mapping[Any, Any]:
    """Return a member that the caller may change, with nobody else changing members until the transaction ends."""
    access_queries.lock_organization(connection, organization_id)
    member = queries.find_member(connection, organization_id, user_id)
    if member is None:
        raise NotFoundError(NO_MEMBER)
    if member["role"] == UserRole.OWNER and not _is_owner(connection, organization_id, by):
        raise ForbiddenError(OWNERS_ONLY)
    return member


def _is_owner(connection: Write, organization_id: OrganizationId, by: Session) -> bool:
    """Ask anew: while this transaction waited for the lock, another may have changed who asks."""
    found = queries.find_member(connection, organization_id, by.sub)
    return found is not None and found["role"] == UserRole.OWNER


def _refuse_last_owner(connection: Write, organization_id: OrganizationId, member: Mapping[Any, Any]) -> None:
    if member["role"] == UserRole.OWNER and queries.count_owners(connection, organization_id) == 1:
        raise ConflictError(LAST_OWNER)


def create_invitation(
    connection: Write,
    organization_id: OrganizationId,
    *,
    email: str,
    role: UserRole,
    by: Session,
    settings: Settings,
    origin: Origin,
    now: datetime,
) -> tuple[Mapping[Any, Any], str | None]:
    """Invite somebody by e-mail where it can be sent; return the invitation and, where it cannot, its link.

    Raises:
        ForbiddenError: an owner is invited, and no owner asks.
        UnavailableError: the e-mail was not taken; then nobody is invited.
    """
    if role is UserRole.OWNER and by.role is not UserRole.OWNER:
        raise ForbiddenError(OWNERS_ONLY)
    expires_at = now.replace(microsecond=0) + invitations.LIFETIME
    invited = queries.add_invitation(
        connection,
        organization_id,
        {
            "id": uuid4(),
            "email": email,
            "role": role,
            "invited_by": by.email,
            "created_at": now,
            "expires_at": expires_at,
        },
    )
    audit.record(
        connection,
        organization_id,
        "invitation.created",
        by=by,
        origin=origin,
        now=now,
        target=invited["id"],
        details={"email": email, "role": role},
    )
    token = invitations.sign(organization_id, invited["id"], expires_at=expires_at, key=settings.session_key)
    # Behind the # it reaches no server and no log before the page that it opens sends it on purpose.
    link = f"{settings.access.altaviz_public_url}/invitations/accept#token={token}"
    if not settings.mail.sends:
        return invited, link
    send(settings.mail, mail.invitation(invited, organization_name=by.organization_name, link=link))
    return invited, None


def revoke_invitation(
    connection: Write,
    organization_id: OrganizationId,
    *,
    invitation_id: UUID,
    by: Session,
    origin: Origin,
    now: datetime,
) -> None:
    """Let an invitation be good no longer.

    Raises:
        NotFoundError: this organization has none such that was not accepted.
    """
    revoked = queries.revoke_invitation(connection, organization_id, invitation_id, now=now)
    if revoked is None:
        raise NotFoundError("there is no such invitation that is still open")
    audit.record(
        connection,
        organization_id,
        "invitation.revoked",
        by=by,
        origin=origin,
        now=now,
        target=invitation_id,
        details={"email": revoked["email"]},
    )


def accept_invitation(
    connection: Write, *, token: str, by: Session, key: str, origin: Origin, now: datetime
) -> Session:
    """Let the caller, who holds the invitation's link, join the organization that invites; go on there.

    Raises:
        NotFoundError: the invitation is not valid or does not stand any more.
        ConflictError: the caller belongs to that organization already.
    """
    invitation = invitations.verify(token, key, now=now)
    organization_id, user_id = invitation.organization_id, UserId(uuid4())
    shown = access_queries.get_member(connection, by.organization_id, by.sub)
    access.end_session(connection, by, origin=origin, now=now)
    proven, identity = access.prove_again(connection, by)
    places = access_queries.list_users(proven, identity)
    if organization_id in {place.organization_id for place in places}:
        raise ConflictError("you belong to this organization already")
    entered = transactions.enter(proven, organization_id)
    claimed = queries.claim_invitation(entered, organization_id, invitation.jti, user_id=user_id, now=now)
    if claimed is None:
        raise NotFoundError(invitations.REFUSED)
    access_queries.add_user(
        entered,
        organization_id,
        Person(identity, shown["email"], shown["name"]),
        user_id=user_id,
        role=UserRole(claimed["role"]),
        founder=False,
        now=now,
    )
    begun = access.begin_session(proven, KnownUser(organization_id, user_id), origin=origin, now=now)
    details = {"email": claimed["email"], "role": claimed["role"], "invited_by": claimed["invited_by"]}
    audit.record(
        entered,
        organization_id,
        "invitation.accepted",
        by=begun,
        origin=origin,
        now=now,
        target=invitation.jti,
        details=details,
    )
    return begun
