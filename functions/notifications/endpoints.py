"""Telling people, over HTTP: whom, of what, and how it went."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Response, status

from functions import pagination
from functions.access.caller import CurrentOrigin, CurrentSession, ReadConnection
from functions.access.writes import WriteConnection, WriteRoute
from functions.application import CurrentApplication, Now
from functions.notifications import actions, queries
from functions.notifications.schemas import (
    ChangedChannel,
    Channel,
    ChannelPosition,
    Delivery,
    DeliveryPosition,
    IssuedChannel,
    LoggedDelivery,
    NewChannel,
    RotatedSecret,
    channel_columns,
    channel_values,
    delivery_values,
)
from functions.pagination import DEFAULT_LIMIT, Cursor, Limit, Page
from functions.problems import responses
from shared_code.database.tables.notifications import DeliveryState

router = APIRouter(prefix="/notifications", tags=["notifications"], route_class=WriteRoute)


@router.get("/channels", operation_id="list_notification_channels", responses=responses(401, 403, 422))
def list_notification_channels(
    session: CurrentSession, connection: ReadConnection, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Page[Channel]:
    """List who is told of alerts, the oldest first; no secret is among what is shown."""
    position = pagination.decode(cursor, ChannelPosition)
    rows = queries.list_channels(
        connection,
        session.organization_id,
        after=(position.created_at, position.channel_id) if position else None,
        limit=limit + 1,
    )
    return pagination.page(
        rows,
        limit,
        item=lambda row: Channel.model_validate(channel_values(row)),
        position=lambda row: ChannelPosition(created_at=row["created_at"], channel_id=row["channel_id"]),
    )


@router.post(
    "/channels",
    operation_id="create_notification_channel",
    status_code=status.HTTP_201_CREATED,
    responses=responses(401, 403, 409, 422),
)
def create_notification_channel(
    session: CurrentSession,
    connection: WriteConnection,
    application: CurrentApplication,
    origin: CurrentOrigin,
    now: Now,
    body: NewChannel,
) -> IssuedChannel:
    """Add somebody to be told of alerts. The answer holds a webhook's secret, which cannot be shown again."""
    made = actions.create_channel(
        connection,
        session.organization_id,
        values=channel_columns(body.model_dump()),
        settings=application.settings,
        by=session,
        origin=origin,
        now=now,
    )
    return IssuedChannel.model_validate(channel_values(made))


@router.patch(
    "/channels/{channel_id}",
    operation_id="update_notification_channel",
    responses=responses(401, 403, 404, 409, 422),
)
def update_notification_channel(
    session: CurrentSession,
    connection: WriteConnection,
    application: CurrentApplication,
    origin: CurrentOrigin,
    now: Now,
    channel_id: UUID,
    body: ChangedChannel,
) -> Channel:
    """Change who is told, of what, or when."""
    said = body.model_dump(exclude_unset=True)
    changes = {name: value for name, value in said.items() if value is not None or name == "quiet_hours"}
    changed = actions.change_channel(
        connection,
        session.organization_id,
        channel_id=channel_id,
        changes=channel_columns(changes),
        settings=application.settings,
        by=session,
        origin=origin,
        now=now,
    )
    return Channel.model_validate(channel_values(changed))


@router.delete(
    "/channels/{channel_id}",
    operation_id="remove_notification_channel",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=responses(401, 403, 404, 422),
)
def remove_notification_channel(
    session: CurrentSession, connection: WriteConnection, origin: CurrentOrigin, now: Now, channel_id: UUID
) -> Response:
    """Tell somebody nothing more. What they were told stays in the log."""
    actions.remove_channel(
        connection, session.organization_id, channel_id=channel_id, by=session, origin=origin, now=now
    )
    return Response(status_code=status.HTTP_204_NO_CONTENT)


@router.post(
    "/channels/{channel_id}/secret",
    operation_id="rotate_notification_secret",
    responses=responses(401, 403, 404, 409, 422),
)
def rotate_notification_secret(
    session: CurrentSession,
    connection: WriteConnection,
    origin: CurrentOrigin,
    now: Now,
    channel_id: UUID,
    body: RotatedSecret | None = None,
) -> IssuedChannel:
    """Sign a webhook's messages with a new secret, and for a while with the old one as well."""
    rotated = actions.rotate_secret(
        connection,
        session.organization_id,
        channel_id=channel_id,
        overlap=timedelta(hours=(body or RotatedSecret()).overlap_hours),
        by=session,
        origin=origin,
        now=now,
    )
    return IssuedChannel.model_validate(channel_values(rotated))


@router.post(
    "/channels/{channel_id}/test", operation_id="test_notification_channel", responses=responses(401, 403, 404, 422)
)
def test_notification_channel(
    session: CurrentSession,
    connection: WriteConnection,
    application: CurrentApplication,
    origin: CurrentOrigin,
    channel_id: UUID,
) -> LoggedDelivery:
    """Send a message that tells of nothing, and say what became of it; it is tried once."""
    delivery = actions.test_channel(
        connection,
        session.organization_id,
        channel_id=channel_id,
        out=actions.postman(application.settings, clock=application.clock),
        by=session,
        origin=origin,
    )
    return LoggedDelivery.model_validate(delivery_values(delivery))


@router.get("/deliveries", operation_id="list_notification_deliveries", responses=responses(401, 403, 422))
def list_notification_deliveries(
    session: CurrentSession,
    connection: ReadConnection,
    channel_id: Annotated[UUID | None, Query(description="Only messages to this channel.")] = None,
    state: Annotated[DeliveryState | None, Query(description="Only messages that fare so.")] = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[Delivery]:
    """List the messages that told people of alerts, the newest first."""
    position = pagination.decode(cursor, DeliveryPosition)
    rows = queries.list_deliveries(
        connection,
        session.organization_id,
        channel_id=channel_id,
        state=state,
        before=(position.created_at, position.delivery_id) if position else None,
        limit=limit + 1,
    )
    return pagination.page(
        rows, limit, item=lambda row: Delivery.model_validate(delivery_values(row)), position=_position
    )


@router.get(
    "/deliveries/{delivery_id}", operation_id="get_notification_delivery", responses=responses(401, 403, 404, 422)
)
def get_notification_delivery(session: CurrentSession, connection: ReadConnection, delivery_id: UUID) -> LoggedDelivery:
    """Show a message, what it tells, and every attempt to deliver it."""
    delivery = actions.get_delivery(connection, session.organization_id, delivery_id=delivery_id)
    return LoggedDelivery.model_validate(delivery_values(delivery))


@router.post(
    "/deliveries/{delivery_id}/replay",
    operation_id="replay_notification_delivery",
    status_code=status.HTTP_202_ACCEPTED,
    responses=responses(401, 403, 404, 409, 422),
)
def replay_notification_delivery(
    session: CurrentSession, connection: WriteConnection, origin: CurrentOrigin, now: Now, delivery_id: UUID
) -> LoggedDelivery:
    """Send a message again within a minute, the same and under the same id."""
    delivery = actions.replay_delivery(
        connection, session.organization_id, delivery_id=delivery_id, by=session, origin=origin, now=now
    )
    return LoggedDelivery.model_validate(delivery_values(delivery))


def _position(row: Mapping[Any, Any]) -> DeliveryPosition:
    return DeliveryPosition(created_at=row["created_at"], delivery_id=row["delivery_id"])
