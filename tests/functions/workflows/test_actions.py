"""What each workflow does before, at and after its hour, and what it leaves alone."""

from datetime import UTC, datetime, timedelta
from threading import Thread
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import insert, select, update

from functions.alerts import queries
from functions.settings import WorkflowSettings
from functions.workflows import actions
from functions.workflows.actions import Starter
from shared_code.alarms import AlertType, Severity
from shared_code.database import transactions
from shared_code.database.engines import Database
from shared_code.database.tables import alert_history, audit_log, compressor_metadata, organization_versions
from shared_code.database.tables.workflows import StartedBy, Workflow
from tests.factories.fleet import Customer, a_contact, a_customer, an_alert

NOW = datetime(2026, 1, 12, 12, tzinfo=UTC)
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
SETTINGS = WorkflowSettings()


def run(
    database: Database, workflow: Workflow, customer: Customer, *, at: datetime = NOW, dry_run: bool = False
) -> int:
    by = Starter(StartedBy.PERSON, customer.organization_id, "somebody@customer.example")
    return actions.run_now(database, workflow, by=by, settings=SETTINGS, clock=lambda: at, dry_run=dry_run)


def alerts(database: Database, customer: Customer) -> dict[UUID, dict[str, Any]]:
    own = select(alert_history).where(alert_history.c.organization_id == customer.organization_id)
    with transactions.owner(database) as connection:
        return {row["alert_id"]: dict(row) for row in connection.execute(own).mappings()}


def alert(database: Database, customer: Customer, alert_id: UUID) -> dict[str, Any]:
    return alerts(database, customer)[alert_id]


def entries(database: Database, customer: Customer) -> list[tuple[str, str]]:
    own = select(audit_log).where(audit_log.c.organization_id == customer.organization_id)
    with transactions.owner(database) as connection:
        return sorted((row.action, row.target) for row in connection.execute(own))


def change(database: Database, customer: Customer, alert_id: UUID, **values: object) -> None:
    own = (alert_history.c.organization_id == customer.organization_id, alert_history.c.alert_id == alert_id)
    with transactions.owner(database) as connection:
        connection.execute(update(alert_history).where(*own).values(**values))


def version(database: Database, customer: Customer) -> int:
    own = organization_versions.c.organization_id == customer.organization_id
    with transactions.owner(database) as connection:
        return connection.scalar(select(organization_versions.c.version).where(own)) or 0


@pytest.mark.parametrize(
    ("age", "severity"), [(4 * HOUR - MINUTE, "warning"), (4 * HOUR, "critical"), (9 * HOUR, "critical")]
)
def test_a_warning_nobody_acknowledged_becomes_critical_at_its_hour(
    database: Database, customer: Customer, age: timedelta, severity: str
) -> None:
    warning = an_alert(database, customer, "COMP-001", Severity.WARNING, at=NOW - age)

    changed = run(database, Workflow.ALERT_ESCALATION, customer)

    after = alert(database, customer, warning)
    assert (changed, after["severity"]) == (int(severity == "critical"), severity)
    assert after["escalated_at"] == (NOW if changed else None)
    assert entries(database, customer) == [("alert.escalated", str(warning))] * changed


@pytest.mark.parametrize(
    "state",
    [
        {"severity": "critical"},
        {"acknowledged": True},
        {"resolved": True},
        {"suppressed_by": "most_open"},
        {"shelved_until": NOW + MINUTE},
    ],
    ids=str,
)
def test_what_is_seen_to_or_kept_from_people_is_not_escalated(
    database: Database, customer: Customer, state: dict[str, Any]
) -> None:
    warning = an_alert(database, customer, "COMP-001", Severity.WARNING, at=NOW - 9 * HOUR)
    change(database, customer, warning, **state)
    before = alert(database, customer, warning)

    assert run(database, Workflow.ALERT_ESCALATION, customer) == 0
    assert alert(database, customer, warning) == before


def test_a_shelf_that_has_ended_protects_no_more(database: Database, customer: Customer) -> None:
    warning = an_alert(database, customer, "COMP-001", Severity.WARNING, at=NOW - 9 * HOUR)
    change(database, customer, warning, shelved_until=NOW)

    assert run(database, Workflow.ALERT_ESCALATION, customer) == 1


