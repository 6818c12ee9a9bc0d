"""Whatever timers do, a slot is claimed once: leases that are lost, hosts that lag, clocks that disagree."""

import random
from collections import Counter
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from threading import Thread

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError

from functions import schedules
from functions.settings import WorkflowSettings
from functions.workflows import actions
from shared_code.alarms import Severity
from shared_code.database import transactions
from shared_code.database.engines import Database
from shared_code.database.home import open_database
from shared_code.database.tables import alert_history, audit_log, workflow_runs
from shared_code.database.tables.workflows import Workflow
from shared_code.settings import DatabaseSettings, read
from tests.factories.fleet import Customer, a_compressor, a_customer, a_station, an_alert

START = datetime(2026, 1, 12, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
SETTINGS = WorkflowSettings(workflow_escalation_schedule="0 */15 * * * *")
SLOTS = 1_000


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Generator[Database]:
    """A database that no other test fills: each slot is claimed for all there are."""
    database = open_database(read(DatabaseSettings, data_dir=tmp_path_factory.mktemp("slots") / "data"), now=START)
    yield database
    database.dispose()


@pytest.fixture
def customers(apart: Database) -> list[Customer]:
    found = [a_customer(apart) for _ in range(2)]
    for customer in found:
        a_compressor(apart, customer, station_id=a_station(apart, customer))
    return found


def fire(database: Database, at: datetime, workflow: Workflow = Workflow.ALERT_ESCALATION) -> int:
    return actions.run_slot(database, workflow, settings=SETTINGS, clock=lambda: at)


def claimed(database: Database, customer: Customer) -> list[tuple[datetime, int]]:
    own = select(workflow_runs).where(workflow_runs.c.organization_id == customer.organization_id)
    with transactions.owner(database) as connection:
        return sorted((row.slot, row.changed) for row in connection.execute(own))


@pytest.mark.parametrize(
    ("schedule", "now", "slot"),
    [
        ("0 */15 * * * *", datetime(2026, 1, 12, 0, 14, 58, tzinfo=UTC), datetime(2026, 1, 12, 0, 0, tzinfo=UTC)),
        ("0 */15 * * * *", datetime(2026, 1, 12, 0, 15, tzinfo=UTC), datetime(2026, 1, 12, 0, 15, tzinfo=UTC)),
        # A timer that fires a moment too early runs for the slot that it was set for.
        ("0 */15 * * * *", datetime(2026, 1, 12, 0, 14, 59, 500, tzinfo=UTC), datetime(2026, 1, 12, 0, 15, tzinfo=UTC)),
        ("0 30 6 * * *", datetime(2026, 1, 12, 6, 29, tzinfo=UTC), datetime(2026, 1, 11, 6, 30, tzinfo=UTC)),
        ("0 30 6 * * 0", datetime(2026, 1, 12, tzinfo=UTC), datetime(2026, 1, 11, 6, 30, tzinfo=UTC)),
        ("0 30 6 * * 7", datetime(2026, 1, 12, tzinfo=UTC), datetime(2026, 1, 11, 6, 30, tzinfo=UTC)),
        ("0 30 6 * * 1-5", datetime(2026, 1, 12, tzinfo=UTC), datetime(2026, 1, 9, 6, 30, tzinfo=UTC)),
        ("0 0 0 1 7 *", datetime(2026, 1, 12, tzinfo=UTC), datetime(2025, 7, 1, tzinfo=UTC)),
    ],
)
def test_a_slot_is_when_its_period_began(schedule: str, now: datetime, slot: datetime) -> None:
    assert schedules.slot(schedule, now) == slot


@pytest.mark.parametrize(
    "schedule", ["", "*/15 * * * *", "0 0 25 * * *", "0 0 0 * * */2", "0 0 0 * * * *", "0 0 0 30 2 x", "now"]
)
def test_what_is_no_schedule_is_refused(schedule: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        schedules.trigger(schedule)


def test_a_timer_that_fires_twice_or_late_runs_once_in_a_slot(apart: Database, customers: list[Customer]) -> None:
    for seconds in (0, 1, 60, 898):
        fire(apart, START + timedelta(seconds=seconds))

    assert [claimed(apart, customer) for customer in customers] == [[(START, 0)]] * 2
    fire(apart, START + QUARTER)
    assert claimed(apart, customers[0]) == [(START, 0), (START + QUARTER, 0)]


def test_a_host_whose_clock_is_behind_does_nothing(apart: Database, customers: list[Customer]) -> None:
    warning = an_alert(apart, customers[0], "COMP-001", Severity.WARNING, at=START)
    fire(apart, START + timedelta(hours=9))
    with transactions.owner(apart) as connection:
        back = update(alert_history).where(alert_history.c.alert_id == warning)
        connection.execute(back.values(severity="warning", escalated_at=None))

    assert fire(apart, START + timedelta(hours=8)) == 0
    assert len(claimed(apart, customers[0])) == 1


def test_each_workflow_has_slots_of_its_own(apart: Database, customers: list[Customer]) -> None:
    for workflow in Workflow:
        actions.run_slot(apart, workflow, settings=WorkflowSettings(), clock=lambda: START + timedelta(days=40))

    assert len(claimed(apart, customers[0])) == len(Workflow)


def test_what_fails_has_claimed_nothing_and_is_done_by_the_next(
    apart: Database, customers: list[Customer], monkeypatch: pytest.MonkeyPatch
) -> None:
    warning = an_alert(apart, customers[0], "COMP-001", Severity.WARNING, at=START)
    at = START + timedelta(days=50)

    def fail(*_: object, **__: object) -> int:
        raise OperationalError("the connection was lost", None, Exception())

    with monkeypatch.context() as broken:
        broken.setattr("functions.workflows.queries.finish", fail)
        with pytest.raises(OperationalError):
            fire(apart, at)
    assert claimed(apart, customers[0]) == []

    assert fire(apart, at + timedelta(seconds=1)) == 1
    with transactions.owner(apart) as connection:
        target = audit_log.c.target == str(warning)
        assert list(connection.scalars(select(audit_log.c.action).where(target))) == ["alert.escalated"]


def test_of_a_thousand_slots_on_three_hosts_each_is_done_once(apart: Database, customers: list[Customer]) -> None:
    """Three hosts fire on their own: now and then twice, now and then not at all, one of them by a clock that lags."""
    first = START + timedelta(days=100)
    last = first + (SLOTS - 1) * QUARTER
    fire(apart, first - QUARTER)  # what other tests left to be done
    for customer in customers:
        for number in range(50):  # each is due at another slot
            at = first + number * (SLOTS // 50) * QUARTER - timedelta(hours=4)
            an_alert(apart, customer, "COMP-001", Severity.WARNING, at=at)
    skews = (timedelta(0), timedelta(minutes=-47), timedelta(seconds=20))
    changed: list[int] = []

    def host(skew: timedelta, seed: int) -> None:
        chance = random.Random(seed)  # noqa: S311 - the same every time
        database = Database(apart.settings)
        try:
            for number in range(SLOTS):
                times = chance.choice((0, 1, 1, 1, 2))
                changed.extend(fire(database, first + number * QUARTER + skew) for _ in range(times))
        finally:
            database.dispose()

    threads = [Thread(target=host, args=(skew, seed)) for seed, skew in enumerate(skews)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    changed.append(fire(apart, last))

    for customer in customers:
        slots = [slot for slot, _ in claimed(apart, customer) if first <= slot <= last]
        assert len(slots) == len(set(slots)) > SLOTS / 2
        own = audit_log.c.organization_id == customer.organization_id
        with transactions.owner(apart) as connection:
            told = Counter(connection.scalars(select(audit_log.c.target).where(own)))
        assert len(told) == 50
        assert set(told.values()) == {1}
    assert sum(changed) == 100
