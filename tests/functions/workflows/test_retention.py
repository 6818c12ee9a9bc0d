"""What a plan keeps is kept, to the instant; what it does not goes in batches."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Table, insert, select

from functions.plans import plans
from functions.settings import WorkflowSettings
from functions.workflows import actions, queries
from functions.workflows.actions import Starter
from shared_code.alarms import Severity
from shared_code.database import transactions
from shared_code.database.engines import Database
from shared_code.database.tables import (
    alert_history,
    audit_log,
    data_quality_metrics,
    delivery_attempts,
    latest_readings,
    maintenance_events,
    ml_predictions,
    notification_channels,
    notification_deliveries,
    notifications,
    organization_versions,
    sensor_readings_agg,
    subscriptions,
    workflow_runs,
)
from shared_code.database.tables.organizations import Tier
from shared_code.database.tables.readings import QualityMetric, WindowType
from shared_code.database.tables.workflows import StartedBy, Workflow
from tests.factories.fleet import (
    Customer,
    a_compressor,
    a_customer,
    a_maintenance_event,
    a_metric,
    a_station,
    a_window,
    an_alert,
)

NOW = datetime(2026, 1, 12, 8, tzinfo=UTC)
DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
AGED = (sensor_readings_agg, data_quality_metrics, alert_history, ml_predictions)


def retain(database: Database, customer: Customer | None, *, dry_run: bool = False) -> int:
    by = Starter(StartedBy.KEY, customer.organization_id if customer else None)
    settings = WorkflowSettings()
    return actions.run_now(
        database, Workflow.DATA_RETENTION, by=by, settings=settings, clock=lambda: NOW, dry_run=dry_run
    )


def a_prediction(database: Database, customer: Customer, machine: str, *, at: datetime) -> None:
    with transactions.owner(database) as connection:
        connection.execute(
            insert(ml_predictions).values(
                organization_id=customer.organization_id,
                compressor_id=machine,
                prediction_timestamp=at,
                model_version="1",
                failure_probability=0.5,
                confidence_score=0.5,
                features_used={},
            )
        )


def a_customer_of(database: Database, tier: Tier) -> Customer:
    customer = a_customer(database, tier=tier)
    a_compressor(database, customer, "COMP-001", station_id=a_station(database, customer))
    return customer


def rows_at(database: Database, customer: Customer, at: datetime) -> None:
    """Put a row of each kind that ages into the database, of one instant."""
    a_window(database, customer, "COMP-001", end=at)
    a_metric(database, customer, "COMP-001", QualityMetric.ACCURACY, day_end=at)
    an_alert(database, customer, "COMP-001", Severity.WARNING, at=at, resolved=True, resolved_at=at)
    a_prediction(database, customer, "COMP-001", at=at)


def instants(database: Database, customer: Customer, table: Table, column: str) -> list[datetime]:
    own = select(table.c[column]).where(table.c.organization_id == customer.organization_id)
    with transactions.owner(database) as connection:
        return sorted(connection.scalars(own))


def kept(database: Database, customer: Customer) -> dict[str, list[datetime]]:
    return {
        kind.table.name: instants(database, customer, kind.table, kind.at) for kind in queries.OLD if kind.table in AGED
    }


@pytest.mark.parametrize("tier", Tier)
def test_each_plan_keeps_what_it_says_to_the_instant(database: Database, tier: Tier) -> None:
    customer = a_customer_of(database, tier)
    limit = NOW - timedelta(days=plans()[tier].retention_days)
    a_window(database, customer, "COMP-001", end=NOW)
    for at in (limit - 30 * DAY, limit - MINUTE, limit, limit + MINUTE):
        rows_at(database, customer, at)

    would, did, again = retain(database, customer, dry_run=True), retain(database, customer), retain(database, customer)

    assert (would, did, again) == (8, 8, 0)
    assert kept(database, customer) == {
        "sensor_readings_agg": [limit, limit + MINUTE, NOW],
        **{table.name: [limit, limit + MINUTE] for table in AGED[1:]},
    }


@pytest.mark.parametrize(
    ("until", "days"), [(NOW + MINUTE, 90), (NOW, 7), (NOW - 30 * DAY, 7)], ids=["before", "at", "after"]
)
def test_after_a_downgrade_the_plan_before_counts_for_a_time(database: Database, until: datetime, days: int) -> None:
    customer = a_customer_of(database, Tier.FREE)
    with transactions.owner(database) as connection:
        connection.execute(
            insert(subscriptions).values(
                organization_id=customer.organization_id,
                customer_id="cus_1",
                customer_deleted=False,
                keeps_as=Tier.PRO,
                keeps_until=until,
                changed_at=NOW,
            )
        )
    limits = [NOW - timedelta(days=each) for each in (365, 90, 7)]
    for limit in limits:
        a_metric(database, customer, "COMP-001", QualityMetric.ACCURACY, day_end=limit)

    retain(database, customer)

    found = instants(database, customer, data_quality_metrics, "metric_timestamp")
    assert found == [limit for limit in limits if limit >= NOW - timedelta(days=days)]


def test_the_newest_window_of_a_machine_stays_however_old(database: Database) -> None:
    customer = a_customer_of(database, Tier.FREE)
    for kind in WindowType:
        for age in (400, 300, 200):
            a_window(database, customer, "COMP-001", end=NOW - age * DAY, window_type=kind)
    newest = [NOW - 200 * DAY] * len(WindowType)

    assert retain(database, customer) == 2 * len(WindowType)
    assert instants(database, customer, sensor_readings_agg, "agg_timestamp") == newest
    assert instants(database, customer, latest_readings, "agg_timestamp") == newest


def test_what_stands_and_what_people_wrote_stays(database: Database) -> None:
    customer = a_customer_of(database, Tier.FREE)
    ago = NOW - 400 * DAY
    an_alert(database, customer, "COMP-001", Severity.CRITICAL, at=ago)
    an_alert(database, customer, "COMP-001", Severity.WARNING, at=ago, resolved=True, resolved_at=NOW - DAY)
    a_maintenance_event(database, customer, "COMP-001", at=ago)
    with transactions.owner(database) as connection:
        entry: dict[str, Any] = {
            "action": "member.removed",
            "details": {},
            "actor_kind": "user",
            "actor_name": "somebody",
        }
        whose = {"organization_id": customer.organization_id, "id": uuid4(), "occurred_at": ago}
        connection.execute(insert(audit_log).values(whose | entry))

    assert retain(database, customer) == 0
    assert instants(database, customer, alert_history, "alert_timestamp") == [ago, ago]
    assert instants(database, customer, maintenance_events, "event_date") == [ago]
    assert instants(database, customer, audit_log, "occurred_at") == [ago]


def test_runs_are_kept_for_thirty_days(database: Database) -> None:
    customer = a_customer_of(database, Tier.ENTERPRISE)
    slots = [NOW - 30 * DAY - MINUTE, NOW - 30 * DAY]
    run: dict[str, Any] = {"organization_id": customer.organization_id, "workflow": Workflow.ALERT_ESCALATION}
    with transactions.owner(database) as connection:
        for slot in slots:
            more = {"slot": slot, "run_id": uuid4(), "started_at": slot, "changed": 0, "started_by": "timer"}
            connection.execute(insert(workflow_runs).values(run | more))

    assert retain(database, customer) == 1
    assert instants(database, customer, workflow_runs, "slot") == [slots[1], NOW]


def test_messages_are_kept_for_ninety_days_and_that_an_alert_was_told_while_it_stands(database: Database) -> None:
    customer = a_customer_of(database, Tier.ENTERPRISE)
    limit = NOW - 90 * DAY
    whose: dict[str, Any] = {"organization_id": customer.organization_id, "channel_id": uuid4()}
    channel: dict[str, Any] = {"kind": "slack", "name": "x", "address": "https://x.example/", "after_minutes": 0}
    channel |= {"least_severity": "warning", "tells_resolved": True, "quiet_for_critical": False, "enabled": True}
    message: dict[str, Any] = {"message": {"type": "test", "alerts": []}, "attempts": 1}
    notice: dict[str, Any] = {"alert_id": uuid4(), "due_at": limit}
    with transactions.owner(database) as connection:
        more = {"created_at": limit, "created_by": "a@customer.example"}
        connection.execute(insert(notification_channels).values(whose | channel | more))
        for at, state in ((limit - MINUTE, "failed"), (limit - MINUTE, "waiting"), (limit, "delivered")):
            sent = {"delivery_id": uuid4(), "state": state, "created_at": at}
            connection.execute(insert(notification_deliveries).values(whose | message | sent))
            attempt = {"delivery_id": sent["delivery_id"], "attempted_at": at, "seconds": 0.1}
            connection.execute(
                insert(delivery_attempts).values(attempt | {"organization_id": customer.organization_id})
            )
        for at, closed, occasion in (
            (limit - MINUTE, True, "resolved"),
            (limit - MINUTE, False, "warning"),
            (limit, True, "critical"),
        ):
            noticed = {"notification_id": uuid4(), "noticed_at": at, "closed": closed, "occasion": occasion}
            connection.execute(insert(notifications).values(whose | notice | noticed))

    assert retain(database, customer) == 2
    assert instants(database, customer, notification_deliveries, "created_at") == [limit - MINUTE, limit]
    assert instants(database, customer, delivery_attempts, "attempted_at") == [limit - MINUTE, limit]
    assert instants(database, customer, notifications, "noticed_at") == [limit - MINUTE, limit]


def test_batches_are_bounded_and_each_is_kept_by_itself(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    customer = a_customer_of(database, Tier.FREE)
    for day in range(7):
        a_metric(database, customer, "COMP-001", QualityMetric.ACCURACY, day_end=NOW - (100 + day) * DAY)
    monkeypatch.setattr(actions, "BATCH", 3)
    sizes: list[int] = []
    delete_old: Any = queries.delete_old

    def stopped_in_the_third(*args: Any, **options: Any) -> tuple[int, set[Any]]:  # noqa: ANN401 - as it is called
        done = delete_old(*args, **options)
        sizes.append(done[0])
        if sizes.count(3) + sizes.count(1) == 3:
            raise RuntimeError("the host was stopped")
        return done

    with monkeypatch.context() as stopping:
        stopping.setattr(queries, "delete_old", stopped_in_the_third)
        with pytest.raises(RuntimeError, match="stopped"):
            retain(database, customer)

    assert Counter(sizes)[3] == 2
    assert len(instants(database, customer, data_quality_metrics, "metric_timestamp")) == 1


def test_over_all_organizations_each_plan_counts_and_those_that_lost_rows_are_told(database: Database) -> None:
    free, paying, nothing = (a_customer_of(database, tier) for tier in (Tier.FREE, Tier.ENTERPRISE, Tier.FREE))
    a_metric(database, nothing, "COMP-001", QualityMetric.ACCURACY, day_end=NOW)
    for customer in (free, paying):
        a_window(database, customer, "COMP-001", end=NOW)
        rows_at(database, customer, NOW - 100 * DAY)

    def versions() -> list[int]:
        version = organization_versions.c
        with transactions.owner(database) as connection:
            found = {row[0]: row[1] for row in connection.execute(select(version.organization_id, version.version))}
        return [found[customer.organization_id] for customer in (free, paying, nothing)]

    before = versions()
    assert retain(database, None) >= 4
    after = versions()

    assert kept(database, free) == {
        "sensor_readings_agg": [NOW],
        **{table.name: [] for table in AGED[1:]},
    }
    assert all(NOW - 100 * DAY in found for found in kept(database, paying).values())
    assert (after[0] > before[0], after[1:]) == (True, before[1:])