@pytest.mark.parametrize(
    ("state", "resolved"),
    [
        ({"message": "as it was"}, False),
        ({"cleared_at": NOW - HOUR}, True),
        ({"cleared_at": NOW - HOUR, "latched": True}, False),
        ({"cleared_at": NOW - HOUR, "latched": True, "acknowledged": True}, True),
        ({"acknowledged": True}, False),
    ],
    ids=str,
)
def test_what_is_over_and_waits_for_nobody_is_resolved(
    database: Database,
    customer: Customer,
    state: dict[str, Any],
    resolved: bool,  # noqa: FBT001 - a row of the table
) -> None:
    raised = an_alert(database, customer, "COMP-001", Severity.WARNING, at=NOW - 9 * HOUR)
    change(database, customer, raised, **state)

    assert run(database, Workflow.ALERT_AUTO_RESOLVE, customer) == int(resolved)

    after = alert(database, customer, raised)
    assert (after["resolved"], after["resolved_by"]) == (resolved, None)
    assert after["resolved_at"] == (NOW - HOUR if resolved else None)


@pytest.mark.parametrize(("silence", "raised"), [(3 * HOUR - MINUTE, 0), (3 * HOUR, 1), (5 * HOUR, 1)])
def test_a_silent_machine_gets_one_alert_at_its_hour(
    database: Database, customer: Customer, silence: timedelta, raised: int
) -> None:
    a_contact(database, customer, "COMP-001", at=NOW - silence)
    a_contact(database, customer, "COMP-002", at=NOW)

    assert run(database, Workflow.DATA_FRESHNESS_CHECK, customer) == raised
    assert run(database, Workflow.DATA_FRESHNESS_CHECK, customer, at=NOW + MINUTE / 2) == 0

    found = list(alerts(database, customer).values())
    assert len(found) == raised
    for each in found:
        assert (each["compressor_id"], each["rule"], each["severity"]) == ("COMP-001", "silent", "warning")
        assert (each["alert_type"], each["alert_timestamp"], each["latest_at"]) == (
            AlertType.STALENESS,
            NOW,
            NOW - silence,
        )
        assert each["message"] == f"No reading since {NOW - silence:%Y-%m-%d %H:%M} UTC."


def test_machines_never_heard_or_retired_get_none(database: Database, customer: Customer) -> None:
    a_contact(database, customer, "COMP-001", at=NOW - 9 * HOUR)
    own = compressor_metadata.c.organization_id == customer.organization_id
    with transactions.owner(database) as connection:
        connection.execute(update(compressor_metadata).where(own).values(retired_at=NOW - HOUR))

    assert run(database, Workflow.DATA_FRESHNESS_CHECK, customer) == 0


def test_a_machine_that_is_heard_again_has_its_alert_resolved_and_a_new_silence_a_new_one(
    database: Database, customer: Customer
) -> None:
    a_contact(database, customer, "COMP-001", at=NOW - 3 * HOUR)
    a_contact(database, customer, "COMP-002", at=NOW + 9 * HOUR)
    run(database, Workflow.DATA_FRESHNESS_CHECK, customer)
    assert run(database, Workflow.ALERT_AUTO_RESOLVE, customer) == 0

    a_contact(database, customer, "COMP-001", at=NOW + MINUTE)
    assert run(database, Workflow.ALERT_AUTO_RESOLVE, customer, at=NOW + HOUR) == 1
    (first,) = alerts(database, customer).values()
    assert (first["resolved"], first["cleared_at"], first["resolved_at"]) == (True, NOW + MINUTE, NOW + HOUR)
    assert run(database, Workflow.DATA_FRESHNESS_CHECK, customer, at=NOW + 3 * HOUR) == 0
    assert run(database, Workflow.DATA_FRESHNESS_CHECK, customer, at=NOW + 4 * HOUR) == 1


