"""Alerts over HTTP."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, status

from functions import pagination
from functions.access.caller import CurrentCaller, CurrentOrigin, CurrentSession, QuestionConnection, ReadConnection
from functions.access.writes import WriteConnection, WriteRoute
from functions.alerts import actions, performance, queries, rules
from functions.alerts.schemas import (
    Alert,
    AlertEntry,
    AlertNote,
    AlertPosition,
    AlertRule,
    AlertRules,
    Backtested,
    BacktestRequest,
    Comment,
    EntryPosition,
    Performance,
    Shelf,
    alert_values,
)
from functions.alerts.status import AskedStatus
from functions.application import CurrentApplication, Now
from functions.pagination import DEFAULT_LIMIT, Cursor, Limit, Page
from functions.problems import responses
from functions.readings.schemas import Instant
from functions.selection import Selection, query_of, selection
from functions.stations.schemas import Identifier
from shared_code.alarms import Severity
from shared_code.identifiers import CompressorId
from shared_code.thresholds import RuleChanges

router = APIRouter(prefix="/alerts", tags=["alerts"], route_class=WriteRoute)

AlertFields = Annotated[Selection[Alert], Depends(selection(Alert))]


@dataclass(frozen=True, slots=True)
class AskedAlerts:
    """Which alerts a client asks for."""

    status: Annotated[
        AskedStatus, Query(description="`active`: open or acknowledged, and neither shelved nor suppressed.")
    ] = AskedStatus.ACTIVE
    severity: Annotated[Severity | None, Query(description="Only alerts so grave.")] = None
    compressor_id: Annotated[Identifier | None, Query(description="Only alerts of this machine.")] = None


@router.get("", operation_id="list_alerts", responses=responses(401, 403, 422))
def list_alerts(
    caller: CurrentCaller,
    connection: ReadConnection,
    now: Now,
    asked: Annotated[AskedAlerts, Depends(query_of(AskedAlerts))],
    fields: AlertFields,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[Alert]:
    """List the organization's alerts, the newest first; those to see to, unless others are asked for."""
    position = pagination.decode(cursor, AlertPosition)
    rows = queries.list_alerts(
        connection,
        caller.organization_id,
        status=asked.status,
        now=now,
        severity=asked.severity,
        compressor_id=CompressorId(asked.compressor_id) if asked.compressor_id else None,
        before=(position.alert_timestamp, position.alert_id) if position else None,
        limit=limit + 1,
    )
    return pagination.page(rows, limit, item=lambda row: fields.item(alert_values(row)), position=_position)


@dataclass(frozen=True, slots=True)
class AskedPerformance:
    """Which alerts a client wants figures about."""

    start: Annotated[Instant | None, Query(description="Alerts raised at this or later; 30 days unless said.")] = None
    end: Annotated[Instant | None, Query(description="Alerts raised earlier than this; now unless said.")] = None
    compressor_id: Annotated[Identifier | None, Query(description="Only alerts of this machine.")] = None


# Before `get_alert`, in the order of registration and of names: both match this address.
@router.get("/performance", operation_id="assess_alerts", responses=responses(401, 403, 422))
def assess_alerts(
    caller: CurrentCaller,
    connection: ReadConnection,
    now: Now,
    asked: Annotated[AskedPerformance, Depends(query_of(AskedPerformance))],
) -> Performance:
    """Show how well alerts serve those who answer them, beside what ISA-18.2 and EEMUA 191 aim at.

    The period is the last 30 days unless said. It ends no later than now and begins no earlier than the plan keeps
    alerts; `start` and `end` of the answer say what it came out at.
    """
    raised = performance.period(
        asked.start,
        asked.end,
        compressor_id=CompressorId(asked.compressor_id) if asked.compressor_id else None,
        tier=caller.subscription_tier,
        now=now,
    )
    return Performance.model_validate(actions.assess_alerts(connection, caller.organization_id, raised=raised, now=now))


# Likewise.
@router.get("/rules", operation_id="describe_alert_rules", responses=responses(401, 403))
def describe_alert_rules(caller: CurrentCaller, connection: ReadConnection) -> AlertRules:
    """Show by which rules the organization's alerts are raised: limits, delays, and what each means and asks for."""
    return AlertRules.model_validate(rules.describe_rules(connection, caller.organization_id))


