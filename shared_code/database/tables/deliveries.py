"""Batches of readings that were sent to the API: what makes a repeat end where the first one did."""

from sqlalchemy import Column, Index, String, Table

from shared_code.database.tables.metadata import INSTANT, metadata, organization_id

reading_deliveries = Table(
    "reading_deliveries",
    metadata,
    organization_id(),
    Column("name", String(100), primary_key=True),  # made of the Idempotency-Key, or of the batch itself
    Column("content_hash", String(64), nullable=False),
    Column("received_at", INSTANT, nullable=False),  # the first time
    Index(None, "organization_id", "received_at"),
)
