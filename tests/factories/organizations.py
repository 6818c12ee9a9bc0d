"""Organizations, put into the database as its owner would."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

from sqlalchemy import Connection, insert

from shared_code.database.tables import organizations
from shared_code.database.tables.organizations import SubscriptionStatus, Tier

LONG_AGO = datetime(2025, 1, 1, tzinfo=UTC)


def add_organization(connection: Connection, *, tier: Tier = Tier.ENTERPRISE) -> UUID:
    """Add an organization and return its id."""
    organization_id = uuid4()
    connection.execute(
        insert(organizations).values(
            id=organization_id,
            name="A Customer",
            slug=organization_id.hex,
            subscription_tier=tier,
            subscription_status=SubscriptionStatus.ACTIVE,
            created_at=LONG_AGO,
            updated_at=LONG_AGO,
        )
    )
    return organization_id
