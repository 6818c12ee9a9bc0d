"""The time, passed in wherever it matters."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Tells the time, aware and in UTC."""


def utc_clock() -> datetime:
    """Return the machine's time."""
    return datetime.now(UTC)
