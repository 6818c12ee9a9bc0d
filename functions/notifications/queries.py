"""SQL of telling people: whom, of what, how it went."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Interval,
    RowMapping,
    String,
    and_,
    bindparam,
    exists,
    false,
    func,
    literal,
    null,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from shared_code.alarms import Severity
from shared_code.database.tables import (
    alert_history,
    compressor_metadata,
    delivery_attempts,
    notification_channels,
    notification_deliveries,
    notifications,
    organizations,
    station_locations,
    users,
)
from shared_code.database.tables.metadata import INSTANT
from shared_code.database.tables.notifications import ChannelKind, DeliveryState, Occasion
from shared_code.database.transactions import Everywhere, Read, Write
from shared_code.identifiers import OrganizationId

_ALERT: Final = alert_history.c
_CHANNEL: Final = notification_channels.c
_DELIVERY: Final = notification_deliveries.c
_NOTICE: Final = notifications.c
_NOTICED: Final = (
    "organization_id",
    "notification_id",
    "alert_id",
    "channel_id",
    "occasion",
    "noticed_at",
    "due_at",
    "closed",
)
_OF_THE_ALERT: Final = tuple(column for column in _ALERT if column.name not in _NOTICE)
_OF_THE_CHANNEL: Final = ("kind", "enabled", "removed_at", "quiet_from", "quiet_until", "quiet_for_critical")
_FOR_AN_ATTEMPT: Final = (
    "kind",
    "address",
    "secret",
    "previous_secret",
    "previous_until",
    "enabled",
    "removed_at",
)
_TAKEN: Final = ("organization_id", "delivery_id", "channel_id", "message", "attempts")


# organization-free: notices alerts of every organization that wants to be told
def notice(connection: Everywhere, *, now: datetime) -> int:
    """Note which channels are to be told of which alerts, as soon as one stands; return how many such there are.

    An alert that becomes critical is told again, though somebody acknowledged it when it was a warning; one that was
    critical before is not told again as a warning.
    """
    at = literal(now, INSTANT)
    grave_since = func.greatest(_ALERT.critical_at, _ALERT.escalated_at)
    told = exists(_NOTICE.alert_id).where(
        _NOTICE.organization_id == _ALERT.organization_id,
        _NOTICE.alert_id == _ALERT.alert_id,
        _NOTICE.channel_id == _CHANNEL.channel_id,
        _NOTICE.occasion.in_([_ALERT.severity, Occasion.CRITICAL]),
    )
    rows = (
        select(
            _ALERT.organization_id,
            func.gen_random_uuid(),
            _ALERT.alert_id,
            _CHANNEL.channel_id,
            _ALERT.severity,
            at,
            at + func.make_interval(0, 0, 0, 0, 0, _CHANNEL.after_minutes, type_=Interval()),
            false(),
        )
        .join(notification_channels, _CHANNEL.organization_id == _ALERT.organization_id)
        .where(
            _ALERT.resolved == false(),
            _ALERT.suppressed_by.is_(None),
            _ALERT.withdrawn_at.is_(None),
            or_(_ALERT.cleared_at.is_(None), _ALERT.latched == true()),
            or_(_ALERT.shelved_until.is_(None), _ALERT.shelved_until <= now),
            or_(_ALERT.acknowledged == false(), grave_since > _ALERT.acknowledged_at),
            _CHANNEL.enabled == true(),
            _CHANNEL.removed_at.is_(None),
            or_(_CHANNEL.least_severity == Severity.WARNING, _ALERT.severity == Severity.CRITICAL),
            ~told,
        )
    )
    statement = insert(notifications).from_select(list(_NOTICED), rows).on_conflict_do_nothing()
    return connection.execute(statement, execution_options={"preserve_rowcount": True}).rowcount


# organization-free: closes what any organization was told of
def close(connection: Everywhere, *, now: datetime) -> int:
    """Note who is to be told that an alert is over, of those who were told of it; return how many were closed."""
    # Looked up for each that is not closed: for a join the planner, who takes a table that has just been filled for an
    # empty one, goes through all of it for each alert that was ever resolved.
    resolved = select(_ALERT.resolved).where(_same(_NOTICE, _ALERT, "alert_id")).correlate(notifications)
    over = (_NOTICE.closed == false(), resolved.scalar_subquery().is_(true()))
    at = literal(now, INSTANT)
    rows = (
        select(
            _NOTICE.organization_id,
            func.gen_random_uuid(),
            _NOTICE.alert_id,
            _NOTICE.channel_id,
            literal(Occasion.RESOLVED, String()),
            at,
            at,
            true(),
        )
        .join(
            notification_channels,
            and_(
                _CHANNEL.organization_id == _NOTICE.organization_id,
                _CHANNEL.channel_id == _NOTICE.channel_id,
                _CHANNEL.tells_resolved == true(),
            ),
        )
        .where(*over, _NOTICE.delivery_id.is_not(None))
    )
    connection.execute(insert(notifications).from_select(list(_NOTICED), rows).on_conflict_do_nothing())
    return connection.execute(update(notifications).where(*over).values(closed=True)).rowcount


# organization-free: what is due, whoever is to be told
def lock_due(connection: Everywhere, *, now: datetime, limit: int) -> Sequence[RowMapping]:
    """Return up to so many notifications that are due, each with its alert and channel, and keep them from others."""
    member = exists(users.c.email).where(
        users.c.organization_id == _CHANNEL.organization_id, func.lower(users.c.email) == func.lower(_CHANNEL.address)
    )
    machine, station = compressor_metadata.c, station_locations.c
    query = (
        select(
            *(_NOTICE[name] for name in ("organization_id", "notification_id", "alert_id", "channel_id", "occasion")),
            *_OF_THE_ALERT,
            *(_CHANNEL[name] for name in _OF_THE_CHANNEL),
            station.station_id,
            station.station_name,
            station.timezone,
            organizations.c.name.label("organization_name"),
            or_(_CHANNEL.kind != ChannelKind.EMAIL, member).label("is_member"),
        )
        .join(alert_history, _same(_NOTICE, _ALERT, "alert_id"))
        .join(notification_channels, _same(_NOTICE, _CHANNEL, "channel_id"))
        .join(compressor_metadata, _same(_ALERT, machine, "compressor_id"))
        .join(station_locations, _same(machine, station, "station_id"))
        .join(organizations, organizations.c.id == _NOTICE.organization_id)
        .where(_NOTICE.delivery_id.is_(None), _NOTICE.dropped.is_(None), _NOTICE.due_at <= now)
        .order_by(_NOTICE.due_at, _NOTICE.notification_id)
        .limit(limit)
        .with_for_update(of=notifications, skip_locked=True)
    )
    return connection.execute(query).mappings().all()


# organization-free: each row says whose it is
def add_deliveries(connection: Everywhere, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add messages that wait to be sent."""
    if rows:
        connection.execute(insert(notification_deliveries), list(rows))


