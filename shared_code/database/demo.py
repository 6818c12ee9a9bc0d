"""The two organizations that a laptop's database is born with, so that there is something to sign in to."""

from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

from shared_code.database.tables import organizations, users
from shared_code.identifiers import OrganizationId

DEVELOPMENT_ISSUER: Final = "urn:altaviz:development"
"""Issuer of identities that signed in with development credentials; the object is the e-mail."""

DEMO_ORGANIZATION: Final = OrganizationId(UUID("00000000-0000-4000-8000-000000000001"))
RIVAL_ORGANIZATION: Final = OrganizationId(UUID("00000000-0000-4000-8000-000000000002"))

_ORGANIZATIONS = [
    {"id": DEMO_ORGANIZATION, "name": "Demo Gas Gathering", "slug": "demo"},
    {"id": RIVAL_ORGANIZATION, "name": "Rival Midstream", "slug": "rival"},
]
_OWNERS = [
    {"organization_id": DEMO_ORGANIZATION, "email": "demo@altaviz.dev", "name": "Demo Owner"},
    {"organization_id": RIVAL_ORGANIZATION, "email": "rival@altaviz.dev", "name": "Rival Owner"},
]


def seed(connection: Connection, *, now: datetime) -> None:
    """Add the demo's organizations and their owners where they are missing."""
    plan = {"subscription_tier": "enterprise", "subscription_status": "active", "created_at": now, "updated_at": now}
    connection.execute(insert(organizations).on_conflict_do_nothing(), [row | plan for row in _ORGANIZATIONS])
    connection.execute(
        insert(users).on_conflict_do_nothing(),
        [
            row
            | {
                "id": row["organization_id"],
                "identity_issuer": DEVELOPMENT_ISSUER,
                "identity_tenant": "development",
                "identity_object": row["email"],
                "role": "owner",
                "founder": True,
                "created_at": now,
            }
            for row in _OWNERS
        ],
    )
