"""Alarms from landing files to the alerts that people read."""

from datetime import timedelta
from typing import Any

import pyarrow as pa
import pytest
from sqlalchemy import update

from etl_job import batch, pipeline
from etl_job.alarms import message
from etl_job.delta_tables import ALARMS
from shared_code.alarm_rules import MINUTE_US, Episode
from shared_code.database import transactions
from shared_code.database.tables import alert_history
from shared_code.thresholds import thresholds
from tests.etl_job.customer import Customer
from tests.factories.landing import HOUR, MINUTE, MONDAY, deliver, deliver_fleet, readings, with_value

LATER = MONDAY + 200 * HOUR
WHAT_PEOPLE_DID = {
    "acknowledged": True,
    "acknowledged_by": "an operator",
    "acknowledged_note": "bearing ordered",
    "shelved_until": LATER,
    "shelved_by": "an operator",
    "shelved_reason": "parts on Friday",
}


def shaking(count: int, *spans: tuple[int, int], level: float = 7.0, machine: str = "COMP-001") -> pa.Table:
    """Readings in which the vibration is high in these spans of rows, each up to, not including, its end."""
    table = readings(machine, count=count)
    for first, stop in spans:
        for row in range(first, stop):
            table = with_value(table, "vibration_mms", row, level + row % 3 * 0.1)
    return table


@pytest.fixture
def machine(customer: Customer) -> Customer:
    deliver_fleet(customer.landing, ["COMP-001", "COMP-002"])
    return customer


def take_in(customer: Customer, table: pa.Table, hours: int = 0) -> None:
    """Deliver a table, some hours after others, and take it in."""
    deliver(customer.landing, f"{hours}.parquet", table, at=LATER + hours * HOUR)
    customer.run()


def alerts(customer: Customer) -> list[dict[str, Any]]:
    return sorted(customer.in_sql(alert_history), key=lambda row: (row["compressor_id"], row["alert_timestamp"]))


def did(customer: Customer, **what: object) -> None:
    """Let people do something about all alerts of the customer."""
    with transactions.write(customer.database, customer.organization_id) as connection:  # pyright: ignore[reportArgumentType]
        connection.execute(update(alert_history).values(what))


def test_a_problem_becomes_one_alert_that_says_what_is_wrong(machine: Customer) -> None:
    take_in(machine, shaking(20, (10, 20)))

    (alert,) = alerts(machine)

    assert (alert["rule"], alert["severity"], alert["alert_type"]) == ("vibration_high", "warning", "threshold_warning")
    assert alert["onset_at"] == MONDAY + 100 * MINUTE
    assert alert["alert_timestamp"] == MONDAY + 120 * MINUTE
    assert (alert["sensor_name"], alert["sensor_value"], alert["threshold_value"]) == ("vibration_mms", 7.1, 6.0)
    assert alert["message"] == (
        "Vibration went above the warning limit of 6 mm/s RMS at 2026-01-05 01:40 UTC;"
        " highest 7.2 at 2026-01-05 01:50 UTC; latest 7.1."
    )
    assert (alert["resolved"], alert["acknowledged"], alert["withdrawn_at"]) == (False, False, None)


def test_a_sensor_that_is_stuck_becomes_an_alert_that_names_it(machine: Customer) -> None:
    table = readings(count=60)
    for row in range(10, 40):
        table = with_value(table, "gas_flow_mcf", row, 9_990.0)
    take_in(machine, table.slice(0, 30))
    (stuck,) = alerts(machine)
    take_in(machine, table.slice(30), hours=1)
    (over,) = alerts(machine)

    assert (stuck["rule"], stuck["sensor_name"], stuck["threshold_value"]) == (
        "gas_flow_stuck",
        "gas_flow_mcf_unchanged",
        2,
    )
    assert stuck["message"] == (
        "Time since the gas flow last changed went above the warning limit of 2 h at 2026-01-05 03:50 UTC;"
        " highest 3.167 at 2026-01-05 04:50 UTC; latest 3.167."
    )
    assert (over["alert_id"], over["resolved"], over["peak_value"]) == (stuck["alert_id"], True, pytest.approx(29 / 6))


def test_the_same_alert_goes_on_becomes_critical_and_is_over(machine: Customer) -> None:
    take_in(machine, shaking(20, (10, 20)))
    (first,) = alerts(machine)
    take_in(machine, shaking(40, (10, 40), level=8.5), hours=1)
    (worse,) = alerts(machine)
    take_in(machine, shaking(80, (10, 40), level=8.5), hours=2)
    (over,) = alerts(machine)

    assert first["alert_id"] == worse["alert_id"] == over["alert_id"]
    assert (worse["severity"], worse["alert_type"], worse["threshold_value"]) == ("critical", "threshold_critical", 8.0)
    assert not worse["resolved"]
    assert over["resolved"]
    assert over["resolved_at"] == over["cleared_at"] == MONDAY + 460 * MINUTE
    assert over["message"].endswith("; over at 2026-01-05 07:40 UTC.")


