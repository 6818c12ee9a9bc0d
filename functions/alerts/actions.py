"""What people do about alerts.

Each is done once: whoever repeats it, or comes second, finds the alert as the first left it.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from functions.access import audit
from functions.access.audit import Origin
from functions.access.sessions import Session
from functions.alerts import queries
from shared_code.database.transactions import Read, Write
from shared_code.errors import ConflictError, InvalidError, NotFoundError
from shared_code.identifiers import OrganizationId

NO_ALERT: Final = "there is no such alert"
LONGEST_SHELF: Final = timedelta(days=30)


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

    Where the alert is over and stood only until somebody knew of it, that resolves it.

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
    said = {"note": note}
    _record(connection, organization_id, "alert.acknowledged", acknowledged, said, by=by, origin=origin, now=now)
    if acknowledged["resolved"]:
        _record(connection, organization_id, "alert.resolved", acknowledged, {}, by=None, origin=origin, now=now)
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
    said = {"note": note}
    _record(connection, organization_id, "alert.resolved", resolved, said, by=by, origin=origin, now=now)
    return resolved


def shelve_alert(
    connection: Write,
    organization_id: OrganizationId,
    *,
    alert_id: UUID,
    until: datetime,
    reason: str,
    by: Session,
    origin: Origin,
    now: datetime,
) -> Mapping[Any, Any]:
    """Keep an alert from the list until an instant; it goes on counting. Shelving again replaces what was said before.

    Raises:
        ConflictError: the alert is resolved.
        InvalidError: the instant is not ahead, or too far.
        NotFoundError: this organization has no such alert.
    """
    if not now < until <= now + LONGEST_SHELF:
        raise InvalidError(f"must be later than now, and at most {LONGEST_SHELF.days} days ahead", field="until")
    until = until.astimezone(UTC)
    shelved = queries.shelve(connection, organization_id, alert_id, by=by.email, until=until, reason=reason)
    if shelved is None:
        get_alert(connection, organization_id, alert_id=alert_id)
        raise ConflictError("this alert is resolved already; there is nothing to shelve")
    said = {"until": until.isoformat(), "reason": reason}
    _record(connection, organization_id, "alert.shelved", shelved, said, by=by, origin=origin, now=now)
    return shelved


def unshelve_alert(
    connection: Write, organization_id: OrganizationId, *, alert_id: UUID, by: Session, origin: Origin, now: datetime
) -> Mapping[Any, Any]:
    """Show an alert in the list again; one that is not shelved stays as it is.

    Raises:
        NotFoundError: this organization has no such alert.
    """
    shown = queries.unshelve(connection, organization_id, alert_id, now=now)
    if shown is None:
        return get_alert(connection, organization_id, alert_id=alert_id)
    _record(connection, organization_id, "alert.unshelved", shown, {}, by=by, origin=origin, now=now)
    return shown


def comment_on_alert(
    connection: Write,
    organization_id: OrganizationId,
    *,
    alert_id: UUID,
    text: str,
    by: Session,
    origin: Origin,
    now: datetime,
) -> Mapping[Any, Any]:
    """Keep what somebody has to say about an alert, resolved or not, in its history; return the alert.

    Raises:
        NotFoundError: this organization has no such alert.
    """
    alert = get_alert(connection, organization_id, alert_id=alert_id)
    said = {"text": text}
    _record(connection, organization_id, "alert.commented", alert, said, by=by, origin=origin, now=now)
    return alert


def list_history(
    connection: Read,
    organization_id: OrganizationId,
    *,
    alert_id: UUID,
    before: tuple[datetime, UUID] | None,
    limit: int,
) -> Sequence[Mapping[Any, Any]]:
    """Return what was done about an alert, by people and by workflows, the newest first.

    Raises:
        NotFoundError: this organization has no such alert.
    """
    get_alert(connection, organization_id, alert_id=alert_id)
    return queries.list_history(connection, organization_id, alert_id, before=before, limit=limit)


def _record(
    connection: Write,
    organization_id: OrganizationId,
    action: str,
    alert: Mapping[Any, Any],
    said: Mapping[str, object],
    *,
    by: Session | None,
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
        details={"compressor_id": alert["compressor_id"], "severity": alert["severity"], **said},
    )