def test_a_silence_that_somebody_has_resolved_is_not_told_again(database: Database, customer: Customer) -> None:
    a_contact(database, customer, "COMP-001", at=NOW - 3 * HOUR)
    a_contact(database, customer, "COMP-002", at=NOW + 9 * HOUR)
    run(database, Workflow.DATA_FRESHNESS_CHECK, customer)
    (raised,) = alerts(database, customer)
    change(database, customer, raised, resolved=True, resolved_by="somebody", resolved_at=NOW)

    assert run(database, Workflow.DATA_FRESHNESS_CHECK, customer, at=NOW + HOUR) == 0


def test_a_station_of_which_all_are_silent_is_one_alert(database: Database, customer: Customer) -> None:
    a_contact(database, customer, "COMP-001", at=NOW - 4 * HOUR)
    a_contact(database, customer, "COMP-002", at=NOW - 2 * HOUR)
    run(database, Workflow.DATA_FRESHNESS_CHECK, customer)
    (single,) = alerts(database, customer)

    assert run(database, Workflow.DATA_FRESHNESS_CHECK, customer, at=NOW + HOUR) == 2
    assert run(database, Workflow.DATA_FRESHNESS_CHECK, customer, at=NOW + 2 * HOUR) == 0

    found = {each["rule"]: each for each in alerts(database, customer).values()}
    assert set(found) == {"silent", "station_silent"}
    assert (found["silent"]["alert_id"], found["silent"]["resolved"]) == (single, True)
    assert found["silent"]["suppressed_by"] == "station_silent"
    assert (found["station_silent"]["compressor_id"], found["station_silent"]["resolved"]) == ("COMP-001", False)
    assert found["station_silent"]["message"] == (
        "All 2 machines of Name of STATION-A are silent; the last reading came at 2026-01-12 10:00 UTC."
    )

    a_contact(database, customer, "COMP-002", at=NOW + 3 * HOUR)
    assert run(database, Workflow.ALERT_AUTO_RESOLVE, customer, at=NOW + 3 * HOUR) == 1
    assert run(database, Workflow.DATA_FRESHNESS_CHECK, customer, at=NOW + 3 * HOUR + MINUTE) == 1
    standing = [each["rule"] for each in alerts(database, customer).values() if not each["resolved"]]
    assert standing == ["silent"]


def test_an_alert_of_a_machine_that_was_retired_is_resolved(database: Database, customer: Customer) -> None:
    a_contact(database, customer, "COMP-001", at=NOW - 3 * HOUR)
    a_contact(database, customer, "COMP-002", at=NOW)
    run(database, Workflow.DATA_FRESHNESS_CHECK, customer)
    own = compressor_metadata.c.organization_id == customer.organization_id
    with transactions.owner(database) as connection:
        connection.execute(update(compressor_metadata).where(own).values(retired_at=NOW))

    assert run(database, Workflow.ALERT_AUTO_RESOLVE, customer) == 1


@pytest.mark.parametrize(("age", "touched"), [(7 * DAY - MINUTE, 0), (7 * DAY, 1), (30 * DAY, 1)])
def test_what_nobody_touched_for_a_week_is_acknowledged(
    database: Database, customer: Customer, age: timedelta, touched: int
) -> None:
    raised = an_alert(database, customer, "COMP-001", Severity.WARNING, at=NOW - age)

    assert run(database, Workflow.STALE_ALERT_CLEANUP, customer) == touched

    after = alert(database, customer, raised)
    assert (after["acknowledged"], after["acknowledged_by"], after["acknowledged_note"], after["resolved"]) == (
        (True, "Altaviz", "Nobody touched it for 7 days.", False) if touched else (False, None, None, False)
    )


@pytest.mark.parametrize(("workflow"), list(Workflow))
def test_a_dry_run_counts_and_changes_nothing(database: Database, customer: Customer, workflow: Workflow) -> None:
    an_alert(database, customer, "COMP-001", Severity.WARNING, at=NOW - 9 * DAY)
    over = an_alert(database, customer, "COMP-002", Severity.CRITICAL, at=NOW)
    change(database, customer, over, cleared_at=NOW)
    a_contact(database, customer, "COMP-001", at=NOW - 9 * HOUR)
    before, told = alerts(database, customer), version(database, customer)

    would = run(database, workflow, customer, dry_run=True)

    assert (alerts(database, customer), version(database, customer)) == (before, told)
    assert entries(database, customer) == []
    assert run(database, workflow, customer) == would


