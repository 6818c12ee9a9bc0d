"""Billing: everything that Stripe sends, kept once; how each subscription stands; payments that failed."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
WORKFLOWS = "altaviz_workflows"
CURRENT_ORGANIZATION = "nullif(current_setting('app.organization_id', true), '')::uuid"
EVENTS, SUBSCRIPTIONS, FAILURES = "stripe_events", "subscriptions", "payment_failures"
RIGHTS = {
    EVENTS: "SELECT, INSERT, UPDATE (state, attempts, next_attempt_at, claimed_until, handled_at, reason)",
    "billing_events": "INSERT, SELECT (organization_id, stripe_event_id)",
    SUBSCRIPTIONS: "SELECT",
    FAILURES: "SELECT, UPDATE (attempts, next_attempt_at, claimed_until, told_at)",
}
MORE = {
    "organizations": "SELECT (stripe_customer_id, subscription_status, max_compressors)",
    "users": "SELECT (role)",
}
"""What else has to be known to find out whose an event is, and whom to tell."""


def upgrade() -> None:
    """Apply. The API itself has no right on events: they may be about any organization, or none."""
    create_tables()
    op.drop_index("ix_organizations_stripe_customer_id", "organizations")
    op.create_index(
        "uq_organizations_stripe_customer_id",
        "organizations",
        ["stripe_customer_id"],
        unique=True,
        postgresql_where=sa.text("stripe_customer_id IS NOT NULL"),
        mssql_where=sa.text("stripe_customer_id IS NOT NULL"),
    )
    own = f"organization_id = {CURRENT_ORGANIZATION}"
    for table in (SUBSCRIPTIONS, FAILURES):
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY organization ON {table} USING ({own}) WITH CHECK ({own})")
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO altaviz_app")
    for table in ("billing_events", SUBSCRIPTIONS, FAILURES):
        op.execute(f"CREATE POLICY workflows ON {table} TO {WORKFLOWS} USING (true) WITH CHECK (true)")
    for table, rights in (RIGHTS | MORE).items():
        op.execute(f"GRANT {rights} ON {table} TO {WORKFLOWS}")


def create_tables() -> None:
    """Create the tables."""
    op.create_table(
        EVENTS,
        sa.Column("event_id", sa.String(length=255), nullable=False),
        sa.Column("event_type", sa.String(length=100), nullable=False),
        sa.Column("livemode", sa.Boolean(), nullable=False),
        sa.Column("customer_id", sa.String(length=255), nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("received_at", INSTANT, nullable=False),
        sa.Column("payload", JSONB(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", INSTANT, nullable=True),
        sa.Column("claimed_until", INSTANT, nullable=True),
        sa.Column("handled_at", INSTANT, nullable=True),
        sa.Column("reason", sa.Unicode(length=200), nullable=True),
        sa.CheckConstraint("state IN ('waiting', 'handled', 'parked')", name=op.f("ck_stripe_events_state")),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_stripe_events")),
    )
    op.create_index(
        "ix_stripe_events_waiting",
        EVENTS,
        ["next_attempt_at"],
        postgresql_where=sa.text("state = 'waiting'"),
        mssql_where=sa.text("state = 'waiting'"),
    )
    op.create_index(op.f("ix_stripe_events_state_received_at"), EVENTS, ["state", "received_at"])
    op.create_table(
        SUBSCRIPTIONS,
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.String(length=255), nullable=False),
        sa.Column("customer_deleted", sa.Boolean(), nullable=False),
        sa.Column("subscription_id", sa.String(length=255), nullable=True),
        sa.Column("stripe_status", sa.String(length=30), nullable=True),
        sa.Column("period", sa.String(length=10), nullable=True),
        sa.Column("period_end", INSTANT, nullable=True),
        sa.Column("trial_end", INSTANT, nullable=True),
        sa.Column("cancels_at", INSTANT, nullable=True),
        sa.Column("past_due_since", INSTANT, nullable=True),
        sa.Column("grace_until", INSTANT, nullable=True),
        sa.Column("keeps_as", sa.String(length=20), nullable=True),
        sa.Column("keeps_until", INSTANT, nullable=True),
        sa.Column("changed_at", INSTANT, nullable=False),
        sa.CheckConstraint("keeps_as IN ('free', 'pro', 'enterprise')", name=op.f("ck_subscriptions_keeps_as")),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_subscriptions_organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", name=op.f("pk_subscriptions")),
    )
    op.create_table(
        FAILURES,
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("invoice_id", sa.String(length=255), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("amount_cents", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("grace_until", INSTANT, nullable=True),
        sa.Column("noticed_at", INSTANT, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", INSTANT, nullable=True),
        sa.Column("claimed_until", INSTANT, nullable=True),
        sa.Column("told_at", INSTANT, nullable=True),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_payment_failures_organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", "invoice_id", "attempt", name=op.f("pk_payment_failures")),
    )
    op.create_index(
        "ix_payment_failures_waiting",
        FAILURES,
        ["next_attempt_at"],
        postgresql_where=sa.text("next_attempt_at IS NOT NULL"),
        mssql_where=sa.text("next_attempt_at IS NOT NULL"),
    )


def downgrade() -> None:
    """Undo."""
    op.drop_index("uq_organizations_stripe_customer_id", "organizations")
    op.create_index("ix_organizations_stripe_customer_id", "organizations", ["stripe_customer_id"])
    op.execute("DROP POLICY workflows ON billing_events")
    for table, rights in MORE.items():
        op.execute(f"REVOKE {rights} ON {table} FROM {WORKFLOWS}")
    op.execute(f"REVOKE ALL ON billing_events FROM {WORKFLOWS}")
    for table in (FAILURES, SUBSCRIPTIONS, EVENTS):
        op.drop_table(table)
