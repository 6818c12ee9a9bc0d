"""SQL of alerts."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, RowMapping, and_, false, or_, select, true, update

from functions.alerts.status import AskedStatus
from shared_code.alarms import Severity
from shared_code.database.tables import alert_history
from shared_code.database.transactions import Read, Write
from shared_code.identifiers import CompressorId, OrganizationId

_ALERT: Final = alert_history.c
_STANDS: Final[Mapping[AskedStatus, Sequence[ColumnElement[bool]]]] = {
    AskedStatus.ACTIVE: (_ALERT.resolved == false(),),
    AskedStatus.OPEN: (_ALERT.resolved == false(), _ALERT.acknowledged == false()),
    AskedStatus.ACKNOWLEDGED: (_ALERT.resolved == false(), _ALERT.acknowledged == true()),
    AskedStatus.RESOLVED: (_ALERT.resolved == true(),),
    AskedStatus.ALL: (),
}


def list_alerts(
    connection: Read,
    organization_id: OrganizationId,
    *,
    status: AskedStatus,
    severity: Severity | None,
    compressor_id: CompressorId | None,
    before: tuple[datetime, UUID] | None,
    limit: int,
) -> Sequence[RowMapping]:
    """Return up to `limit` alerts, the newest first, those that come after the position `before`."""
    query = (
        select(alert_history)
        .where(_ALERT.organization_id == organization_id, *_STANDS[status])
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
    """Mark an open alert as acknowledged and return it; None where there is none such, or another was first."""
    statement = (
        update(alert_history)
        .where(_own(organization_id, alert_id), *_STANDS[AskedStatus.OPEN])
        .values(acknowledged=True, acknowledged_by=by, acknowledged_at=now, acknowledged_note=note)
        .returning(alert_history)
    )
    return connection.execute(statement).mappings().one_or_none()


def resolve(
    connection: Write, organization_id: OrganizationId, alert_id: UUID, *, by: str, note: str | None, now: datetime
) -> RowMapping | None:
    """Mark an alert as resolved by somebody and return it; None where none such stands any more."""
    statement = (
        update(alert_history)
        .where(_own(organization_id, alert_id), *_STANDS[AskedStatus.ACTIVE])
        .values(resolved=True, resolved_by=by, resolved_at=now, resolved_note=note)
        .returning(alert_history)
    )
    return connection.execute(statement).mappings().one_or_none()


def _own(organization_id: OrganizationId, alert_id: UUID) -> ColumnElement[bool]:
    return and_(_ALERT.organization_id == organization_id, _ALERT.alert_id == alert_id)
