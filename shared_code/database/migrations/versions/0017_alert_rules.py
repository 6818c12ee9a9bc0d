"""Organizations want rules of alerts otherwise than everybody has them."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

TABLE = "alert_rule_settings"
CURRENT_ORGANIZATION = "nullif(current_setting('app.organization_id', true), '')::uuid"
NUMBERS = ("warning_limit", "critical_limit", "deadband", "on_delay_minutes", "off_delay_minutes")
DOUBLE: sa.Double[float] = sa.Double()


def upgrade() -> None:
    """Apply."""
    op.create_table(
        TABLE,
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("rule", sa.String(length=50), nullable=False),
        *(sa.Column(name, DOUBLE, nullable=True) for name in NUMBERS),
        sa.Column("latch", sa.Boolean(), nullable=True),
        sa.Column("enabled", sa.Boolean(), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_by", sa.Unicode(length=320), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_alert_rule_settings_organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", "rule", name=op.f("pk_alert_rule_settings")),
    )
    op.execute(f"ALTER TABLE {TABLE} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {TABLE} FORCE ROW LEVEL SECURITY")
    own = f"organization_id = {CURRENT_ORGANIZATION}"
    op.execute(f"CREATE POLICY organization ON {TABLE} USING ({own}) WITH CHECK ({own})")
    op.execute(f"CREATE POLICY job ON {TABLE} FOR SELECT TO altaviz_etl USING (true)")
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {TABLE} TO altaviz_app")
    op.execute(f"GRANT SELECT ON {TABLE} TO altaviz_etl")


def downgrade() -> None:
    """Undo."""
    op.drop_table(TABLE)
