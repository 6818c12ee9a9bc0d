"""Sign-ins with a provider that have begun, each good for one answer."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

DOCUMENT = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "sign_in_attempts",
        sa.Column("state_hash", sa.String(length=64), nullable=False),
        sa.Column("flow", DOCUMENT, nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("state_hash", name=op.f("pk_sign_in_attempts")),
    )
    op.create_index(op.f("ix_sign_in_attempts_expires_at"), "sign_in_attempts", ["expires_at"])
    op.execute("ALTER TABLE sign_in_attempts ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE sign_in_attempts FORCE ROW LEVEL SECURITY")
    # Who knows the state has its row; what has run out is anybody's to clear away.
    own = "state_hash = current_setting('app.sign_in_state_hash', true)"
    op.execute(f"CREATE POLICY attempt ON sign_in_attempts USING ({own} OR expires_at < now()) WITH CHECK ({own})")
    op.execute("GRANT SELECT, INSERT, DELETE ON sign_in_attempts TO altaviz_app")


def downgrade() -> None:
    """Undo."""
    op.drop_table("sign_in_attempts")
