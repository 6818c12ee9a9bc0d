"""Predictions are published: how far a machine is from its usual self, and hours that tell nothing."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

TABLE = "ml_predictions"
STAGING = "staging_ml_predictions"
ADDED = ("health", "threshold")
OPTIONAL = ("failure_probability", "confidence_score")
DOUBLE: sa.Double[float] = sa.Double()


def upgrade() -> None:
    """Apply."""
    for name in ADDED:
        op.add_column(TABLE, sa.Column(name, DOUBLE, nullable=True))
    for name in OPTIONAL:
        op.alter_column(TABLE, name, existing_type=DOUBLE, nullable=True)
    op.execute(f"CREATE UNLOGGED TABLE {STAGING} (batch_id varchar(100) NOT NULL, LIKE {TABLE})")
    op.create_index(f"ix_{STAGING}_batch_id", STAGING, ["batch_id"])
    op.execute(f"GRANT SELECT, INSERT, DELETE ON {STAGING} TO altaviz_etl")


def downgrade() -> None:
    """Undo; what tells nothing cannot stay."""
    op.drop_table(STAGING)
    op.execute("DELETE FROM ml_predictions WHERE failure_probability IS NULL OR confidence_score IS NULL")
    for name in OPTIONAL:
        op.alter_column(TABLE, name, existing_type=DOUBLE, nullable=False)
    for name in ADDED:
        op.drop_column(TABLE, name)
