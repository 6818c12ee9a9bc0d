"""When timers fire: NCRONTAB expressions of six fields (second, minute, hour, day, month, day of week), in UTC."""

# APScheduler carries no types:
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportMissingTypeStubs=false

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from apscheduler.triggers.cron import CronTrigger

FIELDS: Final = ("second", "minute", "hour", "day", "month", "day_of_week")
DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")
LOOK_BACK: Final = (timedelta(hours=1), timedelta(days=1), timedelta(days=32), timedelta(days=366))
"""Each is tried where a shorter time holds no firing."""
EARLY: Final = timedelta(seconds=1)
"""How much too early a timer may fire, by its host's clock."""


@dataclass(frozen=True, slots=True)
class Timer:
    """Something that runs by itself: its name, when it runs, and what it does then."""

    name: str
    schedule: str
    run: Callable[[], None]


def trigger(schedule: str) -> CronTrigger:
    """Return a schedule as APScheduler knows it.

    Raises:
        ValueError: it is none.
    """
    fields = schedule.split()
    if len(fields) != len(FIELDS):
        raise ValueError("must have six fields: second, minute, hour, day, month, day of week")
    if "/" in fields[-1]:
        raise ValueError("must name days of the week, not steps of them")
    # Sunday is 0 here, and Monday there.
    fields[-1] = re.sub(r"[0-7]", lambda number: DAYS[int(number[0])], fields[-1])
    return CronTrigger(**dict(zip(FIELDS, fields, strict=True)), timezone=UTC)


def slot(schedule: str, now: datetime) -> datetime:
    """Return when the period began that an instant lies in: the last firing that is not after it, or not by much.

    Raises:
        ValueError: there was none for a year.
    """
    cron = trigger(schedule)
    latest = now + EARLY
    for time in LOOK_BACK:
        last, following = None, cron.get_next_fire_time(None, now - time)
        while following is not None and following <= latest:
            last, following = following, cron.get_next_fire_time(following, following)
        if last is not None:
            return last
    raise ValueError(f"{schedule} has not fired for a year before {now:%Y-%m-%d}")
