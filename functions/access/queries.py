"""SQL of sign-in, sessions, and keys that are presented."""

from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import RowMapping, and_, case, delete, func, insert, null, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import IntegrityError

from functions.access.sessions import LIFETIME, LONGEST, REFRESH_GRACE, Session
from shared_code.database.tables import (
    api_keys,
    audit_log,
    idempotent_requests,
    organization_versions,
    organizations,
    sessions,
    sign_in_attempts,
    users,
)
from shared_code.database.tables.organizations import SubscriptionStatus, Tier, UserRole
from shared_code.database.transactions import Attempt, KeyHolder, Read, SignIn, Write
from shared_code.errors import ConflictError
from shared_code.identifiers import OrganizationId, UserId

FORGOTTEN_AT_ONCE: Final = 100

_VERSION = func.coalesce(organization_versions.c.version, 0).label("version")


class Identity(NamedTuple):
    """Who somebody is, as an issuer proved; an e-mail is not that."""

    issuer: str
    tenant: str
    object_id: str


class Person(NamedTuple):
    """Somebody, by their identity and by what is shown of them."""

    identity: Identity
    email: str
    name: str


class KnownUser(NamedTuple):
    """A user, and the organization that they belong to."""

    organization_id: OrganizationId
    user_id: UserId


# organization-free: sign-in knows an identity before it knows an organization
def list_users(connection: SignIn, identity: Identity) -> list[KnownUser]:
    """Return who this identity is in each of its organizations, the one last used first."""
    query = (
        select(users.c.organization_id, users.c.id)
        .where(
            users.c.identity_issuer == identity.issuer,
            users.c.identity_tenant == identity.tenant,
            users.c.identity_object == identity.object_id,
        )
        .order_by(func.coalesce(users.c.last_login_at, users.c.created_at).desc(), users.c.organization_id)
    )
    return [KnownUser(OrganizationId(row.organization_id), UserId(row.id)) for row in connection.execute(query)]


def get_identity(connection: Read | Write, organization_id: OrganizationId, user_id: UserId) -> Identity:
    """Return who a member is beyond this organization."""
    query = select(users.c.identity_issuer, users.c.identity_tenant, users.c.identity_object).where(
        users.c.organization_id == organization_id, users.c.id == user_id
    )
    return Identity(*connection.execute(query).one())


