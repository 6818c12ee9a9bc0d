"""Where an alert stands."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """Where an alert stands; whoever acknowledges it says that somebody is on it, and it still counts."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


class AskedStatus(StrEnum):
    """Which alerts are asked for: those that stand so, those that are kept from people, or all."""

    ACTIVE = "active"
    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    SHELVED = "shelved"
    SUPPRESSED = "suppressed"
    RESOLVED = "resolved"
    ALL = "all"


def status_of(alert: Mapping[Any, Any]) -> Status:
    """Return where a row of `alert_history` stands."""
    if alert["resolved"]:
        return Status.RESOLVED
    return Status.ACKNOWLEDGED if alert["acknowledged"] else Status.OPEN
