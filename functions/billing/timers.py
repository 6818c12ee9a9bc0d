"""When billing runs by itself. Schedules are NCRONTAB in UTC, each a setting; each timer's body is one call."""

import logging
from collections.abc import Callable
from functools import partial
from typing import Final

from functions.billing import handling
from functions.clock import Clock
from functions.schedules import Timer
from functions.settings import Settings
from shared_code.database.engines import Database

HANDLE: Final = "handle_billing_events"
RECONCILE: Final = "reconcile_subscriptions"

logger = logging.getLogger(__name__)


def timers(settings: Settings, database: Callable[[], Database], *, clock: Clock) -> list[Timer]:
    """Return the timers; the database is opened when one first fires.

    - handle_billing_events, BILLING_EVENTS_SCHEDULE, each five seconds: whoever has just paid waits for it. The webhook
      itself must answer at once, and nothing outlives its request on the Functions host for sure.
    - reconcile_subscriptions, BILLING_RECONCILE_SCHEDULE, hourly at :20, when no other timer is at work: what no event
      told, and the end of grace, is found within the hour.

    Neither claims a slot as workflows do: events are claimed one by one, and comparing twice changes nothing more.
    """
    billing = settings.billing
    return [
        Timer(HANDLE, billing.billing_events_schedule, partial(_handle, settings, database, clock)),
        Timer(RECONCILE, billing.billing_reconcile_schedule, partial(_reconcile, settings, database, clock)),
    ]


def _handle(settings: Settings, database: Callable[[], Database], clock: Clock) -> None:
    done = handling.handle(database(), settings, clock=clock)
    if done != handling.Handled():
        logger.info("%d handled, %d failed, %d parked, %d told", done.handled, done.failed, done.parked, done.told)


def _reconcile(settings: Settings, database: Callable[[], Database], clock: Clock) -> None:
    done = handling.reconcile(database(), settings, clock=clock)
    if done is not None:
        logger.log(
            logging.WARNING if done.parked or done.failed or done.unknown else logging.INFO,
            "%d compared with Stripe, %d mended, %d failed, %d customers are nobody's, %d events are parked",
            done.compared,
            done.mended,
            done.failed,
            done.unknown,
            done.parked,
        )