def test_new_readings_of_one_machine_leave_others_alone(machine: Customer) -> None:
    take_in(machine, pa.concat_tables([shaking(20, (10, 20), machine=name) for name in ("COMP-001", "COMP-002")]))
    before = alerts(machine)
    take_in(machine, readings("COMP-001", start=MONDAY + 20 * 10 * MINUTE, count=30), hours=1)
    after = alerts(machine)

    assert [alert["resolved"] for alert in before] == [False, False]
    assert [alert["resolved"] for alert in after] == [True, False]
    assert after[1] == before[1]


def test_late_readings_that_move_an_onset_leave_what_people_did(machine: Customer) -> None:
    whole = shaking(30, (8, 30))
    take_in(machine, whole.slice(12))
    did(machine, **WHAT_PEOPLE_DID)
    (before,) = alerts(machine)
    take_in(machine, whole.slice(0, 12), hours=1)
    (after,) = alerts(machine)

    assert before["onset_at"] == MONDAY + 120 * MINUTE
    assert after["onset_at"] == MONDAY + 80 * MINUTE
    assert after["alert_id"] == before["alert_id"]
    assert {name: after[name] for name in WHAT_PEOPLE_DID} == WHAT_PEOPLE_DID


def test_a_correction_that_shows_nothing_was_wrong_withdraws_the_alert(machine: Customer) -> None:
    take_in(machine, shaking(30, (10, 20)))
    take_in(machine, readings(count=30), hours=1)

    (alert,) = alerts(machine)

    assert machine.content(ALARMS) == []
    assert alert["resolved"]
    assert alert["withdrawn_at"] is not None


def test_what_somebody_resolved_by_hand_stays_so_and_does_not_come_again(machine: Customer) -> None:
    whole = shaking(60, (10, 60))
    take_in(machine, whole.slice(0, 20))
    did(machine, resolved=True, resolved_by="an operator", resolved_at=LATER)
    before = alerts(machine)
    take_in(machine, whole.slice(20, 20), hours=1)
    take_in(machine, whole.slice(40), hours=2)
    assert alerts(machine) == before


def test_a_new_problem_after_one_resolved_by_hand_is_a_new_alert(machine: Customer) -> None:
    whole = shaking(90, (10, 20), (60, 70))
    take_in(machine, whole.slice(0, 18))
    did(machine, resolved=True, resolved_by="an operator", resolved_at=LATER)
    take_in(machine, whole.slice(18), hours=1)
    assert [alert["resolved_by"] for alert in alerts(machine)] == ["an operator", None]


@pytest.mark.parametrize("anew", ["rebuild", "lake"])
def test_a_lake_built_again_changes_no_alert_that_people_have_seen_to(machine: Customer, anew: str) -> None:
    two = pa.concat_tables([shaking(60, (10, 20), (40, 60), machine=name) for name in ("COMP-001", "COMP-002")])
    take_in(machine, two.slice(12), hours=1)
    take_in(machine, two.slice(0, 12), hours=2)  # an onset moves
    did(machine, **WHAT_PEOPLE_DID)
    before = alerts(machine)
    assert len(before) == 4
    if anew == "rebuild":
        machine.run(pipeline.rebuild)
    else:
        (machine.folder / "lake").rename(machine.folder / "lost lake")
        machine.run()
    assert alerts(machine) == before


def test_a_run_stopped_before_it_published_is_made_good_by_the_next(
    machine: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = shaking(60, (10, 20), (40, 60))
    take_in(machine, whole.slice(0, 45))

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no more memory")

    deliver(machine.landing, "more.parquet", whole.slice(45), at=LATER + HOUR)
    with monkeypatch.context() as broken:
        broken.setattr(batch.publish_alarms, "merge", fail)
        with pytest.raises(RuntimeError, match="no more memory"):
            machine.run()
    machine.run()

    first, second = alerts(machine)
    assert first["resolved"]
    assert not second["resolved"]
    assert second["latest_at"] == MONDAY + 590 * MINUTE


def test_a_message_says_when_it_became_critical_and_on_which_side() -> None:
    start = int(MONDAY.timestamp() * 1_000_000)
    low = Episode(
        machine=0,
        rule="suction_pressure_low",
        onset_at=start,
        raised_at=start,
        critical_at=start + 60 * MINUTE_US,
        latest_at=start,
        latest_value=25.04,
        peak_at=start + 90 * MINUTE_US,
        peak_value=12.5,
        cleared_at=start + int(timedelta(hours=5) / timedelta(microseconds=1)),
        group_at=start,
        suppressed_by=None,
    )
    assert message(low, thresholds()) == (
        "Suction pressure went below the warning limit of 30 PSI at 2026-01-05 00:00 UTC;"
        " critical, below 20, at 2026-01-05 01:00 UTC; lowest 12.5 at 2026-01-05 01:30 UTC;"
        " over at 2026-01-05 05:00 UTC."
    )
