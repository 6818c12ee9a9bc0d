"""What workflows do: claim a slot, act on what is due, and say so, in one transaction each."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from functions import schedules
from functions.access import audit
from functions.access.audit import Origin
from functions.access.sessions import Session
from functions.clock import Clock
from functions.plans import plans
from functions.settings import WorkflowSettings
from functions.workflows import queries
from functions.workflows.queries import Acting, Run
from shared_code.database import transactions
from shared_code.database.engines import Database
from shared_code.database.tables.workflows import StartedBy, Workflow
from shared_code.database.transactions import Everywhere, Write
from shared_code.identifiers import OrganizationId


@dataclass(frozen=True, slots=True)
class Starter:
    """Who wants workflows to run, and for whom: one organization, or all where it is None."""

    kind: StartedBy
    organization_id: OrganizationId | None = None
    name: str | None = None


LIMITS: Final = ("escalation_hours", "staleness_hours", "cleanup_days")
BATCH: Final = 10_000
"""Rows that are deleted in one transaction."""
LONGEST: Final = timedelta(minutes=3)
"""How long a run deletes: less than a request may take, and than a function may run."""
BY_TIMER: Final = Starter(StartedBy.TIMER)
BY_KEY: Final = Starter(StartedBy.KEY)


def run_slot(database: Database, workflow: Workflow, *, settings: WorkflowSettings, clock: Clock) -> int:
    """Do what a workflow does for every organization, once in each period of its schedule; return the rows changed."""
    now = clock()
    slot = schedules.slot(settings.schedule(workflow), now)
    run = Run(uuid4(), workflow, slot, now, StartedBy.TIMER)
    return _carry_out(database, run, BY_TIMER, settings=settings, clock=clock, dry_run=False)


def by_person(session: Session) -> Starter:
    """Return a person as who wants workflows to run, for their organization alone."""
    return Starter(StartedBy.PERSON, session.organization_id, session.email)


def run_all(
    database: Database,
    workflows: Iterable[Workflow],
    *,
    by: Starter,
    settings: WorkflowSettings,
    clock: Clock,
    dry_run: bool,
) -> dict[Workflow, int]:
    """Run workflows one after the other, each in transactions of its own; return how many rows each changed."""
    return {
        workflow: run_now(database, workflow, by=by, settings=settings, clock=clock, dry_run=dry_run)
        for workflow in workflows
    }


def limits(wishes: Mapping[Any, Any] | None, settings: WorkflowSettings) -> dict[str, Any]:
    """Return after how long an organization wants workflows to act, and `in_effect` what comes of it."""
    wanted = {name: wishes[name] if wishes is not None else None for name in LIMITS}
    usual = {name: getattr(settings, f"workflow_{name}") for name in LIMITS}
    return {**wanted, "in_effect": {name: usual[name] if wanted[name] is None else wanted[name] for name in LIMITS}}


def change_settings(
    connection: Write,
    organization_id: OrganizationId,
    *,
    wishes: Mapping[str, int | None],
    by: Session,
    origin: Origin,
    now: datetime,
) -> Mapping[Any, Any] | None:
    """Change after how long workflows act for an organization, from their next run on; return all it wants."""
    before = queries.find_settings(connection, organization_id)
    changes = {
        name: {"from": before and before[name], "to": value}
        for name, value in wishes.items()
        if value != (before and before[name])
    }
    if not changes:
        return before
    saved = queries.save_settings(connection, organization_id, {**wishes, "updated_at": now})
    audit.record(
        connection, organization_id, "workflows.settings_changed", by=by, origin=origin, now=now, details=changes
    )
    return saved


def record_run(
    connection: Write,
    organization_id: OrganizationId,
    *,
    asked: str,
    dry_run: bool,
    changed: Mapping[Workflow, int],
    by: Session,
    origin: Origin,
    now: datetime,
) -> None:
    """Keep that somebody had workflows run."""
    details = {"dry_run": dry_run, "changed": dict(changed)}
    audit.record(
        connection, organization_id, "workflows.run", by=by, origin=origin, now=now, target=asked, details=details
    )


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
    if run.workflow is Workflow.DATA_RETENTION:
        return _count_old(database, run, by) if dry_run else _delete_old(database, run, by, clock=clock)
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


def _count_old(database: Database, run: Run, by: Starter) -> int:
    with _begin(database, by.organization_id) as connection:
        queries.claim(connection, by.organization_id, run)
        days = {tier: plan.retention_days for tier, plan in plans().items()}
        rows = sum(queries.count_old(connection, run, kind, days=days) for kind in queries.OLD)
        connection.rollback()
    return rows


def _delete_old(database: Database, run: Run, by: Starter, *, clock: Clock) -> int:
    """Delete in batches, each in a transaction of its own; what there is no time for is left to the next run."""
    with _begin(database, by.organization_id) as connection:
        if not queries.claim(connection, by.organization_id, run):
            return 0
    days = {tier: plan.retention_days for tier, plan in plans().items()}
    for kind in queries.OLD:
        deleted = BATCH
        while deleted == BATCH and clock() - run.now < LONGEST:
            with _begin(database, by.organization_id) as connection:
                deleted, changed = queries.delete_old(connection, run, kind, days=days, limit=BATCH)
                if by.organization_id is None:
                    queries.tell(Everywhere(connection), changed)
    with _begin(database, by.organization_id) as connection:
        return queries.finish(connection, run, now=clock())


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
