"""What people do about alerts.

Each is done once: whoever repeats it, or comes second, finds the alert as the first left it.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from functions.access import audit
from functions.access.audit import Origin
from functions.access.sessions import Session
from functions.alerts import queries
from shared_code.database.transactions import Read, Write
from shared_code.errors import ConflictError, NotFoundError
from shared_code.identifiers import OrganizationId

NO_ALERT: Final = "there is no such alert"


def get_alert(connection: Read | Write, organization_id: OrganizationId, *, alert_id: UUID) -> Mapping[Any, Any]:
    """Return an alert.

    Raises:
        NotFoundError: this organization has no such alert.
    """
    alert = queries.find_alert(connection, organization_id, alert_id)
    if alert is None:
        raise NotFoundError(NO_ALERT)
    return alert


def acknowledge_alert(
    connection: Write,
    organization_id: OrganizationId,
    *,
    alert_id: UUID,
    note: str | None,
    by: Session,
    origin: Origin,
    now: datetime,
) -> Mapping[Any, Any]:
    """Say that somebody is on it; return the alert, with who said so first.

    Raises:
        ConflictError: the alert is resolved.
        NotFoundError: this organization has no such alert.
    """
    acknowledged = queries.acknowledge(connection, organization_id, alert_id, by=by.email, note=note, now=now)
    if acknowledged is None:
        alert = get_alert(connection, organization_id, alert_id=alert_id)
        if alert["resolved"]:
            raise ConflictError("this alert is resolved already; there is nothing to acknowledge")
        return alert
    _record(connection, organization_id, "alert.acknowledged", acknowledged, note, by=by, origin=origin, now=now)
    return acknowledged


def resolve_alert(
    connection: Write,
    organization_id: OrganizationId,
    *,
    alert_id: UUID,
    note: str | None,
    by: Session,
    origin: Origin,
    now: datetime,
) -> Mapping[Any, Any]:
    """Say that it is over, acknowledged before or not; return the alert, with who said so first.

    Raises:
        NotFoundError: this organization has no such alert.
    """
    resolved = queries.resolve(connection, organization_id, alert_id, by=by.email, note=note, now=now)
    if resolved is None:
        return get_alert(connection, organization_id, alert_id=alert_id)
    _record(connection, organization_id, "alert.resolved", resolved, note, by=by, origin=origin, now=now)
    return resolved


def _record(
    connection: Write,
    organization_id: OrganizationId,
    action: str,
    alert: Mapping[Any, Any],
    note: str | None,
    *,
    by: Session,
    origin: Origin,
    now: datetime,
) -> None:
    audit.record(
        connection,
        organization_id,
        action,
        by=by,
        origin=origin,
        now=now,
        target=alert["alert_id"],
        details={"compressor_id": alert["compressor_id"], "severity": alert["severity"], "note": note},
    )
