"""What workflows change of many alerts at once costs less.

Severity is in no index, so that a warning that becomes critical keeps its place in all of them, as far as its page has
room. The audit log refers to no organization: policies alone say who may write of which. Its key is the order in which
it is read, so that one index serves as both.
"""

from alembic import op
from sqlalchemy.sql.elements import conv

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

BY_SEVERITY = conv("ix_alert_history_organization_id_resolved_severity_alert_timestamp")
OF_AN_ORGANIZATION = conv("fk_audit_log_organization_id")
KEY = conv("pk_audit_log")
READ = conv("ix_audit_log_organization_id_occurred_at_id")


def upgrade() -> None:
    """Apply."""
    op.drop_index(BY_SEVERITY, "alert_history")
    op.execute("ALTER TABLE alert_history SET (fillfactor = 75)")
    op.drop_constraint(OF_AN_ORGANIZATION, "audit_log", type_="foreignkey")
    op.drop_constraint(KEY, "audit_log", type_="primary")
    op.create_primary_key(KEY, "audit_log", ["organization_id", "occurred_at", "id"])
    op.drop_index(READ, "audit_log")


def downgrade() -> None:
    """Undo."""
    op.create_index(READ, "audit_log", ["organization_id", "occurred_at", "id"])
    op.drop_constraint(KEY, "audit_log", type_="primary")
    op.create_primary_key(KEY, "audit_log", ["organization_id", "id"])
    op.create_foreign_key(OF_AN_ORGANIZATION, "audit_log", "organizations", ["organization_id"], ["id"])
    op.execute("ALTER TABLE alert_history RESET (fillfactor)")
    op.create_index(BY_SEVERITY, "alert_history", ["organization_id", "resolved", "severity", "alert_timestamp"])