def test_what_somebody_did_within_the_week_is_touching_it(database: Database, customer: Customer) -> None:
    raised, commented, shelved = (
        an_alert(database, customer, "COMP-001", Severity.WARNING, at=NOW - 9 * DAY) for _ in range(3)
    )
    change(database, customer, shelved, shelved_until=NOW - 6 * DAY)
    with transactions.owner(database) as connection:
        for target, at in ((commented, NOW - 6 * DAY), (raised, NOW - 8 * DAY)):
            connection.execute(
                insert(audit_log).values(
                    organization_id=customer.organization_id,
                    id=uuid4(),
                    occurred_at=at,
                    action="alert.commented",
                    target=str(target),
                    details={},
                    actor_kind="user",
                    actor_name="somebody",
                )
            )

    assert run(database, Workflow.STALE_ALERT_CLEANUP, customer) == 1
    assert {each: row["acknowledged"] for each, row in alerts(database, customer).items()} == {
        raised: True,
        commented: False,
        shelved: False,
    }


def test_a_latched_alert_that_is_over_and_stale_is_resolved_by_it(database: Database, customer: Customer) -> None:
    raised = an_alert(
        database, customer, "COMP-001", Severity.WARNING, at=NOW - 9 * DAY, latched=True, cleared_at=NOW - 8 * DAY
    )

    run(database, Workflow.STALE_ALERT_CLEANUP, customer)

    after = alert(database, customer, raised)
    assert (after["acknowledged_by"], after["resolved"], after["resolved_at"]) == ("Altaviz", True, NOW - 8 * DAY)


@pytest.mark.parametrize("everywhere", [False, True])
def test_organizations_are_told_that_something_changed_and_others_are_not(
    database: Database,
    customer: Customer,
    everywhere: bool,  # noqa: FBT001 - a row of the table
) -> None:
    other = a_customer(database)
    an_alert(database, customer, "COMP-001", Severity.WARNING, at=NOW - 9 * HOUR)
    before = version(database, customer), version(database, other)

    if everywhere:
        by = Starter(StartedBy.KEY)
        actions.run_now(database, Workflow.ALERT_ESCALATION, by=by, settings=SETTINGS, clock=lambda: NOW, dry_run=False)
    else:
        run(database, Workflow.ALERT_ESCALATION, customer)

    assert (version(database, customer), version(database, other)) == (before[0] + 1, before[1])


@pytest.mark.parametrize("workflow", [each for each in Workflow if each is not Workflow.DATA_RETENTION])
def test_what_somebody_does_at_the_same_moment_stays(
    database: Database, customer: Customer, workflow: Workflow
) -> None:
    """The workflow finds the alert while somebody has it in hand, waits, and then sees what they did."""
    raised = an_alert(
        database, customer, "COMP-001", Severity.WARNING, at=NOW - 9 * DAY, rule="silent", alert_type="staleness"
    )
    if workflow is Workflow.ALERT_AUTO_RESOLVE:
        change(database, customer, raised, cleared_at=NOW)
    a_contact(database, customer, "COMP-001", at=NOW - 9 * DAY)
    a_contact(database, customer, "COMP-002", at=NOW - 9 * DAY)
    ran: list[int] = []
    at_work = Thread(target=lambda: ran.append(run(database, workflow, customer)))

    with transactions.write(database, customer.organization_id) as connection:
        resolved = queries.resolve(
            connection, customer.organization_id, raised, by="somebody", note="mine", now=NOW - MINUTE
        )
        at_work.start()
        at_work.join(timeout=0.5)
        assert at_work.is_alive()
    at_work.join(timeout=30)

    assert len(ran) == 1
    assert alert(database, customer, raised) == dict(resolved or {})
    assert ("alert.resolved", str(raised)) not in entries(database, customer)
