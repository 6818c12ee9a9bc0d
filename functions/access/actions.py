"""Signing in: from a proven identity to a session."""

import re
from datetime import datetime
from uuid import uuid4

from functions.access import queries, sessions
from functions.access.queries import Identity, KnownUser
from functions.access.sessions import Member, Session
from functions.billing.plans import plans
from functions.settings import AccessSettings
from shared_code.database import transactions
from shared_code.database.demo import DEVELOPMENT_ISSUER
from shared_code.database.engines import Database
from shared_code.database.tables.organizations import Tier
from shared_code.database.transactions import SignIn
from shared_code.errors import ConflictError, ForbiddenError
from shared_code.identifiers import OrganizationId, UserId

DEVELOPMENT_TENANT = "development"


def sign_in_for_development(*, database: Database, settings: AccessSettings, email: str, now: datetime) -> Session:
    """Begin a session for an e-mail on the allow-list; nothing else is proven.

    Raises:
        ForbiddenError: the e-mail is not on it, or there are no development credentials here; not said which.
    """
    if not settings.dev_credentials_enabled or email not in settings.dev_credentials_allow_list:
        raise ForbiddenError("development credentials are not open to this e-mail")
    return sign_in(
        database=database, identity=Identity(DEVELOPMENT_ISSUER, DEVELOPMENT_TENANT, email), email=email, now=now
    )


def sign_in(*, database: Database, identity: Identity, email: str, now: datetime) -> Session:
    """Begin a session for a proven identity; a new one becomes the owner of a new organization."""
    try:
        return _sign_in(database, identity, email, now)
    except ConflictError:
        # Two first sign-ins at once: the other made the user, and now we find it.
        return _sign_in(database, identity, email, now)


def _sign_in(database: Database, identity: Identity, email: str, now: datetime) -> Session:
    with transactions.sign_in(
        database, issuer=identity.issuer, tenant=identity.tenant, object_id=identity.object_id
    ) as connection:
        user = queries.find_user(connection, identity) or _found_organization(connection, identity, email, now)
        entered = transactions.enter(connection, user.organization_id)
        queries.record_sign_in(entered, user.organization_id, user.user_id, now=now)
        member = Member.model_validate(
            dict(queries.get_member(entered, user.organization_id, user.user_id)), by_alias=False, by_name=True
        )
    return sessions.start(member, now=now)


def _found_organization(connection: SignIn, identity: Identity, email: str, now: datetime) -> KnownUser:
    organization_id, user_id = OrganizationId(uuid4()), UserId(uuid4())
    name = email.partition("@")[0][:150]
    words = re.sub(r"[^a-z0-9]+", "-", name.lower())[:60].strip("-") or "organization"
    entered = transactions.enter(connection, organization_id)
    queries.add_organization(
        entered,
        organization_id,
        name=f"{name}'s organization",
        slug=f"{words}-{organization_id.hex[:8]}",
        max_compressors=plans()[Tier.FREE].max_compressors,
        now=now,
    )
    queries.add_owner(entered, organization_id, user_id=user_id, identity=identity, email=email, name=name, now=now)
    return KnownUser(organization_id, user_id)
