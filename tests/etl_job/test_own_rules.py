# What Arrow's stubs leave open.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportArgumentType=false
"""Organizations whose alarms are raised by rules of their own."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest
from sqlalchemy import delete, insert

from etl_job import pipeline
from etl_job.alarms import OF_EPISODES, Rules, judged_by_their_rules
from etl_job.arrays import INSTANT, arrow_schema
from etl_job.delta_tables import ALARMS, ALARMS_SCHEMA
from shared_code.database import transactions
from shared_code.database.tables import alert_history, alert_rule_settings
from shared_code.identifiers import OrganizationId
from shared_code.readings import DISTANCE
from shared_code.settings import EARLIEST
from shared_code.thresholds import RuleChanges, thresholds
from tests.etl_job.customer import Customer
from tests.factories.landing import HOUR, MINUTE, MONDAY, deliver, deliver_fleet, readings, with_value
from tests.factories.silver import Machine

LATER = MONDAY + 200 * HOUR


@pytest.fixture
def machine(customer: Customer) -> Customer:
    deliver_fleet(customer.landing, ["COMP-001"])
    return customer


def wants(customer: Customer, **changes: float | bool) -> None:
    """Say what the customer wants of one rule, in the place of what it said before."""
    own = alert_rule_settings.c.organization_id == customer.organization_id
    row = {"organization_id": customer.organization_id, "rule": "vibration_high", "updated_by": "an admin"}
    with transactions.owner(customer.database) as connection:
        connection.execute(delete(alert_rule_settings).where(own))
        connection.execute(insert(alert_rule_settings).values(row | {"updated_at": LATER} | changes))


def take_in(customer: Customer, first: int, stop: int) -> None:
    """Take in readings of these rows, whose vibration is 7.0 to 7.2 from row 10 on."""
    table = readings(count=stop)
    for row in range(10, stop):
        table = with_value(table, "vibration_mms", row, 7.0 + row % 3 * 0.1)
    deliver(customer.landing, f"{first}.parquet", table.slice(first), at=LATER + first * HOUR)
    customer.run()


def alerts(customer: Customer) -> list[dict[str, Any]]:
    return customer.in_sql(alert_history)


def rows_of(*machines: Machine) -> pa.Table:
    """Return readings as `judged` takes them, from the beginning on, with nothing known before."""
    table = pa.concat_tables([machine.table() for machine in machines])
    table = table.append_column("since", pa.array([EARLIEST] * len(table), INSTANT))
    table = table.append_column(DISTANCE, pa.nulls(len(table), pa.float64()))
    schema = arrow_schema(ALARMS_SCHEMA)
    for name in OF_EPISODES:
        table = table.append_column(name, pa.nulls(len(table), schema.field(name).type))
    return table


def raised(rows: pa.Table, wanted: Mapping[str, Mapping[str, RuleChanges]]) -> set[tuple[str, str, str]]:
    rules = Rules(thresholds(), wanted)
    found = pa.concat_tables(judged_by_their_rules(rows, rules, "a batch")).to_pylist()
    assert sum(row["rule"] is None for row in found) == len(
        {(row["organization_id"], row["compressor_id"]) for row in rows.to_pylist()}
    )
    return {(row["organization_id"], row["compressor_id"], row["rule"]) for row in found if row["rule"]}


def test_each_organizations_machines_are_judged_by_its_own_rules() -> None:
    one, two, three = (OrganizationId(UUID(int=number)) for number in (1, 2, 3))
    shaking = {"vibration_mms": [7.0] * 12}
    rows = rows_of(
        *(Machine(owner, name, MONDAY, 12, shaking) for name in ("COMP-001", "COMP-002") for owner in (three, one, two))
    )
    wanted = {
        str(one): {"vibration_high": RuleChanges(warning_limit=7.5)},
        str(two): {"vibration_high": RuleChanges(on_delay_minutes=30), "gas_flow_low": RuleChanges(warning_limit=11e3)},
    }

    found = raised(rows, wanted)

    machines = ("COMP-001", "COMP-002")
    assert found == {
        *((str(two), name, rule) for name in machines for rule in ("vibration_high", "gas_flow_low")),
        *((str(three), name, "vibration_high") for name in machines),
    }
    assert raised(rows, {}) == {
        (str(owner), name, "vibration_high") for owner in (one, two, three) for name in machines
    }


def test_of_no_readings_nothing_is_judged() -> None:
    empty = rows_of(Machine(OrganizationId(UUID(int=1)), "COMP-001", datetime(2026, 1, 5, tzinfo=UTC), 0))

    assert list(judged_by_their_rules(empty, Rules(thresholds(), {}), "a batch")) == []


def test_an_alert_tells_of_the_limit_that_raised_it(machine: Customer) -> None:
    wants(machine, warning_limit=6.5, latch=True)
    take_in(machine, 0, 20)

    (alert,) = alerts(machine)

    assert (alert["threshold_value"], alert["latched"]) == (6.5, True)
    assert "above the warning limit of 6.5 mm/s RMS" in alert["message"]


def test_a_change_judges_what_comes_from_the_next_run_on_and_a_rebuild_judges_all(machine: Customer) -> None:
    wants(machine, warning_limit=7.5)
    take_in(machine, 0, 20)
    assert alerts(machine) == []
    wants(machine, warning_limit=6.5)
    take_in(machine, 20, 30)
    (alert,) = alerts(machine)
    assert (alert["onset_at"], alert["alert_timestamp"]) == (MONDAY + 100 * MINUTE, MONDAY + 200 * MINUTE)

    machine.run(pipeline.rebuild)
    (rebuilt,) = alerts(machine)
    assert (rebuilt["alert_id"], rebuilt["alert_timestamp"]) == (alert["alert_id"], MONDAY + 120 * MINUTE)
    wants(machine, warning_limit=7.5)
    machine.run(pipeline.rebuild)
    (withdrawn,) = alerts(machine)
    assert withdrawn["withdrawn_at"] is not None


def test_a_rule_that_is_switched_off_raises_no_more_and_what_stands_of_it_is_over(machine: Customer) -> None:
    take_in(machine, 0, 20)
    wants(machine, enabled=False)
    take_in(machine, 20, 40)

    (alert,) = alerts(machine)

    assert (alert["cleared_at"], alert["resolved"]) == (MONDAY + 200 * MINUTE, True)
    assert alert["withdrawn_at"] is None
    take_in(machine, 40, 60)
    assert alerts(machine) == [alert]
    assert len(machine.table(ALARMS)) == 1


def test_wishes_that_make_no_rule_any_more_leave_it_as_it_is_for_everybody(machine: Customer) -> None:
    wants(machine, critical_limit=5)  # the warning limit for everybody has been lower
    take_in(machine, 0, 20)

    (alert,) = alerts(machine)

    assert (alert["severity"], alert["threshold_value"]) == ("warning", 6)
