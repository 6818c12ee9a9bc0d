"""Shapes of alerts."""

from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

from pydantic import AwareDatetime, Field

from functions.alerts.status import Status, status_of
from functions.bodies import Body, Remark
from functions.compressors.health import quantities
from functions.pagination import Position
from functions.selection import Sparse
from shared_code.alarms import AlertType, Severity


class AlertNote(Body):
    """What somebody has to say about it."""

    note: Annotated[Remark | None, Field(examples=["Bearing looked at; spare part ordered."])] = None


class Alert(Sparse):
    """Something that went wrong with a machine, and what was done about it.

    `unit` is that of `sensor_value` and `threshold_value`. Who resolved it is null where the readings were healthy
    again.
    """

    alert_id: UUID
    compressor_id: str
    alert_timestamp: AwareDatetime
    alert_type: AlertType
    severity: Severity
    sensor_name: str | None
    sensor_value: float | None
    threshold_value: float | None
    unit: Annotated[str | None, Field(examples=["mm/s RMS"])]
    message: str
    status: Status
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


def alert_values(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Return what is shown of an alert, of its row."""
    units = {quantity.sensor: quantity.unit for quantity in quantities()}
    return {
        **row,
        "alert_type": AlertType(row["alert_type"]),
        "severity": Severity(row["severity"]),
        "status": status_of(row),
        "unit": units.get(row["sensor_name"]),
    }
