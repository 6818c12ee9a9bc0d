"""Everything that runs by itself: the Functions host and the scheduler at home read the same list."""

from collections.abc import Callable

from functions.billing import timers as billing
from functions.clock import Clock
from functions.notifications import timers as notifications
from functions.schedules import Timer
from functions.settings import Settings
from functions.workflows import timers as workflows
from shared_code.database.engines import Database


def timers(settings: Settings, database: Callable[[], Database], *, clock: Clock) -> list[Timer]:
    """Return every timer; the database is opened when one first fires."""
    return [
        *workflows.timers(settings.workflows, database, clock=clock),
        *notifications.timers(settings, database, clock=clock),
        *billing.timers(settings, database, clock=clock),
    ]
