"""How well alerts serve those who answer them: what figures are about, and what ISA-18.2 and EEMUA 191 aim at.

An alert is annunciated where somebody was told of it: it is neither suppressed nor withdrawn. All figures are of
annunciated alerts, unless they say otherwise.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from functions.alerts.queries import Raised
from functions.plans import plans
from functions.readings.actions import require_length
from shared_code.database.tables.organizations import Tier
from shared_code.errors import InvalidError
from shared_code.identifiers import CompressorId
from shared_code.thresholds import Priority, thresholds

USUAL: Final = timedelta(days=30)
DAY: Final = timedelta(days=1)
STALE_AFTER: Final = DAY
TOP: Final = 10
MOST_LISTED: Final = 50
"""Of floods, of rules that repeat and of stale alerts; what is counted is all."""
COUNTED_BY_DAY: Final = ("warning", "critical", "suppressed", "withdrawn")


@dataclass(frozen=True, slots=True)
class Targets:
    """What ISA-18.2 (section 16) and EEMUA 191 call very likely acceptable, of what one operator answers."""

    per_day: float = 150
    per_hour: float = 6
    flood_share: float = 0.01
    chattering: int = 0
    stale: int = 5
    top_ten_share: float = 0.05
    low: float = 0.80
    medium: float = 0.15
    high: float = 0.05


def period(
    start: datetime | None,
    end: datetime | None,
    *,
    compressor_id: CompressorId | None,
    tier: Tier,
    now: datetime,
) -> Raised:
    """Return which alerts figures are about: no later than now, and no earlier than the plan keeps them.

    Raises:
        InvalidError: nothing is known of the period, or it has no length.
    """
    require_length(start, end)
    kept_since = now - timedelta(days=plans()[tier].retention_days)
    end = min(end or now, now)
    start = max(start or max(end, kept_since) - USUAL, kept_since)
    if start >= end:
        raise InvalidError(
            f"alerts are known from {kept_since:%Y-%m-%dT%H:%M:%SZ} until now; some of that must lie between start and"
            " end",
            field="end",
        )
    return Raised(start.astimezone(UTC), end.astimezone(UTC), compressor_id)


def by_day(raised: Raised, counted: Iterable[Mapping[Any, Any]]) -> list[dict[str, Any]]:
    """Return the counts of each UTC day of a period, also of those days on which there was nothing to count."""
    known = {row["day"].date(): row for row in counted}
    return [
        {"day": day, **{name: known[day][name] if day in known else 0 for name in COUNTED_BY_DAY}}
        for day in _days(raised)
    ]


def by_priority(counted: Mapping[str, int]) -> list[dict[str, Any]]:
    """Return how many alerts each priority had, of the counts by rule; those of no rule of ours have none."""
    rules = thresholds().alarms.rules
    totals: dict[Priority | None, int] = dict.fromkeys((*Priority, None), 0)
    for name, count in counted.items():
        totals[rules[name].priority if name in rules else None] += count
    of_all = sum(totals.values())
    return [
        {"priority": priority, "raised": count, "share": share(count, of_all)} for priority, count in totals.items()
    ]


def share(part: float, whole: float) -> float:
    """Return a part of a whole, of nothing 0."""
    return part / whole if whole else 0.0


def _days(raised: Raised) -> Iterable[date]:
    first, last = raised.start.date(), (raised.end - timedelta(microseconds=1)).date()
    return (first + timedelta(days=number) for number in range((last - first).days + 1))
