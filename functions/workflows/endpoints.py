"""Workflows over HTTP."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query

from functions import pagination
from functions.access.caller import CurrentCaller, CurrentOrigin, CurrentSession, ReadConnection
from functions.access.installation import WritingOrKey
from functions.access.sessions import Session
from functions.access.writes import WriteConnection, WriteRoute
from functions.application import CurrentApplication, Now
from functions.pagination import DEFAULT_LIMIT, Cursor, Limit, Page
from functions.problems import responses
from functions.workflows import actions, queries
from functions.workflows.schemas import RunPosition, RunRequest, RunResult, Wishes, WorkflowRun, WorkflowWishes
from shared_code.database.tables.workflows import Workflow
from shared_code.database.transactions import Write

router = APIRouter(prefix="/workflows", tags=["workflows"], route_class=WriteRoute)


@router.post("/run", operation_id="run_workflows", responses=responses(401, 403, 422))
def run_workflows(
    entered: WritingOrKey, application: CurrentApplication, origin: CurrentOrigin, body: RunRequest
) -> RunResult:
    """Run a workflow now, or all of them: with a session for that organization, with `x-api-key` for all."""
    session = entered.caller if entered is not None and isinstance(entered.caller, Session) else None
    changed = actions.run_all(
        application.database(),
        body.workflow.workflows,
        by=actions.by_person(session) if session else actions.BY_KEY,
        settings=application.settings.workflows,
        clock=application.clock,
        dry_run=body.dry_run,
    )
    if entered is not None and session is not None:
        actions.record_run(
            Write(entered.connection),
            session.organization_id,
            asked=body.workflow,
            dry_run=body.dry_run,
            changed=changed,
            by=session,
            origin=origin,
            now=application.clock(),
        )
    return RunResult(dry_run=body.dry_run, changed=changed)


@router.get("/runs", operation_id="list_workflow_runs", responses=responses(401, 403, 422))
def list_workflow_runs(
    caller: CurrentCaller,
    connection: ReadConnection,
    workflow: Annotated[Workflow | None, Query(description="Only runs of this workflow.")] = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[WorkflowRun]:
    """List what ran for the organization, by itself or because somebody asked, the newest first."""
    position = pagination.decode(cursor, RunPosition)
    rows = queries.list_runs(
        connection,
        caller.organization_id,
        workflow=workflow,
        before=(position.slot, position.workflow) if position else None,
        limit=limit + 1,
    )
    return pagination.page(rows, limit, item=lambda row: WorkflowRun.model_validate(dict(row)), position=_position)


@router.get("/settings", operation_id="get_workflow_settings", responses=responses(401, 403))
def get_workflow_settings(
    session: CurrentSession, connection: ReadConnection, application: CurrentApplication
) -> WorkflowWishes:
    """Show after how long workflows act for the organization."""
    wishes = queries.find_settings(connection, session.organization_id)
    return WorkflowWishes.model_validate(actions.limits(wishes, application.settings.workflows))


@router.patch("/settings", operation_id="update_workflow_settings", responses=responses(401, 403, 422))
def update_workflow_settings(
    session: CurrentSession,
    connection: WriteConnection,
    application: CurrentApplication,
    origin: CurrentOrigin,
    now: Now,
    body: Wishes,
) -> WorkflowWishes:
    """Change after how long workflows act for the organization, from their next run on."""
    wishes = actions.change_settings(
        connection,
        session.organization_id,
        wishes=body.model_dump(exclude_unset=True),
        by=session,
        origin=origin,
        now=now,
    )
    return WorkflowWishes.model_validate(actions.limits(wishes, application.settings.workflows))


def _position(row: Mapping[Any, Any]) -> RunPosition:
    return RunPosition(slot=row["slot"], workflow=Workflow(row["workflow"]))
