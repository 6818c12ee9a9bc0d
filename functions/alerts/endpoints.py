"""Alerts over HTTP."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query

from functions import pagination
from functions.access.caller import CurrentCaller, CurrentOrigin, CurrentSession, ReadConnection
from functions.access.writes import WriteConnection, WriteRoute
from functions.alerts import actions, queries
from functions.alerts.schemas import Alert, AlertNote, AlertPosition, alert_values
from functions.alerts.status import AskedStatus
from functions.application import Now
from functions.pagination import DEFAULT_LIMIT, Cursor, Limit, Page
from functions.problems import responses
from functions.selection import Selection, query_of, selection
from functions.stations.schemas import Identifier
from shared_code.alarms import Severity
from shared_code.identifiers import CompressorId

router = APIRouter(prefix="/alerts", tags=["alerts"], route_class=WriteRoute)

AlertFields = Annotated[Selection[Alert], Depends(selection(Alert))]


@dataclass(frozen=True, slots=True)
class AskedAlerts:
    """Which alerts a client asks for."""

    status: Annotated[AskedStatus, Query(description="`active`: open or acknowledged.")] = AskedStatus.ACTIVE
    severity: Annotated[Severity | None, Query(description="Only alerts so grave.")] = None
    compressor_id: Annotated[Identifier | None, Query(description="Only alerts of this machine.")] = None


@router.get("", operation_id="list_alerts", responses=responses(401, 403, 422))
def list_alerts(
    caller: CurrentCaller,
    connection: ReadConnection,
    asked: Annotated[AskedAlerts, Depends(query_of(AskedAlerts))],
    fields: AlertFields,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[Alert]:
    """List the organization's alerts, the newest first; those that are not resolved, unless others are asked for."""
    position = pagination.decode(cursor, AlertPosition)
    rows = queries.list_alerts(
        connection,
        caller.organization_id,
        status=asked.status,
        severity=asked.severity,
        compressor_id=CompressorId(asked.compressor_id) if asked.compressor_id else None,
        before=(position.alert_timestamp, position.alert_id) if position else None,
        limit=limit + 1,
    )
    return pagination.page(rows, limit, item=lambda row: fields.item(alert_values(row)), position=_position)


@router.get("/{alert_id}", operation_id="get_alert", responses=responses(401, 403, 404, 422))
def get_alert(caller: CurrentCaller, connection: ReadConnection, alert_id: UUID, fields: AlertFields) -> Alert:
    """Show one alert, and what was done about it."""
    return fields.item(alert_values(actions.get_alert(connection, caller.organization_id, alert_id=alert_id)))


@router.post("/{alert_id}/acknowledge", operation_id="acknowledge_alert", responses=responses(401, 403, 404, 409, 422))
def acknowledge_alert(
    session: CurrentSession,
    connection: WriteConnection,
    origin: CurrentOrigin,
    now: Now,
    alert_id: UUID,
    body: AlertNote | None = None,
) -> Alert:
    """Say that somebody is on it. The alert counts until it is resolved; who said so first, and their note, stays."""
    acknowledged = actions.acknowledge_alert(
        connection,
        session.organization_id,
        alert_id=alert_id,
        note=body.note if body else None,
        by=session,
        origin=origin,
        now=now,
    )
    return Alert.model_validate(alert_values(acknowledged))


@router.post("/{alert_id}/resolve", operation_id="resolve_alert", responses=responses(401, 403, 404, 422))
def resolve_alert(
    session: CurrentSession,
    connection: WriteConnection,
    origin: CurrentOrigin,
    now: Now,
    alert_id: UUID,
    body: AlertNote | None = None,
) -> Alert:
    """Say that it is over; from then on it counts no more. Who said so first, and their note, stays."""
    resolved = actions.resolve_alert(
        connection,
        session.organization_id,
        alert_id=alert_id,
        note=body.note if body else None,
        by=session,
        origin=origin,
        now=now,
    )
    return Alert.model_validate(alert_values(resolved))


def _position(row: Mapping[Any, Any]) -> AlertPosition:
    return AlertPosition(alert_timestamp=row["alert_timestamp"], alert_id=row["alert_id"])
