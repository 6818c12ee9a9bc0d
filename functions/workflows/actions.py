"""What workflows do: claim a slot, act on what is due, and say so, in one transaction each."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Final
from uuid import UUID, uuid4

from functions import schedules
from functions.application import Clock
from functions.settings import WorkflowSettings
from functions.workflows import queries
from functions.workflows.queries import Acting, Run
from shared_code.database import transactions
from shared_code.database.engines import Database
from shared_code.database.tables.workflows import StartedBy, Workflow
from shared_code.database.transactions import Everywhere
from shared_code.identifiers import OrganizationId


@dataclass(frozen=True, slots=True)
class Starter:
    """Who wants workflows to run, and for whom: one organization, or all where it is None."""

    kind: StartedBy
    organization_id: OrganizationId | None = None
    name: str | None = None


BY_TIMER: Final = Starter(StartedBy.TIMER)


def run_slot(database: Database, workflow: Workflow, *, settings: WorkflowSettings, clock: Clock) -> int:
    """Do what a workflow does for every organization, once in each period of its schedule; return the rows changed."""
    now = clock()
    slot = schedules.slot(settings.schedule(workflow), now)
    run = Run(uuid4(), workflow, slot, now, StartedBy.TIMER)
    return _carry_out(database, run, BY_TIMER, settings=settings, clock=clock, dry_run=False)


def run_now(
    database: Database,
    workflow: Workflow,
    *,
    by: Starter,
    settings: WorkflowSettings,
    clock: Clock,
    dry_run: bool,
) -> int:
    """Do what a workflow does now, whether its timer has just done so or not.

    Args:
        database: where.
        workflow: which.
        by: who wants it, and for whom.
        settings: after how long to act.
        clock: tells now.
        dry_run: do it, count, and undo it.

    Returns:
        How many rows it changed, or would have.
    """
    now = clock()
    run = Run(uuid4(), workflow, now, now, by.kind, by.name)
    return _carry_out(database, run, by, settings=settings, clock=clock, dry_run=dry_run)


def _carry_out(
    database: Database, run: Run, by: Starter, *, settings: WorkflowSettings, clock: Clock, dry_run: bool
) -> int:
    with _begin(database, by.organization_id) as connection:
        changed = set[UUID]()
        if queries.claim(connection, by.organization_id, run):
            changed = EFFECTS[run.workflow](connection, run, settings)
        rows = queries.finish(connection, run, now=clock())
        if dry_run:
            connection.rollback()
        elif by.organization_id is None:
            queries.tell(Everywhere(connection), changed)
    return rows


def _begin(database: Database, organization_id: OrganizationId | None) -> AbstractContextManager[Acting]:
    """Open a transaction over all organizations, or one that row-level security holds to one of them."""
    if organization_id is None:
        return transactions.everywhere(database)
    return transactions.write(database, organization_id)


def _escalate(connection: Acting, run: Run, settings: WorkflowSettings) -> set[UUID]:
    return queries.escalate(connection, run, hours=settings.workflow_escalation_hours)


def _auto_resolve(connection: Acting, run: Run, settings: WorkflowSettings) -> set[UUID]:
    del settings
    return queries.resolve_healthy(connection, run) | queries.resolve_heard(connection, run)


def _check_freshness(connection: Acting, run: Run, settings: WorkflowSettings) -> set[UUID]:
    steps = (queries.inhibit_silent, queries.raise_silent_stations, queries.raise_silent)
    return set[UUID]().union(*(step(connection, run, hours=settings.workflow_staleness_hours) for step in steps))


def _clean_up(connection: Acting, run: Run, settings: WorkflowSettings) -> set[UUID]:
    return queries.acknowledge_stale(connection, run, days=settings.workflow_cleanup_days)


EFFECTS: Final[Mapping[Workflow, Callable[[Acting, Run, WorkflowSettings], set[UUID]]]] = {
    Workflow.ALERT_AUTO_RESOLVE: _auto_resolve,
    Workflow.DATA_FRESHNESS_CHECK: _check_freshness,
    Workflow.ALERT_ESCALATION: _escalate,
    Workflow.STALE_ALERT_CLEANUP: _clean_up,
}
