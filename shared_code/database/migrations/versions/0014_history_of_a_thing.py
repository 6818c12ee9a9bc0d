"""What was done to one thing is found in the audit log without looking through all of it."""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

BY_TARGET = "ix_audit_log_organization_id_target_occurred_at"


def upgrade() -> None:
    """Apply."""
    op.create_index(BY_TARGET, "audit_log", ["organization_id", "target", "occurred_at"])


def downgrade() -> None:
    """Undo."""
    op.drop_index(BY_TARGET, "audit_log")
