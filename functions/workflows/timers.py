"""When workflows run by themselves. Schedules are NCRONTAB in UTC, each a setting; each timer's body is one call."""

import logging
from collections.abc import Callable
from functools import partial

from functions.clock import Clock
from functions.schedules import Timer
from functions.settings import WorkflowSettings
from functions.workflows import actions
from shared_code.database.engines import Database
from shared_code.database.tables.workflows import Workflow

logger = logging.getLogger(__name__)


def timers(settings: WorkflowSettings, database: Callable[[], Database], *, clock: Clock) -> list[Timer]:
    """Return the timer of each workflow; the database is opened when one first fires.

    - alert_auto_resolve, WORKFLOW_AUTO_RESOLVE_SCHEDULE, each quarter of an hour from :02 on: readings come every ten
      minutes, so a machine that is well again shows so soon; and first of all, so that what is over is not escalated.
    - data_freshness_check, WORKFLOW_FRESHNESS_SCHEDULE, each quarter from :05 on: behind the one that resolves, because
      a machine that fell silent again gets a new alert only when the one before is over.
    - alert_escalation, WORKFLOW_ESCALATION_SCHEDULE, each quarter from :08 on: four hours are then four and a quarter
      at most, and nobody is woken for what the two before have settled.
    - stale_alert_cleanup, WORKFLOW_CLEANUP_SCHEDULE, daily at 06:30: half past midnight in Texas, where the stations
      are, so nothing moves in a list that somebody is working on.
    - data_retention, WORKFLOW_RETENTION_SCHEDULE, daily at 08:00: the stillest hour of the night there; it has the most
      to write, and it takes no lock that the others need.
    """
    return [
        Timer(workflow.value, settings.schedule(workflow), partial(_run, workflow, settings, database, clock))
        for workflow in Workflow
    ]


def _run(workflow: Workflow, settings: WorkflowSettings, database: Callable[[], Database], clock: Clock) -> None:
    changed = actions.run_slot(database(), workflow, settings=settings, clock=clock)
    logger.info("%s changed %d rows", workflow, changed)
