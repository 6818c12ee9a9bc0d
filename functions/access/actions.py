"""From a proven identity to a session and its end; from a key to its organization."""

import re
import secrets
from datetime import datetime, timedelta
from typing import Final
from uuid import uuid4

from functions.access import audit, entra, keys, queries, sessions
from functions.access.audit import Origin
from functions.access.keys import Key, PresentedKey, Scope
from functions.access.queries import Identity, KnownUser, Person
from functions.access.sessions import REFUSED, Member, Session, Standing
from functions.plans import plans
from functions.settings import AccessSettings
from shared_code.database import transactions
from shared_code.database.demo import DEVELOPMENT_ISSUER
from shared_code.database.engines import Database
from shared_code.database.tables.organizations import Tier, UserRole
from shared_code.database.transactions import KeyHolder, Read, SignIn, Write
from shared_code.errors import ConflictError, ForbiddenError, NotFoundError, UnauthorizedError
from shared_code.identifiers import OrganizationId, UserId

DEVELOPMENT_TENANT: Final = "development"
ATTEMPT_LIFETIME: Final = timedelta(minutes=10)
"""How long somebody may take to sign in at the provider."""


def sign_in_for_development(
    *, database: Database, settings: AccessSettings, email: str, origin: Origin, now: datetime
) -> Session:
    """Begin a session for an e-mail on the allow-list; nothing else is proven.

    Raises:
        ForbiddenError: the e-mail is not on it, or there are no development credentials here; not said which.
    """
    if not settings.dev_credentials_enabled or email not in settings.dev_credentials_allow_list:
        raise ForbiddenError("development credentials are not open to this e-mail")
    identity = Identity(DEVELOPMENT_ISSUER, DEVELOPMENT_TENANT, email)
    person = Person(identity, email, email.partition("@")[0][:150])
    return sign_in(database=database, person=person, origin=origin, now=now)


def begin_entra_sign_in(*, database: Database, settings: AccessSettings, now: datetime) -> tuple[str, str]:
    """Begin a sign-in with Entra; return where to send the browser and the state that it must bring back.

    Raises:
        UnavailableError: Entra is not set up here, or does not answer.
    """
    state = secrets.token_urlsafe(32)
    attempt = entra.start(settings, state=state)
    with transactions.sign_in_attempt(database, keys.digest(state)) as connection:
        queries.add_sign_in_attempt(
            connection, keys.digest(state), flow=attempt.flow, expires_at=now + ATTEMPT_LIFETIME, now=now
        )
    return attempt.url, state


def complete_entra_sign_in(
    *, database: Database, settings: AccessSettings, state: str, code: str, origin: Origin, now: datetime
) -> Session:
    """Begin the session of whoever comes back from Entra; an answer is taken once.

    Raises:
        UnauthorizedError: no such sign-in has begun, or Entra does not prove who it is.
        UnavailableError: Entra does not answer.
    """
    with transactions.sign_in_attempt(database, keys.digest(state)) as connection:
        flow = queries.take_sign_in_attempt(connection, keys.digest(state), now=now)
    if flow is None:
        raise UnauthorizedError(entra.REFUSED)
    person = entra.finish(settings, flow, state=state, code=code, now=now)
    return sign_in(database=database, person=person, origin=origin, now=now)


def sign_in(*, database: Database, person: Person, origin: Origin, now: datetime) -> Session:
    """Begin a session for somebody who has proven who they are; a new one becomes the owner of a new organization."""
    try:
        return _sign_in(database, person, origin, now)
    except ConflictError:
        # Two first sign-ins at once: the other made the user, and now we find it.
        return _sign_in(database, person, origin, now)


def _sign_in(database: Database, person: Person, origin: Origin, now: datetime) -> Session:
    identity = person.identity
    with transactions.sign_in(
        database, issuer=identity.issuer, tenant=identity.tenant, object_id=identity.object_id
    ) as connection:
        known = queries.list_users(connection, identity)
        user = known[0] if known else _found_organization(connection, person, now)
        return begin_session(connection, user, origin=origin, now=now)


def begin_session(connection: SignIn, user: KnownUser, *, origin: Origin, now: datetime) -> Session:
    """Begin a session of somebody who has proven who they are, in one of their organizations."""
    entered = transactions.enter(connection, user.organization_id)
    queries.record_sign_in(entered, user.organization_id, user.user_id, now=now)
    session = sessions.start(_member(entered, user), now=now)
    queries.add_session(entered, user.organization_id, session, now=now)
    audit.record(entered, user.organization_id, "session.began", by=session, origin=origin, now=now, target=session.sid)
    return session


def end_session(connection: Write, session: Session, *, origin: Origin, now: datetime) -> None:
    """End a session, for every token of it; nothing happens where it has ended."""
    if queries.end_session(connection, session.organization_id, session.sid, now=now):
        audit.record(
            connection, session.organization_id, "session.ended", by=session, origin=origin, now=now, target=session.sid
        )


def prove_again(connection: Read | Write, session: Session) -> tuple[SignIn, Identity]:
    """Let a member's transaction see the same person's places in other organizations; return who they are there."""
    identity = queries.get_identity(connection, session.organization_id, session.sub)
    proven = transactions.identify(
        connection, issuer=identity.issuer, tenant=identity.tenant, object_id=identity.object_id
    )
    return proven, identity


