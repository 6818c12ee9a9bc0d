"""What runs by itself: how an organization wants it, and what has run."""

from enum import StrEnum

from sqlalchemy import Column, Index, Integer, String, Table, Unicode, Uuid

from shared_code.database.tables.metadata import INSTANT, metadata, one_of, organization_id


class Workflow(StrEnum):
    """What runs by itself, in the order in which all of them are run."""

    ALERT_AUTO_RESOLVE = "alert_auto_resolve"
    DATA_FRESHNESS_CHECK = "data_freshness_check"
    ALERT_ESCALATION = "alert_escalation"
    STALE_ALERT_CLEANUP = "stale_alert_cleanup"
    DATA_RETENTION = "data_retention"


class StartedBy(StrEnum):
    """What starts a run."""

    TIMER = "timer"
    PERSON = "person"
    KEY = "key"


workflow_runs = Table(
    "workflow_runs",
    metadata,
    organization_id(),
    Column("workflow", String(30), primary_key=True),
    Column("slot", INSTANT, primary_key=True),  # a timer's: when its period began; else when the run was asked for
    Column("run_id", Uuid(), nullable=False),  # the same for all organizations of one run
    Column("started_at", INSTANT, nullable=False),
    Column("finished_at", INSTANT),
    Column("changed", Integer, nullable=False),  # rows
    Column("started_by", String(20), nullable=False),
    Column("started_by_name", Unicode(320)),  # of a person
    one_of("workflow", Workflow),
    one_of("started_by", StartedBy),
    Index(None, "workflow", "slot"),
    Index(None, "organization_id", "slot", "workflow"),
)
"""Each slot is claimed once, by the transaction that does what the workflow does."""

workflow_settings = Table(
    "workflow_settings",
    metadata,
    organization_id(),
    Column("escalation_hours", Integer),  # NULL: as for everybody, here and below
    Column("staleness_hours", Integer),
    Column("cleanup_days", Integer),
    Column("updated_at", INSTANT, nullable=False),
)
