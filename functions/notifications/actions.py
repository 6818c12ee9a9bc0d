"""What people say about whom to tell, and what they do about messages."""

import base64
import re
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from ipaddress import ip_network
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID, uuid4

from functions.access import audit
from functions.access import queries as access_queries
from functions.access.audit import Origin
from functions.access.sessions import Session
from functions.clock import Clock
from functions.notifications import queries, telling, wording
from functions.notifications.addresses import Network, may_be_reached
from functions.notifications.sending import Postman
from functions.settings import Settings
from shared_code.database.tables.notifications import ChannelKind, DeliveryState
from shared_code.database.transactions import Read, Write
from shared_code.errors import ConflictError, InvalidError, NotFoundError
from shared_code.identifiers import OrganizationId

NO_CHANNEL: Final = "there is no such channel"
NO_DELIVERY: Final = "there is no such message"
MOST_CHANNELS: Final = 20
SECRET_BYTES: Final = 32
_URL: Final = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+(?:[/?][\x21-\x7e]*)?")


def postman(settings: Settings, *, clock: Clock) -> Postman:
    """Return who takes messages out, by the settings."""
    return Postman(settings.mail, clock, _private(settings))


def create_channel(
    connection: Write,
    organization_id: OrganizationId,
    *,
    values: Mapping[str, Any],
    settings: Settings,
    by: Session,
    origin: Origin,
    now: datetime,
) -> Mapping[Any, Any]:
    """Add somebody who is told of alerts, from those that stand now on; return it, a webhook's with its secret.

    Raises:
        ConflictError: there are as many as there may be, or this installation sends no e-mail.
        InvalidError: nobody of the organization has the e-mail address, or nothing may be sent to the URL.
    """
    kind = ChannelKind(values["kind"])
    address = _checked(connection, organization_id, kind, values["address"], settings)
    access_queries.lock_organization(connection, organization_id)  # of two who add the last, one is refused
    if queries.count_channels(connection, organization_id) >= MOST_CHANNELS:
        raise ConflictError(f"an organization has {MOST_CHANNELS} channels at most; remove one first")
    made = queries.add_channel(
        connection,
        organization_id,
        {
            **values,
            "channel_id": uuid4(),
            "address": address,
            "secret": _secret() if kind is ChannelKind.WEBHOOK else None,
            "enabled": True,
            "created_at": now,
            "created_by": by.email,
        },
    )
    _record(connection, organization_id, "channel.created", made, by=by, origin=origin, now=now)
    return made


def change_channel(
    connection: Write,
    organization_id: OrganizationId,
    *,
    channel_id: UUID,
    changes: Mapping[str, Any],
    settings: Settings,
    by: Session,
    origin: Origin,
    now: datetime,
) -> Mapping[Any, Any]:
    """Change who is told, of what or when; return the channel.

    Raises:
        InvalidError, ConflictError: as for `create_channel`.
        NotFoundError: this organization has no such channel.
    """
    channel = get_channel(connection, organization_id, channel_id=channel_id)
    if "address" in changes:
        kind = ChannelKind(channel["kind"])
        changes = {**changes, "address": _checked(connection, organization_id, kind, changes["address"], settings)}
    changed = queries.change_channel(connection, organization_id, channel_id, changes) if changes else channel
    if changed is None:
        raise NotFoundError(NO_CHANNEL)
    said = {"changed": sorted(changes)}
    _record(connection, organization_id, "channel.changed", changed, by=by, origin=origin, now=now, said=said)
    return changed


def remove_channel(
    connection: Write, organization_id: OrganizationId, *, channel_id: UUID, by: Session, origin: Origin, now: datetime
) -> None:
    """Tell a channel nothing more, and forget its secret; what it was told stays in the log.

    Raises:
        NotFoundError: this organization has no such channel.
    """
    gone = {"removed_at": now, "enabled": False, "secret": None, "previous_secret": None, "previous_until": None}
    removed = queries.change_channel(connection, organization_id, channel_id, gone)
    if removed is None:
        raise NotFoundError(NO_CHANNEL)
    _record(connection, organization_id, "channel.removed", removed, by=by, origin=origin, now=now)


def rotate_secret(
    connection: Write,
    organization_id: OrganizationId,
    *,
    channel_id: UUID,
    overlap: timedelta,
    by: Session,
    origin: Origin,
    now: datetime,
) -> Mapping[Any, Any]:
    """Sign with a new secret, and with the one before too for `overlap`; return the channel with the new one.

    Raises:
        ConflictError: it is no webhook, so nothing is signed.
        NotFoundError: this organization has no such channel.
    """
    channel = get_channel(connection, organization_id, channel_id=channel_id)
    if channel["kind"] != ChannelKind.WEBHOOK:
        raise ConflictError("only webhooks are signed")
    new = {"secret": _secret(), "previous_secret": channel["secret"], "previous_until": now + overlap}
    rotated = queries.change_channel(connection, organization_id, channel_id, new)
    if rotated is None:
        raise NotFoundError(NO_CHANNEL)
    _record(connection, organization_id, "channel.secret_rotated", rotated, by=by, origin=origin, now=now)
    return rotated


