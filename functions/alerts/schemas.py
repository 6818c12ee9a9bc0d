"""Shapes of alerts."""

from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field

from functions.alerts.status import Status, status_of
from functions.bodies import Body, Remark
from functions.compressors.health import quantities
from functions.pagination import Position
from functions.readings.schemas import Instant
from functions.selection import Sparse
from shared_code.alarms import AlertType, Severity
from shared_code.database.tables.access import ActorKind
from shared_code.thresholds import Priority, thresholds


class AlertNote(Body):
    """What somebody has to say about it."""

    note: Annotated[Remark | None, Field(examples=["Bearing looked at; spare part ordered."])] = None


class Shelf(Body):
    """How long an alert is kept from the list, and why."""

    until: Annotated[Instant, Field(description="Later than now, and at most 30 days ahead.")]
    reason: Annotated[Remark, Field(examples=["Spare part comes on Monday."])]


class Comment(Body):
    """What somebody has to say about it."""

    text: Annotated[Remark, Field(examples=["Looks like the coupling again."])]


class Alert(Sparse):
    """Something that went wrong with a machine, and what was done about it.

    `unit` is that of `sensor_value`, `peak_value` and `threshold_value`. `priority`, `consequence` and `action` are
    those of the rule, null where it is none of `config/thresholds.yaml`. Who resolved it is null where the readings
    were healthy again. Who is told nothing new by it is told why by `suppressed_by`; `withdrawn_at` is when later data
    showed that it never was.
    """

    alert_id: UUID
    compressor_id: str
    rule: str
    onset_at: AwareDatetime
    alert_timestamp: AwareDatetime
    group_at: AwareDatetime
    alert_type: AlertType
    severity: Severity
    critical_at: AwareDatetime | None
    escalated_at: AwareDatetime | None
    priority: Priority | None
    consequence: str | None
    action: str | None
    sensor_name: str | None
    sensor_value: float | None
    latest_at: AwareDatetime
    peak_value: float | None
    peak_at: AwareDatetime | None
    threshold_value: float | None
    unit: Annotated[str | None, Field(examples=["mm/s RMS"])]
    message: str
    cleared_at: AwareDatetime | None
    latched: bool
    suppressed_by: str | None
    withdrawn_at: AwareDatetime | None
    status: Status
    shelved_until: AwareDatetime | None
    shelved_by: str | None
    shelved_reason: str | None
    acknowledged_by: str | None
    acknowledged_at: AwareDatetime | None
    acknowledged_note: str | None
    resolved_by: str | None
    resolved_at: AwareDatetime | None
    resolved_note: str | None


class AlertPosition(Position):
    """Alerts are listed by time, the newest first."""

    alert_timestamp: AwareDatetime
    alert_id: UUID


class AlertEntry(BaseModel):
    """Something that was done about an alert: by a person, or by a workflow."""

    id: UUID
    occurred_at: AwareDatetime
    action: Annotated[str, Field(examples=["alert.acknowledged"])]
    actor_kind: ActorKind
    actor_name: str
    details: dict[str, Any]


class EntryPosition(Position):
    """Entries are listed by time, the newest first."""

    occurred_at: AwareDatetime
    id: UUID


def alert_values(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Return what is shown of an alert, of its row."""
    units = {quantity.sensor: quantity.unit for quantity in quantities()}
    rule = thresholds().alarms.rules.get(row["rule"])
    return {
        **row,
        "alert_type": AlertType(row["alert_type"]),
        "severity": Severity(row["severity"]),
        "status": status_of(row),
        "unit": units.get(row["sensor_name"]),
        "priority": rule and rule.priority,
        "consequence": rule and rule.consequence,
        "action": rule and rule.action,
    }
