"""Batches of readings that were sent to the API."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

CURRENT_ORGANIZATION = "nullif(current_setting('app.organization_id', true), '')::uuid"


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "reading_deliveries",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("content_hash", sa.String(length=64), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_reading_deliveries_organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", "name", name=op.f("pk_reading_deliveries")),
    )
    op.create_index(
        op.f("ix_reading_deliveries_organization_id_received_at"),
        "reading_deliveries",
        ["organization_id", "received_at"],
    )
    op.execute("ALTER TABLE reading_deliveries ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE reading_deliveries FORCE ROW LEVEL SECURITY")
    own = f"organization_id = {CURRENT_ORGANIZATION}"
    op.execute(f"CREATE POLICY organization ON reading_deliveries USING ({own}) WITH CHECK ({own})")
    op.execute("GRANT SELECT, INSERT, DELETE ON reading_deliveries TO altaviz_app")


def downgrade() -> None:
    """Undo."""
    op.drop_table("reading_deliveries")
