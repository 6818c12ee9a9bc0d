"""Customers and the people who work for them."""

from enum import StrEnum

from sqlalchemy import Boolean, Column, Index, Integer, String, Table, Unicode, UniqueConstraint, Uuid, text

from shared_code.database.tables.metadata import INSTANT, metadata, one_of, organization_id


class Tier(StrEnum):
    """What an organization pays for."""

    FREE = "free"
    PRO = "pro"
    ENTERPRISE = "enterprise"


class SubscriptionStatus(StrEnum):
    """Where the subscription stands."""

    ACTIVE = "active"
    PAST_DUE = "past_due"
    CANCELED = "canceled"
    TRIALING = "trialing"


class UserRole(StrEnum):
    """What a person may do in an organization."""

    OWNER = "owner"
    ADMIN = "admin"
    OPERATOR = "operator"
    VIEWER = "viewer"


organizations = Table(
    "organizations",
    metadata,
    Column("id", Uuid(), primary_key=True),
    Column("name", Unicode(200), nullable=False),
    Column("slug", String(100), nullable=False),
    Column("stripe_customer_id", String(255)),
    Column("subscription_tier", String(20), nullable=False),
    Column("subscription_status", String(20), nullable=False),
    Column("max_compressors", Integer),  # NULL: no limit
    Column("created_at", INSTANT, nullable=False),
    Column("updated_at", INSTANT, nullable=False),
    UniqueConstraint("slug"),
    one_of("subscription_tier", Tier),
    one_of("subscription_status", SubscriptionStatus),
    Index(  # an event is about one organization
        "uq_organizations_stripe_customer_id",
        "stripe_customer_id",
        unique=True,
        postgresql_where=text("stripe_customer_id IS NOT NULL"),
        mssql_where=text("stripe_customer_id IS NOT NULL"),
    ),
)

users = Table(
    "users",
    metadata,
    organization_id(),
    Column("id", Uuid(), primary_key=True),
    Column("email", Unicode(320), nullable=False),  # for display; never tells who somebody is
    Column("name", Unicode(200), nullable=False),
    Column("identity_issuer", String(200), nullable=False),
    Column("identity_tenant", String(100), nullable=False),
    Column("identity_object", String(320), nullable=False),
    Column("role", String(20), nullable=False),
    Column("created_at", INSTANT, nullable=False),
    Column("last_login_at", INSTANT),
    Column("founder", Boolean, nullable=False, default=False),  # this identity's first sign-in made the organization
    UniqueConstraint(
        "organization_id", "identity_issuer", "identity_tenant", "identity_object", name="uq_users_identity"
    ),
    Index("ix_users_identity", "identity_issuer", "identity_tenant", "identity_object"),
    # However many first sign-ins there are at once, an identity makes one organization.
    Index(
        "uq_users_founder",
        "identity_issuer",
        "identity_tenant",
        "identity_object",
        unique=True,
        postgresql_where=text("founder"),
        mssql_where=text("founder = 1"),
    ),
    one_of("role", UserRole),
    Index(None, "organization_id", "email"),
)

invitations = Table(
    "invitations",
    metadata,
    organization_id(),
    Column("id", Uuid(), primary_key=True),
    Column(
        "email", Unicode(320), nullable=False
    ),  # where the link was meant to go; who accepts may be known by another
    Column("role", String(20), nullable=False),
    Column("invited_by", Unicode(320), nullable=False),
    Column("created_at", INSTANT, nullable=False),
    Column("expires_at", INSTANT, nullable=False),
    Column("revoked_at", INSTANT),
    Column("accepted_at", INSTANT),
    Column("accepted_by", Uuid()),
    one_of("role", UserRole),
    Index(None, "organization_id", "created_at", "id"),
)
