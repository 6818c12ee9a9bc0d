"""What Stripe told us."""

from sqlalchemy import BigInteger, Column, Index, String, Table, UniqueConstraint, Uuid

from shared_code.database.tables.metadata import DOCUMENT, INSTANT, metadata, organization_id

billing_events = Table(
    "billing_events",
    metadata,
    organization_id(),
    Column("id", Uuid(), primary_key=True),
    Column("stripe_event_id", String(255), nullable=False),
    Column("event_type", String(100), nullable=False),
    Column("amount_cents", BigInteger),
    Column("currency", String(3)),
    Column("payload", DOCUMENT, nullable=False),
    Column("received_at", INSTANT, nullable=False),
    Column("handled_at", INSTANT),
    UniqueConstraint("stripe_event_id"),
    Index(None, "organization_id", "received_at"),
    Index(None, "handled_at", "received_at"),
)
