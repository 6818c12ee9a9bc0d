"""How much was asked of the API lately."""

from sqlalchemy import BigInteger, Boolean, Column, String, Table

from shared_code.database.tables.metadata import metadata

rate_limits = Table(
    "rate_limits",
    metadata,
    Column("caller", String(100), primary_key=True),  # an address or an organization, as functions.limits writes them
    Column("whole_at", BigInteger, nullable=False),  # when the allowance is whole again, microseconds since 1970
    Column("admitted", Boolean, nullable=False),  # the request that was decided last
    prefixes=["UNLOGGED"],
)
"""Counts that a crash of the server may lose, and that are cheap because it may. No index but the key: updates that
change no index are a good deal cheaper, and the table holds no more callers than there were in a few minutes."""
