"""People may belong to several organizations, and are invited to them."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

CURRENT_ORGANIZATION = "nullif(current_setting('app.organization_id', true), '')::uuid"
IDENTITY = ["identity_issuer", "identity_tenant", "identity_object"]


def upgrade() -> None:
    """Apply."""
    # Until now everybody was the founder of their one organization. A default says so where an UPDATE, held to
    # row-level security, would find no rows.
    op.add_column("users", sa.Column("founder", sa.Boolean(), nullable=False, server_default=sa.true()))
    op.alter_column("users", "founder", server_default=None)
    op.drop_constraint("uq_users_identity", "users", type_="unique")
    op.create_unique_constraint("uq_users_identity", "users", ["organization_id", *IDENTITY])
    op.create_index("ix_users_identity", "users", IDENTITY)
    op.create_index("uq_users_founder", "users", IDENTITY, unique=True, postgresql_where=sa.text("founder"))
    op.create_table(
        "invitations",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("email", sa.Unicode(length=320), nullable=False),
        sa.Column("role", sa.String(length=20), nullable=False),
        sa.Column("invited_by", sa.Unicode(length=320), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("accepted_by", sa.Uuid(), nullable=True),
        sa.CheckConstraint("role IN ('owner', 'admin', 'operator', 'viewer')", name=op.f("ck_invitations_role")),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name=op.f("fk_invitations_organization_id")),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_invitations")),
    )
    op.create_index(
        op.f("ix_invitations_organization_id_created_at_id"), "invitations", ["organization_id", "created_at", "id"]
    )
    op.execute("ALTER TABLE invitations ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE invitations FORCE ROW LEVEL SECURITY")
    own = f"organization_id = {CURRENT_ORGANIZATION}"
    op.execute(f"CREATE POLICY organization ON invitations USING ({own}) WITH CHECK ({own})")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON invitations TO altaviz_app")


def downgrade() -> None:
    """Undo. Who belongs to several organizations stays in the one they founded, or else came to first."""
    op.drop_table("invitations")
    op.drop_index("uq_users_founder", "users")
    op.drop_index("ix_users_identity", "users")
    op.drop_constraint("uq_users_identity", "users", type_="unique")
    op.execute("ALTER TABLE users NO FORCE ROW LEVEL SECURITY")  # for the owner of the table, for this statement
    op.execute(
        """
        DELETE FROM users AS u USING users AS kept
        WHERE (kept.identity_issuer, kept.identity_tenant, kept.identity_object)
            = (u.identity_issuer, u.identity_tenant, u.identity_object)
          AND (NOT kept.founder, kept.created_at, kept.organization_id)
            < (NOT u.founder, u.created_at, u.organization_id)
        """
    )
    op.execute("ALTER TABLE users FORCE ROW LEVEL SECURITY")
    op.create_unique_constraint("uq_users_identity", "users", IDENTITY)
    op.drop_column("users", "founder")