# organization-free: each row says whose it is
def settle(connection: Everywhere, rows: Sequence[Mapping[str, Any]]) -> None:
    """Note what was decided: each row has a key, and either a delivery, or why there is none, or until when to wait."""
    if not rows:
        return
    given = ("due_at", "delivery_id", "dropped")
    statement = (
        update(notifications)
        .where(
            _NOTICE.organization_id == bindparam("whose", type_=_NOTICE.organization_id.type),
            _NOTICE.notification_id == bindparam("which", type_=_NOTICE.notification_id.type),
        )
        .values({name: bindparam(f"new_{name}", type_=_NOTICE[name].type) for name in given})
    )
    connection.execute(
        statement,
        [
            {
                "whose": row["organization_id"],
                "which": row["notification_id"],
                **{f"new_{name}": row[name] for name in given},
            }
            for row in rows
        ],
    )


# organization-free: what waits, whosever it is
def claim(connection: Everywhere, *, now: datetime, until: datetime, limit: int) -> Sequence[RowMapping]:
    """Take up to so many messages that are due for an attempt; return them with their channels.

    Channels take turns, so that none waits for all that another is told. Until `until` nobody else takes the messages,
    whatever becomes of this process.
    """
    is_due = (
        _DELIVERY.state == DeliveryState.WAITING,
        _DELIVERY.next_attempt_at <= now,
        or_(_DELIVERY.claimed_until.is_(None), _DELIVERY.claimed_until <= now),
    )
    whose = (_DELIVERY.organization_id, _DELIVERY.channel_id)
    turn = func.row_number().over(partition_by=whose, order_by=_DELIVERY.next_attempt_at).label("turn")
    waiting = select(_DELIVERY.organization_id, _DELIVERY.delivery_id, turn).where(*is_due).subquery("waiting")
    due = (
        select(_DELIVERY.organization_id, _DELIVERY.delivery_id)
        .join(waiting, _same(_DELIVERY, waiting.c, "delivery_id"))
        .where(*is_due)
        .order_by(waiting.c.turn, _DELIVERY.next_attempt_at)
        .limit(limit)
        .with_for_update(of=notification_deliveries, skip_locked=True)
        .cte("due")  # a subquery would be asked anew for each row, and would take them all
    )
    taken = (
        update(notification_deliveries)
        .where(_same(_DELIVERY, due.c, "delivery_id"))
        .values(claimed_until=until, attempts=_DELIVERY.attempts + 1)
        .returning(*(_DELIVERY[name] for name in _TAKEN))
        .cte("taken")
    )
    query = select(taken, *(_CHANNEL[name] for name in _FOR_AN_ATTEMPT)).join(
        notification_channels, _same(taken.c, _CHANNEL, "channel_id")
    )
    return connection.execute(query).mappings().all()


