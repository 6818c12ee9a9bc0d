"""SQL of predictions."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import RowMapping, Select, func, select, true

from shared_code.alarms import AlertType
from shared_code.database.tables import alert_history, compressor_metadata, maintenance_events, ml_predictions
from shared_code.database.tables.fleet import MaintenanceType
from shared_code.database.transactions import Read
from shared_code.identifiers import CompressorId, OrganizationId

MOST: Final = 20_000
"""Rows of one kind that figures are made of; the newest where there are more."""

_PREDICTION: Final = ml_predictions.c
_MACHINE: Final = compressor_metadata.c
_NEWEST: Final = (
    select(ml_predictions)
    .where(_PREDICTION.organization_id == _MACHINE.organization_id, _PREDICTION.compressor_id == _MACHINE.compressor_id)
    .order_by(_PREDICTION.prediction_timestamp.desc(), _PREDICTION.model_version.desc())
    .limit(1)
    .lateral("newest")
)
"""Of a machine: a look-up each, however many predictions there are."""


def list_latest(
    connection: Read,
    organization_id: OrganizationId,
    *,
    alarm: bool | None,
    after: CompressorId | None,
    limit: int,
) -> Sequence[RowMapping]:
    """Return the newest prediction of up to `limit` machines in use, in order of id, those after `after`.

    Args:
        connection: the transaction.
        organization_id: whose.
        alarm: only those that are an alarm, or only those that are none.
        after: the last machine of the page before.
        limit: how many at most.
    """
    query = _latest(organization_id).where(_MACHINE.retired_at.is_(None)).limit(limit)
    if alarm is not None:
        beyond = _NEWEST.c.health >= _NEWEST.c.threshold
        query = query.where(beyond if alarm else func.coalesce(_NEWEST.c.health, 0) < _NEWEST.c.threshold)
    if after is not None:
        query = query.where(_MACHINE.compressor_id > after)
    return connection.execute(query).mappings().all()


def find_latest(connection: Read, organization_id: OrganizationId, compressor_id: CompressorId) -> RowMapping | None:
    """Return the newest prediction of a machine; None where there is none."""
    query = _latest(organization_id).where(_MACHINE.compressor_id == compressor_id)
    return connection.execute(query).mappings().one_or_none()


def _latest(organization_id: OrganizationId) -> Select[Any]:
    return (
        select(_NEWEST)
        .join_from(compressor_metadata, _NEWEST, true())
        .where(_MACHINE.organization_id == organization_id)
        .order_by(_MACHINE.compressor_id)
    )


def count_judged_hours(connection: Read, organization_id: OrganizationId, start: datetime, end: datetime) -> int:
    """Return of how many hours of machines something could be told."""
    query = select(func.count()).where(
        _PREDICTION.organization_id == organization_id,
        _PREDICTION.prediction_timestamp > start,
        _PREDICTION.prediction_timestamp <= end,
        _PREDICTION.health.is_not(None),
    )
    return connection.execute(query).scalar_one()


def list_alarms(
    connection: Read, organization_id: OrganizationId, start: datetime, end: datetime
) -> Sequence[RowMapping]:
    """Return machine and time of the predictions that people were told of, the newest first."""
    alert = alert_history.c
    query = (
        select(alert.compressor_id, alert.alert_timestamp)
        .where(
            alert.organization_id == organization_id,
            alert.alert_timestamp >= start,
            alert.alert_timestamp < end,
            alert.alert_type == AlertType.PREDICTION,
            alert.suppressed_by.is_(None),
            alert.withdrawn_at.is_(None),
        )
        .order_by(alert.alert_timestamp.desc())
        .limit(MOST)
    )
    return connection.execute(query).mappings().all()


def list_breakdowns(
    connection: Read, organization_id: OrganizationId, start: datetime, end: datetime
) -> Sequence[RowMapping]:
    """Return machine, time and type of failures and of unscheduled work, the newest first."""
    event = maintenance_events.c
    query = (
        select(event.compressor_id, event.event_date, event.event_type)
        .where(
            event.organization_id == organization_id,
            event.event_date >= start,
            event.event_date < end,
            event.event_type.in_((MaintenanceType.FAILURE, MaintenanceType.UNSCHEDULED)),
        )
        .order_by(event.event_date.desc())
        .limit(MOST)
    )
    return connection.execute(query).mappings().all()


def list_bounds(
    connection: Read,
    organization_id: OrganizationId,
    compressor_ids: Collection[CompressorId],
    start: datetime,
    end: datetime,
) -> Sequence[RowMapping]:
    """Return machine, time and bound, in days, of predictions of these machines that told one, the newest first."""
    query = (
        select(_PREDICTION.compressor_id, _PREDICTION.prediction_timestamp, _PREDICTION.rul_days)
        .where(
            _PREDICTION.organization_id == organization_id,
            _PREDICTION.compressor_id.in_(compressor_ids),
            _PREDICTION.prediction_timestamp >= start,
            _PREDICTION.prediction_timestamp < end,
            _PREDICTION.rul_days.is_not(None),
        )
        .order_by(_PREDICTION.prediction_timestamp.desc())
        .limit(MOST)
    )
    return connection.execute(query).mappings().all()
