"""Shapes of the maintenance log."""

from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, Field

from functions.bodies import Body, Remark
from functions.pagination import Position
from functions.readings.schemas import Instant
from functions.selection import Sparse
from functions.stations.schemas import Identifier
from shared_code.database.tables.fleet import MaintenanceSeverity, MaintenanceType


def _whole_cents(value: float) -> float:
    if round(value, 2) != value:
        raise ValueError("must be whole cents")
    return value


DowntimeHours = Annotated[float, Field(strict=True, ge=0, le=87_600, description="How long it stood still.")]
"""Up to ten years."""
CostUsd = Annotated[
    float, Field(strict=True, ge=0, le=9_999_999_999.99, description="US dollars."), AfterValidator(_whole_cents)
]
"""What the table holds."""


class NewMaintenance(Body):
    """What was done to a machine."""

    compressor_id: Annotated[Identifier, Field(examples=["COMP-001"])]
    event_date: Annotated[
        Instant, Field(description="When it began: from 1900 to now.", examples=["2026-01-05T14:30:00Z"])
    ]
    event_type: MaintenanceType
    description: Annotated[Remark, Field(examples=["Replaced the bearing of throw 2."])]
    downtime_hours: Annotated[DowntimeHours, Field(examples=[6.5])]
    severity: MaintenanceSeverity
    cost_usd: Annotated[CostUsd | None, Field(examples=[4200.5])] = None


class Maintenance(Sparse):
    """Something that was done to a machine. Who recorded it, and when, is null where it came in a file."""

    event_id: UUID
    compressor_id: str
    event_date: AwareDatetime
    event_type: MaintenanceType
    description: str
    downtime_hours: float
    severity: MaintenanceSeverity
    cost_usd: float | None
    recorded_by: str | None
    recorded_at: AwareDatetime | None


class MaintenancePosition(Position):
    """Entries are listed by time, the newest first."""

    event_date: AwareDatetime
    event_id: UUID


def maintenance_values(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Return what is shown of an entry, of its row."""
    return {
        **row,
        "event_type": MaintenanceType(row["event_type"]),
        "severity": MaintenanceSeverity(row["severity"]),
        "cost_usd": None if row["cost_usd"] is None else float(row["cost_usd"]),
    }