def conclude(
    connection: Everywhere | Write,
    organization_id: OrganizationId,
    delivery_id: UUID,
    *,
    attempts: int,
    attempt: Mapping[str, Any],
    state: DeliveryState,
    next_attempt_at: datetime | None,
) -> bool:
    """Keep how an attempt went; false where another has taken the message since, which then says how it stands."""
    row = {"organization_id": organization_id, "delivery_id": delivery_id, **attempt}
    connection.execute(insert(delivery_attempts).values(row).on_conflict_do_nothing())
    statement = (
        update(notification_deliveries)
        .where(
            _DELIVERY.organization_id == organization_id,
            _DELIVERY.delivery_id == delivery_id,
            _DELIVERY.attempts == attempts,
            _DELIVERY.state == DeliveryState.WAITING,
        )
        .values(
            state=state,
            next_attempt_at=next_attempt_at,
            claimed_until=null(),
            delivered_at=attempt["attempted_at"] if state is DeliveryState.DELIVERED else None,
        )
        .returning(_DELIVERY.delivery_id)
    )
    return connection.execute(statement).first() is not None


def switch_off(connection: Everywhere, organization_id: OrganizationId, channel_id: UUID) -> None:
    """Tell a channel nothing more, until somebody switches it on."""
    connection.execute(
        update(notification_channels)
        .where(_CHANNEL.organization_id == organization_id, _CHANNEL.channel_id == channel_id)
        .values(enabled=False)
    )


def list_channels(
    connection: Read | Write, organization_id: OrganizationId, *, after: tuple[datetime, UUID] | None, limit: int
) -> Sequence[RowMapping]:
    """Return up to `limit` channels in use, the oldest first, those that come after the position `after`."""
    query = (
        select(notification_channels)
        .where(_CHANNEL.organization_id == organization_id, _CHANNEL.removed_at.is_(None))
        .order_by(_CHANNEL.created_at, _CHANNEL.channel_id)
        .limit(limit)
    )
    if after is not None:
        at, channel_id = after
        # Said twice, because an index finds its place by the first and not by the second.
        query = query.where(_CHANNEL.created_at >= at, or_(_CHANNEL.created_at > at, _CHANNEL.channel_id > channel_id))
    return connection.execute(query).mappings().all()


def find_channel(connection: Read | Write, organization_id: OrganizationId, channel_id: UUID) -> RowMapping | None:
    """Return a channel in use; None without such a one."""
    query = select(notification_channels).where(
        _CHANNEL.organization_id == organization_id,
        _CHANNEL.channel_id == channel_id,
        _CHANNEL.removed_at.is_(None),
    )
    return connection.execute(query).mappings().one_or_none()


def add_channel(connection: Write, organization_id: OrganizationId, values: Mapping[str, Any]) -> RowMapping:
    """Add a channel and return it."""
    statement = insert(notification_channels).values({**values, "organization_id": organization_id})
    return connection.execute(statement.returning(notification_channels)).mappings().one()


def change_channel(
    connection: Write, organization_id: OrganizationId, channel_id: UUID, values: Mapping[str, Any]
) -> RowMapping | None:
    """Change a channel in use and return it; None without such a one."""
    statement = (
        update(notification_channels)
        .where(
            _CHANNEL.organization_id == organization_id,
            _CHANNEL.channel_id == channel_id,
            _CHANNEL.removed_at.is_(None),
        )
        .values(dict(values))
        .returning(notification_channels)
    )
    return connection.execute(statement).mappings().one_or_none()


