"""What all tables share: one catalogue, one way of naming constraints, the columns that recur."""

from enum import StrEnum

from sqlalchemy import JSON, CheckConstraint, Column, DateTime, Double, ForeignKey, MetaData, Uuid
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

INSTANT = DateTime(timezone=True)
DOUBLE: Double[float] = Double()
DOCUMENT = JSON().with_variant(JSONB(), "postgresql")


def organization_id(*, key: bool = True, foreign: bool = True) -> Column[object]:
    """Return the column that says whose row it is."""
    reference = [ForeignKey("organizations.id")] if foreign else []
    return Column("organization_id", Uuid(), *reference, primary_key=key, nullable=False)


def one_of(column: str, values: type[StrEnum]) -> CheckConstraint:
    """Return a constraint that holds a text column to the members of an enumeration."""
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)
