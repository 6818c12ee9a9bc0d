"""How much was asked of the API lately, counted for all instances together."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "rate_limits",
        sa.Column("caller", sa.String(length=100), nullable=False),
        sa.Column("whole_at", sa.BigInteger(), nullable=False),
        sa.Column("admitted", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("caller", name=op.f("pk_rate_limits")),
        prefixes=["UNLOGGED"],
    )
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON rate_limits TO altaviz_app")


def downgrade() -> None:
    """Undo."""
    op.drop_table("rate_limits")