def count_channels(connection: Write, organization_id: OrganizationId) -> int:
    """Return how many channels are in use."""
    query = select(func.count()).where(_CHANNEL.organization_id == organization_id, _CHANNEL.removed_at.is_(None))
    return connection.scalar(query) or 0


def is_member(connection: Read | Write, organization_id: OrganizationId, email: str) -> bool:
    """Whether somebody of the organization has this e-mail address."""
    query = select(exists().where(users.c.organization_id == organization_id, func.lower(users.c.email) == email))
    return bool(connection.scalar(query))


def list_deliveries(
    connection: Read,
    organization_id: OrganizationId,
    *,
    channel_id: UUID | None,
    state: DeliveryState | None,
    before: tuple[datetime, UUID] | None,
    limit: int,
) -> Sequence[RowMapping]:
    """Return up to `limit` messages, the newest first, those that come after the position `before`."""
    query = (
        _deliveries(organization_id).order_by(_DELIVERY.created_at.desc(), _DELIVERY.delivery_id.desc()).limit(limit)
    )
    if channel_id is not None:
        query = query.where(_DELIVERY.channel_id == channel_id)
    if state is not None:
        query = query.where(_DELIVERY.state == state)
    if before is not None:
        at, delivery_id = before
        query = query.where(
            _DELIVERY.created_at <= at, or_(_DELIVERY.created_at < at, _DELIVERY.delivery_id < delivery_id)
        )
    return connection.execute(query).mappings().all()


def find_delivery(connection: Read | Write, organization_id: OrganizationId, delivery_id: UUID) -> RowMapping | None:
    """Return a message; None without such a one."""
    query = _deliveries(organization_id).where(_DELIVERY.delivery_id == delivery_id)
    return connection.execute(query).mappings().one_or_none()


def list_attempts(connection: Read | Write, organization_id: OrganizationId, delivery_id: UUID) -> Sequence[RowMapping]:
    """Return the attempts to deliver a message, the first first."""
    attempt = delivery_attempts.c
    query = (
        select(attempt.attempted_at, attempt.seconds, attempt.status, attempt.error)
        .where(attempt.organization_id == organization_id, attempt.delivery_id == delivery_id)
        .order_by(attempt.attempted_at)
    )
    return connection.execute(query).mappings().all()


def add_delivery(
    connection: Write, organization_id: OrganizationId, values: Mapping[str, Any], *, attempt: Mapping[str, Any]
) -> None:
    """Add a message and the one attempt to deliver it."""
    whose = {"organization_id": organization_id}
    connection.execute(insert(notification_deliveries).values({**values, **whose}))
    key = {"delivery_id": values["delivery_id"]}
    connection.execute(insert(delivery_attempts).values({**attempt, **key, **whose}))


def replay(connection: Write, organization_id: OrganizationId, delivery_id: UUID, *, now: datetime) -> bool:
    """Let a message that was delivered, or is tried no more, be sent again; false where none such is."""
    statement = (
        update(notification_deliveries)
        .where(
            _DELIVERY.organization_id == organization_id,
            _DELIVERY.delivery_id == delivery_id,
            _DELIVERY.state != DeliveryState.WAITING,
        )
        .values(state=DeliveryState.WAITING, attempts=0, next_attempt_at=now, delivered_at=null())
        .returning(_DELIVERY.delivery_id)
    )
    return connection.execute(statement).first() is not None


def get_organization_name(connection: Read | Write, organization_id: OrganizationId) -> str:
    """Return what the organization is called."""
    return connection.execute(select(organizations.c.name).where(organizations.c.id == organization_id)).scalar_one()


def _deliveries(organization_id: OrganizationId) -> Any:  # noqa: ANN401 - a query of many columns
    return (
        select(notification_deliveries, _CHANNEL.kind, _CHANNEL.name)
        .join(notification_channels, _same(_DELIVERY, _CHANNEL, "channel_id"))
        .where(_DELIVERY.organization_id == organization_id)
    )


def _same(one: Any, other: Any, name: str) -> ColumnElement[bool]:  # noqa: ANN401 - columns by name
    return and_(one.organization_id == other.organization_id, one[name] == other[name])
