"""Requests that came with an Idempotency-Key, and what they were told."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

CURRENT_ORGANIZATION = "nullif(current_setting('app.organization_id', true), '')::uuid"


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "idempotent_requests",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("key_hash", sa.String(length=64), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("answer", sa.LargeBinary(), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_idempotent_requests_organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", "key_hash", name=op.f("pk_idempotent_requests")),
    )
    op.create_index(
        op.f("ix_idempotent_requests_organization_id_expires_at"),
        "idempotent_requests",
        ["organization_id", "expires_at"],
    )
    op.execute("ALTER TABLE idempotent_requests ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE idempotent_requests FORCE ROW LEVEL SECURITY")
    own = f"organization_id = {CURRENT_ORGANIZATION}"
    op.execute(f"CREATE POLICY organization ON idempotent_requests USING ({own}) WITH CHECK ({own})")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON idempotent_requests TO altaviz_app")


def downgrade() -> None:
    """Undo."""
    op.drop_table("idempotent_requests")
