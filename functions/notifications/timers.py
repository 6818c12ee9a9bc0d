"""When people are told: each minute, so that nobody waits longer for an alert than for the readings it comes of."""

import logging
from collections.abc import Callable
from functools import partial
from typing import Final

from functions.clock import Clock
from functions.notifications import actions, telling
from functions.schedules import Timer
from functions.settings import Settings
from shared_code.database.engines import Database

NAME: Final = "tell_people"

logger = logging.getLogger(__name__)


def timers(settings: Settings, database: Callable[[], Database], *, clock: Clock) -> list[Timer]:
    """Return the timer that tells people; the database is opened when it first fires.

    It claims no slot as workflows do: what is told is claimed message by message, on however many hosts it runs.
    """
    schedule = settings.notifications.notifications_schedule
    return [Timer(NAME, schedule, partial(_run, settings, database, clock))]


def _run(settings: Settings, database: Callable[[], Database], clock: Clock) -> None:
    told = telling.tell(database(), postman=actions.postman(settings, clock=clock))
    logger.info("%d noticed, %d delivered, %d failed", told.noticed, told.delivered, told.failed)
