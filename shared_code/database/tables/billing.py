"""What Stripe told us, and what it means for each organization."""

from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    String,
    Table,
    Unicode,
    UniqueConstraint,
    Uuid,
    text,
)

from shared_code.database.tables.metadata import DOCUMENT, INSTANT, metadata, one_of, organization_id
from shared_code.database.tables.organizations import Tier


class EventState(StrEnum):
    """How far an event is."""

    WAITING = "waiting"
    HANDLED = "handled"
    PARKED = "parked"


# Everything that Stripe has sent, once, whoever it is about: it is kept before anybody knows whose it is.
stripe_events = Table(
    "stripe_events",
    metadata,
    Column("event_id", String(255), primary_key=True),
    Column("event_type", String(100), nullable=False),
    Column("livemode", Boolean, nullable=False),
    Column("customer_id", String(255)),
    Column("created_at", INSTANT, nullable=False),
    Column("received_at", INSTANT, nullable=False),
    Column("payload", DOCUMENT, nullable=False),
    Column("state", String(10), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_at", INSTANT),
    Column("claimed_until", INSTANT),
    Column("handled_at", INSTANT),
    Column("reason", Unicode(200)),  # why it was parked, or why the last attempt failed
    one_of("state", EventState),
    Index(
        "ix_stripe_events_waiting",
        "next_attempt_at",
        postgresql_where=text("state = 'waiting'"),
        mssql_where=text("state = 'waiting'"),
    ),
    Index(None, "state", "received_at"),
)

# The events that are about an organization.
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

# How an organization's subscription stood when Stripe was last asked. Tier and status are the organization's own.
subscriptions = Table(
    "subscriptions",
    metadata,
    organization_id(),
    Column("customer_id", String(255), nullable=False),
    Column("customer_deleted", Boolean, nullable=False),
    Column("subscription_id", String(255)),
    Column("stripe_status", String(30)),
    Column("period", String(10)),
    Column("period_end", INSTANT),
    Column("trial_end", INSTANT),
    Column("cancels_at", INSTANT),
    Column("past_due_since", INSTANT),
    Column("grace_until", INSTANT),
    Column("keeps_as", String(20)),  # the plan by whose days readings are kept after a downgrade, until `keeps_until`
    Column("keeps_until", INSTANT),
    Column("changed_at", INSTANT, nullable=False),
    one_of("keeps_as", Tier),
)

# Payments that failed, of which the owners are told, each once.
payment_failures = Table(
    "payment_failures",
    metadata,
    organization_id(),
    Column("invoice_id", String(255), primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("amount_cents", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("grace_until", INSTANT),
    Column("noticed_at", INSTANT, nullable=False),
    Column("attempts", Integer, nullable=False),  # to tell the owners
    Column("next_attempt_at", INSTANT),  # NULL: they were told, or will not be
    Column("claimed_until", INSTANT),
    Column("told_at", INSTANT),
    Index(
        "ix_payment_failures_waiting",
        "next_attempt_at",
        postgresql_where=text("next_attempt_at IS NOT NULL"),
        mssql_where=text("next_attempt_at IS NOT NULL"),
    ),
)