def get_channel(connection: Read | Write, organization_id: OrganizationId, *, channel_id: UUID) -> Mapping[Any, Any]:
    """Return a channel.

    Raises:
        NotFoundError: this organization has no such channel.
    """
    channel = queries.find_channel(connection, organization_id, channel_id)
    if channel is None:
        raise NotFoundError(NO_CHANNEL)
    return channel


def test_channel(
    connection: Write, organization_id: OrganizationId, *, channel_id: UUID, out: Postman, by: Session, origin: Origin
) -> Mapping[Any, Any]:
    """Send a message that tells of nothing, once, and wait for what becomes of it; return it.

    Raises:
        NotFoundError: this organization has no such channel.
    """
    channel = get_channel(connection, organization_id, channel_id=channel_id)
    now, delivery_id = out.clock(), uuid4()
    name = queries.get_organization_name(connection, organization_id)
    message = wording.of_a_test(organization_id=organization_id, organization_name=name, at=now)
    (outcome,) = out.deliver([telling.written({**channel, "delivery_id": delivery_id, "message": message}, now)])
    state = DeliveryState.DELIVERED if outcome.error is None else DeliveryState.FAILED
    queries.add_delivery(
        connection,
        organization_id,
        {
            "delivery_id": delivery_id,
            "channel_id": channel_id,
            "message": message,
            "state": state,
            "attempts": 1,
            "created_at": now,
            "delivered_at": now if outcome.error is None else None,
        },
        attempt=telling.attempt_values(outcome, now),
    )
    _record(
        connection, organization_id, "channel.tested", channel, by=by, origin=origin, now=now, said={"state": state}
    )
    return get_delivery(connection, organization_id, delivery_id=delivery_id)


def get_delivery(connection: Read | Write, organization_id: OrganizationId, *, delivery_id: UUID) -> Mapping[Any, Any]:
    """Return a message, and the `log` of the attempts to deliver it.

    Raises:
        NotFoundError: this organization has no such message.
    """
    delivery = queries.find_delivery(connection, organization_id, delivery_id)
    if delivery is None:
        raise NotFoundError(NO_DELIVERY)
    return {**delivery, "log": queries.list_attempts(connection, organization_id, delivery_id)}


def replay_delivery(
    connection: Write, organization_id: OrganizationId, *, delivery_id: UUID, by: Session, origin: Origin, now: datetime
) -> Mapping[Any, Any]:
    """Let a message be sent again, the same and under the same id, within a minute; return it.

    One that waits already stays as it is.

    Raises:
        ConflictError: its channel is off or was removed.
        NotFoundError: this organization has no such message.
    """
    delivery = get_delivery(connection, organization_id, delivery_id=delivery_id)
    channel = queries.find_channel(connection, organization_id, delivery["channel_id"])
    if channel is None or not channel["enabled"]:
        raise ConflictError("its channel is off or was removed; switch it on first, or make another")
    if queries.replay(connection, organization_id, delivery_id, now=now):
        audit.record(
            connection,
            organization_id,
            "delivery.replayed",
            by=by,
            origin=origin,
            now=now,
            target=delivery_id,
            details={"channel": channel["name"]},
        )
    return get_delivery(connection, organization_id, delivery_id=delivery_id)


def _checked(
    connection: Write, organization_id: OrganizationId, kind: ChannelKind, address: str, settings: Settings
) -> str:
    """Return an address as it is kept."""
    if kind is ChannelKind.EMAIL:
        if not settings.mail.sends:
            raise ConflictError("this installation sends no e-mail: SMTP_HOST or ACS_ENDPOINT is not set")
        email = address.lower()
        if not queries.is_member(connection, organization_id, email):
            raise InvalidError("must be the e-mail address of a member of the organization", field="address")
        return email
    _refuse_url(address, settings)
    return address


def _refuse_url(url: str, settings: Settings) -> None:
    private = _private(settings)
    try:
        host, _ = urlsplit(url).hostname, urlsplit(url).port
    except ValueError:
        host = None
    if not host or not _URL.fullmatch(url):
        raise InvalidError("must be a URL such as https://hooks.altaviz.example/alerts", field="address")
    if not url.startswith("https://") and not private:
        raise InvalidError("must begin with https://", field="address")
    is_number = ":" in host or re.fullmatch(r"[0-9a-fx.]+", host.lower()) is not None
    if is_number and not may_be_reached(host, private=private):
        raise InvalidError("must lead to a public address", field="address")


def _private(settings: Settings) -> tuple[Network, ...]:
    return tuple(ip_network(network) for network in settings.notifications.notifications_private_networks)


def _secret() -> str:
    """Return a new secret as Standard Webhooks writes it."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def _record(
    connection: Write,
    organization_id: OrganizationId,
    action: str,
    channel: Mapping[Any, Any],
    *,
    by: Session,
    origin: Origin,
    now: datetime,
    said: Mapping[str, object] | None = None,
) -> None:
    details = {"kind": channel["kind"], "name": channel["name"], **(said or {})}
    audit.record(
        connection,
        organization_id,
        action,
        by=by,
        origin=origin,
        now=now,
        target=channel["channel_id"],
        details=details,
    )
