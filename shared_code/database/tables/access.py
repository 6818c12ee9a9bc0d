"""What lets somebody in, and for how long."""

from enum import StrEnum

from sqlalchemy import (
    Column,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    String,
    Table,
    Unicode,
    UniqueConstraint,
    Uuid,
)

from shared_code.database.tables.metadata import DOCUMENT, INSTANT, metadata, one_of, organization_id

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

api_keys = Table(
    "api_keys",
    metadata,
    organization_id(),
    Column("id", Uuid(), primary_key=True),
    Column("name", Unicode(100), nullable=False),
    Column("prefix", String(30), nullable=False),  # the key's beginning, to tell it from others
    Column("scopes", String(100), nullable=False),  # names with a space between them
    Column("secret_hash", String(64), nullable=False),
    Column("previous_secret_hash", String(64)),  # good until previous_until, while machines are told the new one
    Column("previous_until", INSTANT),
    Column("created_at", INSTANT, nullable=False),
    Column("expires_at", INSTANT, nullable=False),
    Column("last_used_at", INSTANT),
    UniqueConstraint("secret_hash"),
    Index(None, "previous_secret_hash"),
    Index(None, "organization_id", "created_at", "id"),
)

sign_in_attempts = Table(
    "sign_in_attempts",
    metadata,
    Column("state_hash", String(64), primary_key=True),
    Column("flow", DOCUMENT, nullable=False),  # what the sign-in library needs back: nonce, PKCE verifier, redirect
    Column("expires_at", INSTANT, nullable=False),
    Index(None, "expires_at"),
)
"""Sign-ins with a provider that have begun; the row goes when its one answer comes."""


ALTAVIZ = "Altaviz"
"""Who acts where nobody does."""


class ActorKind(StrEnum):
    """Who does things."""

    USER = "user"
    API_KEY = "api_key"
    SYSTEM = "system"


audit_log = Table(
    "audit_log",
    metadata,
    organization_id(key=False, foreign=False),
    Column("id", Uuid(), nullable=False),
    Column("occurred_at", INSTANT, nullable=False),
    Column("action", String(50), nullable=False),
    Column("target", Unicode(320)),
    Column("details", DOCUMENT, nullable=False),
    Column("actor_kind", String(20), nullable=False),
    Column("actor_id", Uuid()),  # refers to nothing: whoever it was may be gone
    Column("actor_name", Unicode(320), nullable=False),
    Column("address", String(100)),
    Column("request_id", String(100)),
    one_of("actor_kind", ActorKind),
    PrimaryKeyConstraint("organization_id", "occurred_at", "id"),  # the order in which it is read
    Index(None, "organization_id", "target", "occurred_at"),
)
"""Append-only: the API may add entries and read them, and has no right to change or delete one. They refer to no row of
any table, and outlive whom they tell of."""

idempotent_requests = Table(
    "idempotent_requests",
    metadata,
    organization_id(),
    Column("key_hash", String(64), primary_key=True),  # of the caller and their Idempotency-Key
    Column("fingerprint", String(64), nullable=False),  # of the request: the key takes no other
    Column(
        "answer", LargeBinary
    ),  # sealed: see functions.access.replays; NULL only inside the transaction of the effect
    Column("expires_at", INSTANT, nullable=False),
    Index(None, "organization_id", "expires_at"),
)
"""Requests that may be sent again and have taken effect once."""
