"""Staged episodes meet the alerts that tell of them, whatever people, workflows and earlier runs have made of those."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import uuid4

import pytest
from sqlalchemy import insert, select, update

from etl_job import publish_alarms
from shared_code.database import transactions
from shared_code.database.engines import Database
from shared_code.database.tables import alert_history, machine_contacts, staging_alert_history
from tests.factories.fleet import Customer, a_compressor, a_customer, a_station

Row = dict[str, Any]
Publish = Callable[..., int]

START: Final = datetime(2026, 1, 5, tzinfo=UTC)
HOUR: Final = timedelta(hours=1)
NOW: Final = START + 100 * HOUR


def episode(first: float, latest: float, *, over: bool = False, **says: object) -> Row:
    """What a rule found between two hours from the start; it was raised half an hour after it began."""
    return {
        "rule": "vibration_high",
        "onset_at": START + first * HOUR,
        "alert_timestamp": START + (first + 0.5) * HOUR,
        "group_at": START + (first + 0.5) * HOUR,
        "alert_type": "threshold_warning",
        "severity": "warning",
        "latest_at": START + latest * HOUR,
        "message": f"high from {first}",
        "cleared_at": START + latest * HOUR if over else None,
        "latched": False,
        **says,
    }


@pytest.fixture
def customer(database: Database) -> Customer:
    customer = a_customer(database)
    a_compressor(database, customer, station_id=a_station(database, customer))
    return customer


@pytest.fixture
def publish(database: Database, customer: Customer) -> Publish:
    def run(*episodes: Row, since: float = 0, heard: float | None = None, copies: int = 1) -> int:
        batch_id = str(uuid4())
        machine = {"batch_id": batch_id, "organization_id": customer.organization_id, "compressor_id": "COMP-001"}
        judged = {"onset_at": START + since * HOUR, "latest_at": None if heard is None else START + heard * HOUR}
        with transactions.job(database) as connection:
            for row in (judged, *episodes) * copies:
                connection.execute(insert(staging_alert_history).values(machine | row))
            return publish_alarms.merge(connection, batch_id, now=NOW)

    return run


def alerts(database: Database, customer: Customer) -> list[Row]:
    ours = select(alert_history).where(alert_history.c.organization_id == customer.organization_id)
    with transactions.owner(database) as connection:
        return [dict(row) for row in connection.execute(ours.order_by(alert_history.c.alert_timestamp)).mappings()]


def people(database: Database, customer: Customer, **did: object) -> None:
    with transactions.write(database, customer.organization_id) as connection:
        connection.execute(update(alert_history).values(did))


def stand(found: Iterable[Row]) -> list[bool]:
    return [not alert["resolved"] for alert in found]


def test_the_same_again_changes_nothing(database: Database, customer: Customer, publish: Publish) -> None:
    assert publish(episode(1, 2)) == 1
    before = alerts(database, customer)
    assert publish(episode(1, 2)) == 0
    assert alerts(database, customer) == before


def test_rows_that_were_copied_twice_are_one_alert(database: Database, customer: Customer, publish: Publish) -> None:
    publish(episode(1, 2, over=True), episode(4, 5), copies=2)
    publish(episode(1, 2, over=True), episode(4, 6), copies=2)
    first, second = alerts(database, customer)
    assert (first["resolved"], second["resolved"], second["latest_at"]) == (True, False, START + 6 * HOUR)


def test_a_latched_alert_stands_until_somebody_knows_of_it(
    database: Database, customer: Customer, publish: Publish
) -> None:
    publish(episode(1, 2, over=True, latched=True))
    assert stand(alerts(database, customer)) == [True]
    people(database, customer, acknowledged=True)
    publish(episode(1, 2, over=True, latched=True))
    (alert,) = alerts(database, customer)
    assert alert["resolved_at"] == START + 2 * HOUR


def test_a_latched_alert_gives_way_when_the_problem_comes_again(
    database: Database, customer: Customer, publish: Publish
) -> None:
    publish(episode(1, 2, over=True, latched=True))
    publish(episode(4, 5, over=True, latched=True), episode(7, 8, latched=True), since=3)
    assert stand(alerts(database, customer)) == [False, False, True]


def test_what_was_escalated_stays_critical(database: Database, customer: Customer, publish: Publish) -> None:
    publish(episode(1, 2))
    people(database, customer, severity="critical", escalated_at=NOW)
    publish(episode(1, 3))
    (alert,) = alerts(database, customer)
    assert (alert["severity"], alert["latest_at"]) == ("critical", START + 3 * HOUR)


def test_two_problems_that_turn_out_to_be_one_are_one_alert(
    database: Database, customer: Customer, publish: Publish
) -> None:
    publish(episode(1, 2, over=True), episode(4, 5))
    first, second = alerts(database, customer)
    publish(episode(1, 5))
    one, other = alerts(database, customer)
    assert [one["alert_id"], other["alert_id"]] == [first["alert_id"], second["alert_id"]]
    assert stand([one, other]) == [True, False]
    assert other["withdrawn_at"] == NOW


def test_a_problem_that_turns_out_to_be_two_keeps_its_alert_for_the_first(
    database: Database, customer: Customer, publish: Publish
) -> None:
    publish(episode(1, 5))
    (before,) = alerts(database, customer)
    publish(episode(1, 2, over=True), episode(4, 5))
    first, second = alerts(database, customer)
    assert first["alert_id"] == before["alert_id"]
    assert stand([first, second]) == [False, True]


def test_what_was_withdrawn_comes_back_with_its_evidence(
    database: Database, customer: Customer, publish: Publish
) -> None:
    publish(episode(1, 2))
    (before,) = alerts(database, customer)
    publish()
    (gone,) = alerts(database, customer)
    publish(episode(1, 2))
    assert (gone["resolved"], gone["withdrawn_at"]) == (True, NOW)
    assert alerts(database, customer) == [before]


def test_what_lies_before_the_time_that_was_judged_anew_is_left_alone(
    database: Database, customer: Customer, publish: Publish
) -> None:
    publish(episode(1, 2, over=True))
    before = alerts(database, customer)
    assert publish(since=3) == 0
    assert alerts(database, customer) == before


def test_alerts_that_no_rule_of_readings_raised_are_left_alone(
    database: Database, customer: Customer, publish: Publish
) -> None:
    publish(episode(1, 2, alert_type="staleness", rule="silent"))
    before = alerts(database, customer)
    assert publish() == 0
    assert alerts(database, customer) == before


def test_when_a_machine_was_last_heard_never_goes_back(
    database: Database, customer: Customer, publish: Publish
) -> None:
    last = select(machine_contacts.c.last_reading_at).where(
        machine_contacts.c.organization_id == customer.organization_id
    )
    for heard in (5, 7, 6, None):
        publish(heard=heard)
    with transactions.owner(database) as connection:
        assert connection.scalars(last).all() == [START + 7 * HOUR]