def list_organizations(connection: Read, session: Session) -> list[Member]:
    """Return who the caller is in each organization that they belong to, the one last used first."""
    proven, identity = prove_again(connection, session)
    return [
        _member(transactions.enter(proven, user.organization_id), user) for user in queries.list_users(proven, identity)
    ]


def switch_organization(
    connection: Write, session: Session, *, organization_id: OrganizationId, origin: Origin, now: datetime
) -> Session:
    """End the session, and begin one of the same person in another organization of theirs.

    Raises:
        NotFoundError: they belong to no such organization.
    """
    end_session(connection, session, origin=origin, now=now)
    proven, identity = prove_again(connection, session)
    user = next(
        (each for each in queries.list_users(proven, identity) if each.organization_id == organization_id), None
    )
    if user is None:
        raise NotFoundError("you belong to no such organization")
    return begin_session(proven, user, origin=origin, now=now)


def confirm(connection: Read | Write, claims: Session, *, now: datetime) -> tuple[Session, int]:
    """Return the session as it stands, and its organization's version.

    Role, plan and names are the database's, not those that were signed.

    Raises:
        UnauthorizedError: it was ended, its token was refreshed, or the person is no longer a member.
    """
    found = queries.find_session(connection, claims.organization_id, claims.sid)
    if found is None:
        raise UnauthorizedError(REFUSED)
    standing = Standing(**{name: found[name] for name in Standing.__dataclass_fields__})
    if not standing.admits(claims.jti, now=now):
        raise UnauthorizedError(REFUSED)
    session = claims.model_copy(
        update={
            "email": found["email"],
            "role": UserRole(found["role"]),
            "organization_name": found["organization_name"],
            "subscription_tier": Tier(found["subscription_tier"]),
        }
    )
    return session, found["version"]


def refresh(*, database: Database, claims: Session, origin: Origin, now: datetime) -> Session:
    """Return the successor of a token; refreshes of one token side by side get the same.

    Raises:
        UnauthorizedError: the session has ended, or ends here because its token was refreshed long before.
    """
    now = now.replace(microsecond=0)
    organization_id = claims.organization_id
    with transactions.write(database, organization_id) as connection:
        found = queries.refresh_session(
            connection, organization_id, claims.sid, token_id=claims.jti, successor=uuid4(), now=now
        )
        refreshed = (
            sessions.issue(
                _member(connection, KnownUser(organization_id, UserId(found["user_id"]))),
                sid=claims.sid,
                jti=found["token_id"],
                issued_at=found["refreshed_at"],
                expires_at=found["expires_at"],
            )
            if found is not None and found["ended_at"] is None
            else None
        )
        if found is not None and refreshed is None:
            audit.record(
                connection,
                organization_id,
                "session.ended_for_reuse",
                by=claims,
                origin=origin,
                now=now,
                target=claims.sid,
            )
    if refreshed is None:  # said outside the transaction, which has to keep that the session has ended
        raise UnauthorizedError(REFUSED)
    return refreshed


def sign_out(*, database: Database, claims: Session, origin: Origin, now: datetime) -> None:
    """End a session, for every token of it."""
    with transactions.write(database, claims.organization_id) as connection:
        end_session(connection, claims, origin=origin, now=now)


def admit_key(connection: KeyHolder, presented: PresentedKey, *, now: datetime) -> tuple[Key, Write, int]:
    """Return the key that somebody holds, the transaction entered as its organization, and that one's version.

    Raises:
        UnauthorizedError: there is none such, or it has run out.
    """
    found = queries.find_api_key(connection, presented.digest, now=now)
    if found is None:
        raise UnauthorizedError(keys.REFUSED)
    organization_id = OrganizationId(found["organization_id"])
    entered = transactions.enter(connection, organization_id)
    last_used = found["last_used_at"]
    if last_used is None or now - last_used >= keys.LAST_USE_PRECISION:
        queries.record_key_use(entered, organization_id, found["id"], now=now)
    tier, version = queries.get_plan_and_version(entered, organization_id)
    key = Key(
        organization_id=organization_id,
        id=found["id"],
        name=found["name"],
        scopes=frozenset(Scope(scope) for scope in found["scopes"].split()),
        subscription_tier=tier,
    )
    return key, entered, version


def _member(connection: Write, user: KnownUser) -> Member:
    found = dict(queries.get_member(connection, user.organization_id, user.user_id))
    return Member.model_validate({name: found[name] for name in Member.model_fields}, by_alias=False, by_name=True)


def _found_organization(connection: SignIn, person: Person, now: datetime) -> KnownUser:
    organization_id, user_id = OrganizationId(uuid4()), UserId(uuid4())
    words = re.sub(r"[^a-z0-9]+", "-", person.email.partition("@")[0].lower())[:60].strip("-") or "organization"
    entered = transactions.enter(connection, organization_id)
    queries.add_organization(
        entered,
        organization_id,
        name=f"{person.name}'s organization",
        slug=f"{words}-{organization_id.hex[:8]}",
        max_compressors=plans()[Tier.FREE].max_compressors,
        now=now,
    )
    queries.add_user(entered, organization_id, person, user_id=user_id, role=UserRole.OWNER, founder=True, now=now)
    return KnownUser(organization_id, user_id)
