"""Keys for machines."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

CURRENT_ORGANIZATION = "nullif(current_setting('app.organization_id', true), '')::uuid"


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "api_keys",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Unicode(length=100), nullable=False),
        sa.Column("prefix", sa.String(length=30), nullable=False),
        sa.Column("scopes", sa.String(length=100), nullable=False),
        sa.Column("secret_hash", sa.String(length=64), nullable=False),
        sa.Column("previous_secret_hash", sa.String(length=64), nullable=True),
        sa.Column("previous_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name=op.f("fk_api_keys_organization_id")),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("secret_hash", name=op.f("uq_api_keys_secret_hash")),
    )
    op.create_index(op.f("ix_api_keys_previous_secret_hash"), "api_keys", ["previous_secret_hash"])
    op.create_index(
        op.f("ix_api_keys_organization_id_created_at_id"), "api_keys", ["organization_id", "created_at", "id"]
    )
    op.execute("ALTER TABLE api_keys ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE api_keys FORCE ROW LEVEL SECURITY")
    own = f"organization_id = {CURRENT_ORGANIZATION}"
    op.execute(f"CREATE POLICY organization ON api_keys USING ({own}) WITH CHECK ({own})")
    # A key is known before its organization is; who has it sees its own row and no other.
    op.execute(
        """
        CREATE POLICY key_holder ON api_keys FOR SELECT TO altaviz_app USING (
            secret_hash = current_setting('app.api_key_hash', true)
            OR previous_secret_hash = current_setting('app.api_key_hash', true)
        )
        """
    )
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON api_keys TO altaviz_app")


def downgrade() -> None:
    """Undo."""
    op.drop_table("api_keys")
