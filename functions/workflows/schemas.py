"""Shapes of workflows."""

from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field

from functions.bodies import Body
from functions.pagination import Position
from shared_code.database.tables.workflows import StartedBy, Workflow


class Asked(StrEnum):
    """Which workflows are asked for: one of them, or all."""

    ALL = "all"
    ALERT_AUTO_RESOLVE = Workflow.ALERT_AUTO_RESOLVE
    DATA_FRESHNESS_CHECK = Workflow.DATA_FRESHNESS_CHECK
    ALERT_ESCALATION = Workflow.ALERT_ESCALATION
    STALE_ALERT_CLEANUP = Workflow.STALE_ALERT_CLEANUP
    DATA_RETENTION = Workflow.DATA_RETENTION

    @property
    def workflows(self) -> tuple[Workflow, ...]:
        """The workflows, in the order in which they are run."""
        return tuple(Workflow) if self is Asked.ALL else (Workflow(self),)


class RunRequest(Body):
    """What to run."""

    workflow: Asked
    dry_run: Annotated[bool, Field(strict=True, description="Count what would change, and change nothing.")] = False


class RunResult(BaseModel):
    """How many rows each workflow changed, or with `dry_run` would have."""

    dry_run: bool
    changed: dict[Workflow, int]


class WorkflowRun(BaseModel):
    """Something that ran for the organization.

    `slot` is when the period began that a timer ran for, or when somebody asked. `started_by_name` is null unless a
    person started it; `finished_at` is null while it runs, or where it was stopped.
    """

    run_id: UUID
    workflow: Workflow
    slot: AwareDatetime
    started_at: AwareDatetime
    finished_at: AwareDatetime | None
    changed: int
    started_by: StartedBy
    started_by_name: str | None


class RunPosition(Position):
    """Runs are listed by slot, the newest first."""

    slot: AwareDatetime
    workflow: Workflow


Hours = Annotated[int, Field(ge=1, le=720)]
Days = Annotated[int, Field(ge=1, le=365)]


class Wishes(Body):
    """After how long workflows act for the organization; null is as for everybody, and what is not named stays."""

    escalation_hours: Annotated[
        Hours | None, Field(description="When a warning nobody acknowledged becomes critical.", examples=[2])
    ] = None
    staleness_hours: Annotated[Hours | None, Field(description="When a machine is silent.", examples=[6])] = None
    cleanup_days: Annotated[
        Days | None, Field(description="When an alert nobody touched is acknowledged.", examples=[14])
    ] = None


class Limits(BaseModel):
    """After how long workflows act."""

    escalation_hours: int
    staleness_hours: int
    cleanup_days: int


class WorkflowWishes(BaseModel):
    """What the organization wants, null where it is as for everybody, and what comes of it."""

    escalation_hours: int | None
    staleness_hours: int | None
    cleanup_days: int | None
    in_effect: Limits
