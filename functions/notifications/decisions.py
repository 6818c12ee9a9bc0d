"""Whether to tell somebody, when, and when to try again: pure rules."""

from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from shared_code.alarms import Severity
from shared_code.database.tables.notifications import Occasion

WAITS: Final = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 30, 2 * 60, 5 * 60, 10 * 60))
"""How long to wait after each attempt that failed; after the last of them nobody tries again by themself."""
SPREAD: Final = 0.5
"""A wait is up to so much of itself longer or shorter, so that many that failed together do not come back together."""


class Dropped(StrEnum):
    """Why nobody is told."""

    ACKNOWLEDGED = "acknowledged"
    OVER = "over"
    SUPPRESSED = "suppressed"
    SUPERSEDED = "superseded"
    CHANNEL_OFF = "channel_off"
    NO_MEMBER = "no_member"


def decide(notification: Mapping[Any, Any], now: datetime) -> Dropped | datetime:
    """Return from when on a channel may be told, now or later, or why it is not told.

    Args:
        notification: a row of `queries.lock_due`: what was noticed, and how alert and channel are now.
        now: the instant.
    """
    why_not = _why_not(notification)
    if why_not is not None:
        return why_not
    shelved_until = notification["shelved_until"]
    if notification["occasion"] != Occasion.RESOLVED and shelved_until is not None and shelved_until > now:
        return shelved_until
    if notification["occasion"] == Occasion.CRITICAL and not notification["quiet_for_critical"]:
        return now
    return end_of_quiet(
        now,
        zone=zone_of(notification["timezone"]),
        quiet_from=notification["quiet_from"],
        quiet_until=notification["quiet_until"],
    )


def zone_of(name: str) -> ZoneInfo:
    """Return a station's time zone; UTC for one that there is not, as a metadata file may have it."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")


def _why_not(notification: Mapping[Any, Any]) -> Dropped | None:
    is_over = notification["resolved"] or (notification["cleared_at"] is not None and not notification["latched"])
    of_the_channel = {
        Dropped.CHANNEL_OFF: not notification["enabled"] or notification["removed_at"] is not None,
        Dropped.NO_MEMBER: not notification["is_member"],
    }
    of_the_alert = {
        Dropped.OVER: is_over,
        Dropped.SUPPRESSED: notification["suppressed_by"] is not None,
        Dropped.SUPERSEDED: notification["occasion"] != notification["severity"] == Severity.CRITICAL,
        Dropped.ACKNOWLEDGED: _is_seen_to(notification),
    }
    reasons = of_the_channel if notification["occasion"] == Occasion.RESOLVED else of_the_channel | of_the_alert
    return next((reason for reason, holds in reasons.items() if holds), None)


def _is_seen_to(notification: Mapping[Any, Any]) -> bool:
    """Whether somebody is on it, and knew how grave it is."""
    if not notification["acknowledged"]:
        return False
    if notification["occasion"] != Occasion.CRITICAL:
        return True
    became = [at for at in (notification["critical_at"], notification["escalated_at"]) if at is not None]
    return not became or max(became) <= notification["acknowledged_at"]


def end_of_quiet(now: datetime, *, zone: ZoneInfo, quiet_from: time | None, quiet_until: time | None) -> datetime:
    """Return the first instant from now on that is not quiet by the clock of a place, in UTC.

    Hours may go past midnight. Where clocks change, they are the hours that the clock there shows.
    """
    if quiet_from is None or quiet_until is None or quiet_from == quiet_until:
        return now
    there = now.astimezone(zone)
    clock = there.time()
    if quiet_from < quiet_until:
        quiet, tomorrow = quiet_from <= clock < quiet_until, False
    else:
        quiet, tomorrow = clock >= quiet_from or clock < quiet_until, clock >= quiet_from
    if not quiet:
        return now
    end = datetime.combine(there.date() + timedelta(days=tomorrow), quiet_until, tzinfo=zone)
    return max(end.astimezone(UTC), now)


def next_attempt(attempts: int, now: datetime, *, chance: float, retry_after: float | None) -> datetime | None:
    """Return when to try again, None for never.

    Args:
        attempts: how many have failed, one at least.
        now: the instant of the last.
        chance: a random number from 0 to 1.
        retry_after: seconds that the receiver asks to wait at least.
    """
    if attempts > len(WAITS):
        return None
    wait = WAITS[attempts - 1] * (1 + SPREAD * (2 * chance - 1))
    return now + max(wait, timedelta(seconds=retry_after or 0))