@router.patch("/rules/{rule}", operation_id="update_alert_rule", responses=responses(401, 403, 404, 422))
def update_alert_rule(
    session: CurrentSession, connection: WriteConnection, origin: CurrentOrigin, now: Now, rule: str, body: RuleChanges
) -> AlertRule:
    """Change a rule for the organization; null is as for everybody, and what is not named stays.

    The job's next run judges by it the readings that it takes in; a rebuild judges all by the rules of its day.
    """
    changed = rules.change_rule(
        connection,
        session.organization_id,
        name=rule,
        wishes=body.model_dump(exclude_unset=True),
        by=session,
        origin=origin,
        now=now,
    )
    return AlertRule.model_validate(changed)


async def turn() -> AsyncIterator[None]:
    """Return when it is a request's turn: readings by the million take room, and time that others wait for."""
    yield


@router.post("/rules/backtest", operation_id="backtest_alert_rule", responses=responses(401, 403, 409, 422, 503))
def backtest_alert_rule(
    turn: Annotated[None, Depends(turn, scope="function", max_concurrency=2)],
    session: CurrentSession,
    connection: QuestionConnection,
    application: CurrentApplication,
    now: Now,
    body: BacktestRequest,
) -> Backtested:
    """Run a changed rule over the organization's readings of the past, and show what it would have raised.

    By the same engine as the job's, with all other rules as they are. Nothing changes. Up to 90 days and 1,000,000
    readings, no further back than the plan keeps them.
    """
    del turn
    machines = body.compressor_ids
    asked = rules.Backtest(
        rule=body.rule,
        changes=body.changes,
        start=body.start,
        end=body.end,
        compressor_ids=None if machines is None else frozenset(map(CompressorId, machines)),
    )
    answer = rules.backtest_rule(
        connection,
        session.organization_id,
        asked=asked,
        lake=application.settings.lake,
        tier=session.subscription_tier,
        now=now,
    )
    return Backtested.model_validate(answer)


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


@router.post("/{alert_id}/shelve", operation_id="shelve_alert", responses=responses(401, 403, 404, 409, 422))
def shelve_alert(
    session: CurrentSession,
    connection: WriteConnection,
    origin: CurrentOrigin,
    now: Now,
    alert_id: UUID,
    body: Shelf,
) -> Alert:
    """Keep an alert from the list until an instant. It still counts; shelving again replaces what was said before."""
    shelved = actions.shelve_alert(
        connection,
        session.organization_id,
        alert_id=alert_id,
        until=body.until,
        reason=body.reason,
        by=session,
        origin=origin,
        now=now,
    )
    return Alert.model_validate(alert_values(shelved))


@router.post("/{alert_id}/unshelve", operation_id="unshelve_alert", responses=responses(401, 403, 404, 422))
def unshelve_alert(
    session: CurrentSession, connection: WriteConnection, origin: CurrentOrigin, now: Now, alert_id: UUID
) -> Alert:
    """Show an alert in the list again before its time. One that is not shelved stays as it is."""
    shown = actions.unshelve_alert(
        connection, session.organization_id, alert_id=alert_id, by=session, origin=origin, now=now
    )
    return Alert.model_validate(alert_values(shown))


@router.post(
    "/{alert_id}/comment",
    operation_id="comment_on_alert",
    status_code=status.HTTP_201_CREATED,
    responses=responses(401, 403, 404, 422),
)
def comment_on_alert(
    session: CurrentSession,
    connection: WriteConnection,
    origin: CurrentOrigin,
    now: Now,
    alert_id: UUID,
    body: Comment,
) -> Alert:
    """Say something about an alert. It stands in the alert's history, and changes nothing."""
    alert = actions.comment_on_alert(
        connection, session.organization_id, alert_id=alert_id, text=body.text, by=session, origin=origin, now=now
    )
    return Alert.model_validate(alert_values(alert))


@router.get("/{alert_id}/history", operation_id="list_alert_history", responses=responses(401, 403, 404, 422))
def list_alert_history(
    caller: CurrentCaller,
    connection: ReadConnection,
    alert_id: UUID,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[AlertEntry]:
    """List what was done about an alert, by people and by workflows, the newest first."""
    after = pagination.decode(cursor, EntryPosition)
    rows = actions.list_history(
        connection,
        caller.organization_id,
        alert_id=alert_id,
        before=(after.occurred_at, after.id) if after else None,
        limit=limit + 1,
    )
    return pagination.page(
        rows,
        limit,
        item=lambda row: AlertEntry.model_validate(dict(row)),
        position=lambda row: EntryPosition(occurred_at=row["occurred_at"], id=row["id"]),
    )


def _position(row: Mapping[Any, Any]) -> AlertPosition:
    return AlertPosition(alert_timestamp=row["alert_timestamp"], alert_id=row["alert_id"])
