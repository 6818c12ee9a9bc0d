"""What lets somebody in, and for how long."""

from sqlalchemy import Column, ForeignKeyConstraint, Index, Table, Uuid

from shared_code.database.tables.metadata import INSTANT, metadata, organization_id

sessions = Table(
    "sessions",
    metadata,
    organization_id(),
    Column("id", Uuid(), primary_key=True),  # the same for every token that a refresh makes of the first
    Column("user_id", Uuid(), nullable=False),
    Column("token_id", Uuid(), nullable=False),
    Column("previous_token_id", Uuid()),  # what the current token was made of
    Column("created_at", INSTANT, nullable=False),
    Column("refreshed_at", INSTANT, nullable=False),
    Column("expires_at", INSTANT, nullable=False),  # of the current token
    Column("ends_at", INSTANT, nullable=False),  # of the session, however often it is refreshed
    Column("ended_at", INSTANT),
    ForeignKeyConstraint(["organization_id", "user_id"], ["users.organization_id", "users.id"], ondelete="CASCADE"),
    Index(None, "organization_id", "user_id"),
)
