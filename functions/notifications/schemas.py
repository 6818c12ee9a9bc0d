"""Shapes of telling people."""

from collections.abc import Mapping
from datetime import time
from typing import Annotated, Any
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field, StringConstraints

from functions.bodies import Body, Text
from functions.pagination import Position
from shared_code.alarms import Severity
from shared_code.database.tables.notifications import ChannelKind, DeliveryState

ClockTime = Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
Address = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=3, max_length=2000),
    Field(
        description="A member's e-mail address; or the https:// URL of a webhook, of Slack, or of a workflow in Teams.",
        examples=["https://hooks.altaviz.example/alerts"],
    ),
]
After = Annotated[
    int,
    Field(
        ge=0,
        le=1440,
        description="Tell of an alert when nobody has acknowledged it for so many minutes: 0 for those who are told at"
        " once, 15 and 60 for those who are told next.",
    ),
]


class QuietHours(Body):
    """When not to tell, by the clock at the machine's station; what comes then is told at the end, if it still stands.

    `until` may lie on the next day.
    """

    start: Annotated[ClockTime, Field(examples=["22:00"])]
    until: Annotated[ClockTime, Field(examples=["06:00"])]
    critical: Annotated[bool, Field(strict=True, description="Whether critical alerts wait too.")] = False


class NewChannel(Body):
    """Somebody to be told of alerts."""

    kind: Annotated[ChannelKind, Field(examples=["webhook"])]
    name: Annotated[Text, Field(examples=["On-call system"])]
    address: Address
    least_severity: Annotated[Severity, Field(description="Tell of alerts so grave, and graver.")] = Severity.WARNING
    after_minutes: After = 0
    tells_resolved: Annotated[bool, Field(strict=True, description="Whether to tell when an alert is over.")] = True
    quiet_hours: QuietHours | None = None


class ChangedChannel(Body):
    """What to change of a channel; what is not named stays."""

    name: Annotated[Text | None, Field(examples=["On-call system"])] = None
    address: Address | None = None
    least_severity: Severity | None = None
    after_minutes: After | None = None
    tells_resolved: Annotated[bool | None, Field(strict=True)] = None
    quiet_hours: Annotated[QuietHours | None, Field(description="null for none.")] = None
    enabled: Annotated[bool | None, Field(strict=True)] = None


class RotatedSecret(Body):
    """How to change a webhook's secret."""

    overlap_hours: Annotated[int, Field(ge=0, le=168, description="How long the old secret signs as well.")] = 24


class ShownQuietHours(BaseModel):
    """When a channel is not told, by the clock at the machine's station."""

    start: str
    until: str
    critical: bool


class Channel(BaseModel):
    """Somebody who is told of alerts. Of a URL only the beginning is shown: whoever knows all of it may write there.

    A channel whose receiver answers 410 (Gone) is switched off: `enabled` is false.
    """

    channel_id: UUID
    kind: ChannelKind
    name: str
    address: str
    least_severity: Severity
    after_minutes: int
    tells_resolved: bool
    quiet_hours: ShownQuietHours | None
    enabled: bool
    created_at: AwareDatetime
    created_by: str
    previous_until: Annotated[AwareDatetime | None, Field(description="How long the secret before signs as well.")]


class IssuedChannel(Channel):
    """A channel and, of a webhook, the secret that its messages are signed with, which is shown this once."""

    secret: Annotated[str | None, Field(description="For any library of Standard Webhooks, as it is.")]


class ChannelPosition(Position):
    """Channels are listed in the order in which they came to be."""

    created_at: AwareDatetime
    channel_id: UUID


class Delivery(BaseModel):
    """A message to a channel, about one alert or several.

    `next_attempt_at` is null where it was delivered, or where nobody tries again by themself.
    """

    delivery_id: UUID
    channel_id: UUID
    kind: ChannelKind
    channel_name: str
    type: Annotated[str, Field(examples=["alert.critical"])]
    alert_ids: list[UUID]
    state: DeliveryState
    attempts: int
    created_at: AwareDatetime
    next_attempt_at: AwareDatetime | None
    delivered_at: AwareDatetime | None


class Attempt(BaseModel):
    """An attempt to deliver a message; without an error it was taken. `status` is HTTP's, where there was an answer."""

    attempted_at: AwareDatetime
    seconds: float
    status: int | None
    error: str | None


class LoggedDelivery(Delivery):
    """A message, what it tells, and every attempt to deliver it."""

    alerts: list[dict[str, Any]]
    log: list[Attempt]


class DeliveryPosition(Position):
    """Messages are listed by when they were written, the newest first."""

    created_at: AwareDatetime
    delivery_id: UUID


def channel_values(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Return what is shown of a channel, of its row."""
    quiet = None
    if row["quiet_from"] is not None:
        quiet = ShownQuietHours(
            start=f"{row['quiet_from']:%H:%M}", until=f"{row['quiet_until']:%H:%M}", critical=row["quiet_for_critical"]
        )
    address = row["address"] if row["kind"] == ChannelKind.EMAIL else _beginning(row["address"])
    return {**row, "quiet_hours": quiet, "address": address}


def channel_columns(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a client says of a channel as its row has it."""
    columns = {name: value for name, value in said.items() if name != "quiet_hours"}
    if "quiet_hours" in said:
        quiet = said["quiet_hours"]
        columns |= {
            "quiet_from": quiet and time.fromisoformat(quiet["start"]),
            "quiet_until": quiet and time.fromisoformat(quiet["until"]),
            "quiet_for_critical": bool(quiet) and quiet["critical"],
        }
    return columns


def delivery_values(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Return what is shown of a message, of its row."""
    alerts = row["message"]["alerts"]
    return {
        **row,
        "channel_name": row["name"],
        "type": row["message"]["type"],
        "alerts": alerts,
        "alert_ids": [alert["alert_id"] for alert in alerts],
    }


def _beginning(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}/…"