def get_member(connection: Read | Write, organization_id: OrganizationId, user_id: UserId) -> RowMapping:
    """Return what a session says about a user."""
    query = (
        select(
            users.c.id.label("sub"),
            users.c.email,
            users.c.name,
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


def add_user(
    connection: Write,
    organization_id: OrganizationId,
    person: Person,
    *,
    user_id: UserId,
    role: UserRole,
    founder: bool,
    now: datetime,
) -> None:
    """Add a person to the organization.

    Raises:
        ConflictError: the identity has become a user in the meantime; the transaction is of no more use.
    """
    try:
        connection.execute(
            insert(users).values(
                organization_id=organization_id,
                id=user_id,
                email=person.email,
                name=person.name,
                identity_issuer=person.identity.issuer,
                identity_tenant=person.identity.tenant,
                identity_object=person.identity.object_id,
                role=role,
                founder=founder,
                created_at=now,
            )
        )
    except IntegrityError as error:
        raise ConflictError("you belong to this organization already") from error


def record_sign_in(connection: Write, organization_id: OrganizationId, user_id: UserId, *, now: datetime) -> None:
    """Note when a user last signed in."""
    connection.execute(
        update(users).where(users.c.organization_id == organization_id, users.c.id == user_id).values(last_login_at=now)
    )


def add_session(connection: Write, organization_id: OrganizationId, session: Session, *, now: datetime) -> None:
    """Keep a new session, and forget those of the same person that have run out."""
    connection.execute(
        delete(sessions).where(
            sessions.c.organization_id == organization_id,
            sessions.c.user_id == session.sub,
            sessions.c.expires_at <= now,
        )
    )
    connection.execute(
        insert(sessions).values(
            organization_id=organization_id,
            id=session.sid,
            user_id=session.sub,
            token_id=session.jti,
            created_at=session.issued_at,
            refreshed_at=session.issued_at,
            expires_at=session.expires_at,
            ends_at=session.issued_at + LONGEST,
        )
    )


def find_session(connection: Read | Write, organization_id: OrganizationId, session_id: UUID) -> RowMapping | None:
    """Return how a session stands, with the person, the organization and its version as they are now."""
    query = (
        select(
            sessions.c.token_id,
            sessions.c.previous_token_id,
            sessions.c.refreshed_at,
            sessions.c.expires_at,
            sessions.c.ended_at,
            users.c.email,
            users.c.role,
            organizations.c.name.label("organization_name"),
            organizations.c.subscription_tier,
            _VERSION,
        )
        .join_from(
            sessions,
            users,
            and_(users.c.organization_id == sessions.c.organization_id, users.c.id == sessions.c.user_id),
        )
        .join(organizations, organizations.c.id == sessions.c.organization_id)
        .outerjoin(organization_versions, organization_versions.c.organization_id == sessions.c.organization_id)
        .where(sessions.c.organization_id == organization_id, sessions.c.id == session_id)
    )
    return connection.execute(query).mappings().one_or_none()


def refresh_session(
    connection: Write,
    organization_id: OrganizationId,
    session_id: UUID,
    *,
    token_id: UUID,
    successor: UUID,
    now: datetime,
) -> RowMapping | None:
    """Make `successor` the session's token in the place of `token_id`, and return how the session stands then.

    One statement, so that of refreshes side by side one decides and the others, within the grace, get what it decided.
    A token that was refreshed longer ago is in two hands: the session ends. None: there is no such session any more.
    """
    session = sessions.c
    in_grace = and_(session.previous_token_id.is_not(None), session.refreshed_at > now - REFRESH_GRACE)
    newest = session.token_id == token_id
    # Within the grace nothing is rotated again: only the last token but one needs to be remembered.
    rotates = and_(newest, ~in_grace)
    replays = and_(in_grace, or_(newest, session.previous_token_id == token_id))
    statement = (
        update(sessions)
        .where(
            session.organization_id == organization_id,
            session.id == session_id,
            session.ended_at.is_(None),
            session.expires_at > now,
        )
        .values(
            previous_token_id=case((rotates, session.token_id), else_=session.previous_token_id),
            token_id=case((rotates, successor), else_=session.token_id),
            refreshed_at=case((rotates, now), else_=session.refreshed_at),
            expires_at=case((rotates, func.least(now + LIFETIME, session.ends_at)), else_=session.expires_at),
            ended_at=case((or_(rotates, replays), null()), else_=now),
        )
        .returning(session.user_id, session.token_id, session.refreshed_at, session.expires_at, session.ended_at)
    )
    return connection.execute(statement).mappings().one_or_none()


def end_session(connection: Write, organization_id: OrganizationId, session_id: UUID, *, now: datetime) -> bool:
    """End a session; return whether there was one that had not ended."""
    ended = connection.execute(
        update(sessions)
        .where(
            sessions.c.organization_id == organization_id, sessions.c.id == session_id, sessions.c.ended_at.is_(None)
        )
        .values(ended_at=now)
    )
    return ended.rowcount > 0


# organization-free: who presents a key proves by it which organization
def find_api_key(connection: KeyHolder, digest: str, *, now: datetime) -> RowMapping | None:
    """Return the key of this digest where it is still good, as the newest secret or the one before."""
    newest = and_(api_keys.c.secret_hash == digest, api_keys.c.expires_at > now)
    previous = and_(api_keys.c.previous_secret_hash == digest, api_keys.c.previous_until > now)
    return connection.execute(select(api_keys).where(or_(newest, previous))).mappings().one_or_none()


def get_plan_and_version(connection: Read | Write, organization_id: OrganizationId) -> tuple[Tier, int]:
    """Return the plan that an organization is on, and the version of its data."""
    query = (
        select(organizations.c.subscription_tier, _VERSION)
        .outerjoin(organization_versions, organization_versions.c.organization_id == organizations.c.id)
        .where(organizations.c.id == organization_id)
    )
    found = connection.execute(query).one()
    return Tier(found.subscription_tier), found.version


def record_key_use(connection: Write, organization_id: OrganizationId, key_id: UUID, *, now: datetime) -> None:
    """Note when a key was last used."""
    connection.execute(
        update(api_keys)
        .where(api_keys.c.organization_id == organization_id, api_keys.c.id == key_id)
        .values(last_used_at=now)
    )


def add_audit_entry(connection: Write, organization_id: OrganizationId, values: dict[str, Any]) -> None:
    """Add an entry to the audit log."""
    connection.execute(insert(audit_log).values(organization_id=organization_id, **values))


class KnownRequest(NamedTuple):
    """A request that came with an Idempotency-Key, and what it was told, sealed."""

    fingerprint: str
    answer: bytes | None


def claim_request(
    connection: Write,
    organization_id: OrganizationId,
    key_hash: str,
    *,
    fingerprint: str,
    expires_at: datetime,
    now: datetime,
) -> bool:
    """Note a request under its key; false where one is noted that has not run out.

    Where another transaction is just noting one, this waits for its end.
    """
    values = {"fingerprint": fingerprint, "expires_at": expires_at, "answer": null()}
    statement = upsert(idempotent_requests).values(organization_id=organization_id, key_hash=key_hash, **values)
    claimed = statement.on_conflict_do_update(
        index_elements=["organization_id", "key_hash"], set_=values, where=idempotent_requests.c.expires_at <= now
    )
    return connection.execute(claimed.returning(idempotent_requests.c.key_hash)).one_or_none() is not None


def get_request(connection: Write, organization_id: OrganizationId, key_hash: str) -> KnownRequest:
    """Return what is noted under a key."""
    noted = idempotent_requests.c
    query = select(noted.fingerprint, noted.answer).where(
        noted.organization_id == organization_id, noted.key_hash == key_hash
    )
    return KnownRequest(*connection.execute(query).one())


def keep_answer(connection: Write, organization_id: OrganizationId, key_hash: str, answer: bytes) -> None:
    """Keep what a request under a key was told."""
    noted = idempotent_requests.c
    connection.execute(
        update(idempotent_requests)
        .where(noted.organization_id == organization_id, noted.key_hash == key_hash)
        .values(answer=answer)
    )


def forget_requests(connection: Write, organization_id: OrganizationId, *, before: datetime) -> None:
    """Forget some of the organization's requests that have run out: a few for each that is new, and none twice."""
    noted = idempotent_requests.c
    old = (
        select(noted.key_hash)
        .where(noted.organization_id == organization_id, noted.expires_at <= before)
        .limit(FORGOTTEN_AT_ONCE)
        .with_for_update(skip_locked=True)
        .cte()  # a subquery would be asked anew for each row, and would delete them all
    )
    connection.execute(
        delete(idempotent_requests).where(
            noted.organization_id == organization_id, noted.key_hash.in_(select(old.c.key_hash))
        )
    )


# organization-free: nobody has proven yet who they are
def add_sign_in_attempt(
    connection: Attempt, state_hash: str, *, flow: dict[str, Any], expires_at: datetime, now: datetime
) -> None:
    """Keep a sign-in that begins, and clear away those that nobody finished."""
    connection.execute(delete(sign_in_attempts).where(sign_in_attempts.c.expires_at < now))
    connection.execute(insert(sign_in_attempts).values(state_hash=state_hash, flow=flow, expires_at=expires_at))


# organization-free: nobody has proven yet who they are
def take_sign_in_attempt(connection: Attempt, state_hash: str, *, now: datetime) -> dict[str, Any] | None:
    """Remove a sign-in that has begun and return what finishes it; None: there is none, or its answer came before."""
    statement = (
        delete(sign_in_attempts)
        .where(sign_in_attempts.c.state_hash == state_hash, sign_in_attempts.c.expires_at > now)
        .returning(sign_in_attempts.c.flow)
    )
    return connection.execute(statement).scalar_one_or_none()


def lock_organization(connection: Write, organization_id: OrganizationId) -> None:
    """Let changes that must not cross each other happen one after the other in an organization.

    An update that changes nothing holds the row, until the transaction ends, on every database; SELECT .. FOR UPDATE
    does not.
    """
    own = organizations.c
    connection.execute(update(organizations).where(own.id == organization_id).values(updated_at=own.updated_at))
