"""SQL of alerts."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, RowMapping, and_, case, false, null, or_, select, true, update

from functions.alerts.status import AskedStatus
from shared_code.alarms import Severity
from shared_code.database.tables import alert_history, audit_log
from shared_code.database.transactions import Read, Write
from shared_code.identifiers import CompressorId, OrganizationId

_ALERT: Final = alert_history.c
_ENTRY: Final = audit_log.c


def list_alerts(
    connection: Read,
    organization_id: OrganizationId,
    *,
    status: AskedStatus,
    now: datetime,
    severity: Severity | None,
    compressor_id: CompressorId | None,
    before: tuple[datetime, UUID] | None,
    limit: int,
) -> Sequence[RowMapping]:
    """Return up to `limit` alerts, the newest first, those that come after the position `before`."""
    query = (
        select(alert_history)
        .where(_ALERT.organization_id == organization_id, *_stands(status, now))
        .order_by(_ALERT.alert_timestamp.desc(), _ALERT.alert_id.desc())
        .limit(limit)
    )
    if severity is not None:
        query = query.where(_ALERT.severity == severity)
    if compressor_id is not None:
        query = query.where(_ALERT.compressor_id == compressor_id)
    if before is not None:
        at, alert_id = before
        # Said twice, because an index finds its place by the first and not by the second.
        query = query.where(_ALERT.alert_timestamp <= at, or_(_ALERT.alert_timestamp < at, _ALERT.alert_id < alert_id))
    return connection.execute(query).mappings().all()


def find_alert(connection: Read | Write, organization_id: OrganizationId, alert_id: UUID) -> RowMapping | None:
    """Return an alert; None without such a one."""
    query = select(alert_history).where(_own(organization_id, alert_id))
    return connection.execute(query).mappings().one_or_none()


def acknowledge(
    connection: Write, organization_id: OrganizationId, alert_id: UUID, *, by: str, note: str | None, now: datetime
) -> RowMapping | None:
    """Mark an open alert as acknowledged and return it; None where there is none such, or another was first.

    One that is over and stood for that alone is resolved by it.
    """
    is_over = _ALERT.cleared_at.is_not(None)
    statement = (
        update(alert_history)
        .where(_own(organization_id, alert_id), _ALERT.resolved == false(), _ALERT.acknowledged == false())
        .values(
            acknowledged=True,
            acknowledged_by=by,
            acknowledged_at=now,
            acknowledged_note=note,
            resolved=case((is_over, true()), else_=false()),
            resolved_at=case((is_over, _ALERT.cleared_at)),
        )
        .returning(alert_history)
    )
    return connection.execute(statement).mappings().one_or_none()


def resolve(
    connection: Write, organization_id: OrganizationId, alert_id: UUID, *, by: str, note: str | None, now: datetime
) -> RowMapping | None:
    """Mark an alert as resolved by somebody and return it; None where none such stands any more."""
    statement = (
        update(alert_history)
        .where(_own(organization_id, alert_id), _ALERT.resolved == false())
        .values(resolved=True, resolved_by=by, resolved_at=now, resolved_note=note)
        .returning(alert_history)
    )
    return connection.execute(statement).mappings().one_or_none()


def shelve(
    connection: Write,
    organization_id: OrganizationId,
    alert_id: UUID,
    *,
    by: str,
    until: datetime,
    reason: str,
) -> RowMapping | None:
    """Keep an alert that stands from the list until an instant, and return it; None where none such stands."""
    statement = (
        update(alert_history)
        .where(_own(organization_id, alert_id), _ALERT.resolved == false())
        .values(shelved_until=until, shelved_by=by, shelved_reason=reason)
        .returning(alert_history)
    )
    return connection.execute(statement).mappings().one_or_none()


def unshelve(connection: Write, organization_id: OrganizationId, alert_id: UUID, *, now: datetime) -> RowMapping | None:
    """Show an alert again that is shelved, and return it; None where none such is."""
    statement = (
        update(alert_history)
        .where(_own(organization_id, alert_id), _ALERT.resolved == false(), _ALERT.shelved_until > now)
        .values(shelved_until=null(), shelved_by=null(), shelved_reason=null())
        .returning(alert_history)
    )
    return connection.execute(statement).mappings().one_or_none()


def list_history(
    connection: Read,
    organization_id: OrganizationId,
    alert_id: UUID,
    *,
    before: tuple[datetime, UUID] | None,
    limit: int,
) -> Sequence[RowMapping]:
    """Return up to `limit` entries of the audit log about an alert, the newest first, after the position `before`."""
    query = (
        select(audit_log)
        .where(_ENTRY.organization_id == organization_id, _ENTRY.target == str(alert_id))
        .order_by(_ENTRY.occurred_at.desc(), _ENTRY.id.desc())
        .limit(limit)
    )
    if before is not None:
        at, entry_id = before
        query = query.where(_ENTRY.occurred_at <= at, or_(_ENTRY.occurred_at < at, _ENTRY.id < entry_id))
    return connection.execute(query).mappings().all()


def _stands(status: AskedStatus, now: datetime) -> Sequence[ColumnElement[bool]]:
    """Return the conditions of a status; what is active is either open or acknowledged, and kept from nobody."""
    stands = _ALERT.resolved == false()
    shelved = _ALERT.shelved_until > now
    active = (stands, _ALERT.suppressed_by.is_(None), or_(_ALERT.shelved_until.is_(None), _ALERT.shelved_until <= now))
    conditions: dict[AskedStatus, tuple[ColumnElement[Any], ...]] = {
        AskedStatus.ACTIVE: active,
        AskedStatus.OPEN: (*active, _ALERT.acknowledged == false()),
        AskedStatus.ACKNOWLEDGED: (*active, _ALERT.acknowledged == true()),
        AskedStatus.SHELVED: (stands, shelved),
        AskedStatus.SUPPRESSED: (stands, _ALERT.suppressed_by.is_not(None)),
        AskedStatus.RESOLVED: (_ALERT.resolved == true(),),
        AskedStatus.ALL: (),
    }
    return conditions[status]


def _own(organization_id: OrganizationId, alert_id: UUID) -> ColumnElement[bool]:
    return and_(_ALERT.organization_id == organization_id, _ALERT.alert_id == alert_id)
