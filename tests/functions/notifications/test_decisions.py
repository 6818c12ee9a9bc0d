"""Whether to tell somebody, when, and when to try again."""

from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.notifications.decisions import WAITS, Dropped, decide, end_of_quiet, next_attempt

NOW = datetime(2026, 1, 12, 12, tzinfo=UTC)  # six in the morning in Texas
HOUR = timedelta(hours=1)
TEXAS = ZoneInfo("America/Chicago")
STANDING: dict[str, Any] = {
    "occasion": "warning",
    "severity": "warning",
    "enabled": True,
    "removed_at": None,
    "is_member": True,
    "resolved": False,
    "cleared_at": None,
    "latched": False,
    "suppressed_by": None,
    "shelved_until": None,
    "acknowledged": False,
    "acknowledged_at": None,
    "critical_at": None,
    "escalated_at": None,
    "quiet_from": None,
    "quiet_until": None,
    "quiet_for_critical": False,
    "timezone": "America/Chicago",
}
CRITICAL = {"occasion": "critical", "severity": "critical"}
OVER = {"occasion": "resolved", "resolved": True, "cleared_at": NOW - HOUR}
NIGHT = {"quiet_from": time(22), "quiet_until": time(6, 30)}


@pytest.mark.parametrize(
    ("how_it_is", "decision"),
    [
        ({}, NOW),
        ({"enabled": False}, Dropped.CHANNEL_OFF),
        ({"removed_at": NOW - HOUR}, Dropped.CHANNEL_OFF),
        ({"is_member": False}, Dropped.NO_MEMBER),
        ({"resolved": True}, Dropped.OVER),
        ({"cleared_at": NOW - HOUR}, Dropped.OVER),
        ({"cleared_at": NOW - HOUR, "latched": True}, NOW),
        ({"suppressed_by": "most_open"}, Dropped.SUPPRESSED),
        ({"severity": "critical"}, Dropped.SUPERSEDED),
        ({"acknowledged": True, "acknowledged_at": NOW - HOUR}, Dropped.ACKNOWLEDGED),
        ({"shelved_until": NOW + HOUR}, NOW + HOUR),
        ({"shelved_until": NOW}, NOW),
        (CRITICAL, NOW),
        # Whoever acknowledged a warning has not said that they know how grave it is by now.
        (CRITICAL | {"acknowledged": True, "acknowledged_at": NOW - HOUR, "critical_at": NOW}, NOW),
        (CRITICAL | {"acknowledged": True, "acknowledged_at": NOW, "critical_at": NOW - HOUR}, Dropped.ACKNOWLEDGED),
        (CRITICAL | {"acknowledged": True, "acknowledged_at": NOW - HOUR, "escalated_at": NOW}, NOW),
        (CRITICAL | {"acknowledged": True, "acknowledged_at": NOW}, Dropped.ACKNOWLEDGED),
        (OVER, NOW),
        (OVER | {"acknowledged": True, "acknowledged_at": NOW}, NOW),
        (OVER | {"enabled": False}, Dropped.CHANNEL_OFF),
        (NIGHT, NOW + HOUR / 2),
        (NIGHT | CRITICAL, NOW),
        (NIGHT | CRITICAL | {"quiet_for_critical": True}, NOW + HOUR / 2),
        (NIGHT | OVER, NOW + HOUR / 2),
        (NIGHT | {"timezone": "Europe/Oslo"}, NOW),
        (NIGHT | {"acknowledged": True, "acknowledged_at": NOW}, Dropped.ACKNOWLEDGED),
    ],
    ids=str,
)
def test_what_is_told_now_later_or_never(how_it_is: dict[str, Any], decision: object) -> None:
    assert decide(STANDING | how_it_is, NOW) == decision


def there(hour: int, minute: int = 0, *, day: int = 12) -> datetime:
    return datetime(2026, 1, day, hour, minute, tzinfo=TEXAS).astimezone(UTC)


@pytest.mark.parametrize(
    ("start", "until", "now", "end"),
    [
        (time(22), time(6), there(21, 59), there(21, 59)),
        (time(22), time(6), there(22), there(6, day=13)),
        (time(22), time(6), there(5, 59), there(6)),
        (time(22), time(6), there(6), there(6)),
        (time(8), time(17), there(12), there(17)),
        (time(8), time(17), there(17), there(17)),
        (time(0), time(0), there(0), there(0)),
    ],
)
def test_quiet_hours_are_those_of_the_clock_at_the_station(
    start: time, until: time, now: datetime, end: datetime
) -> None:
    assert end_of_quiet(now, zone=TEXAS, quiet_from=start, quiet_until=until) == end


CLOCKS_CHANGE = st.sampled_from([datetime(2026, 3, 8, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)])
MINUTES = st.integers(0, 24 * 60 - 1).map(lambda minute: time(minute // 60, minute % 60))


@given(day=CLOCKS_CHANGE, minutes=st.integers(-60, 60 * 36), start=MINUTES, until=MINUTES)
def test_quiet_ends_within_a_day_and_is_then_over_though_clocks_change(
    day: datetime, minutes: int, start: time, until: time
) -> None:
    now = day + timedelta(minutes=minutes)
    end = end_of_quiet(now, zone=TEXAS, quiet_from=start, quiet_until=until)

    assert now <= end <= now + timedelta(hours=25)
    assert end.utcoffset() == timedelta()
    if end != now:
        assert end_of_quiet(end + HOUR * 0, zone=TEXAS, quiet_from=start, quiet_until=until) <= end + HOUR


@given(chance=st.floats(0, 1), retry_after=st.one_of(st.none(), st.floats(0, 86400)))
def test_each_wait_is_longer_than_the_one_before_and_they_end(chance: float, retry_after: float | None) -> None:
    for attempts, wait in enumerate(WAITS, 1):
        again = next_attempt(attempts, NOW, chance=chance, retry_after=retry_after)
        assert again is not None
        assert again - NOW >= max(wait / 2, timedelta(seconds=retry_after or 0))
        assert again - NOW <= max(wait * 3 / 2, timedelta(seconds=retry_after or 0))
    assert next_attempt(len(WAITS) + 1, NOW, chance=chance, retry_after=retry_after) is None
    assert [later > earlier for earlier, later in pairwise(WAITS)] == [True] * (len(WAITS) - 1)
