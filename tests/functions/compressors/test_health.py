import random
from collections.abc import Callable
from datetime import datetime

import pytest

from functions.compressors.health import Health, assess, quantities, rules, worst
from shared_code.alarms import Severity
from shared_code.database.engines import Database
from tests.factories.fleet import NORMAL_VALUES, Customer, a_compressor, a_customer, a_station, a_window, an_alert
from tests.seams.api_client import ApiClient


def health(*, warning_alerts: int = 0, critical_alerts: int = 0, **values: float | None) -> Health:
    return assess(NORMAL_VALUES | values, warning_alerts=warning_alerts, critical_alerts=critical_alerts).health


def test_critical_beats_warning_though_its_text_does_not() -> None:
    assert max("critical", "warning") == "warning"
    assert worst({Health.WARNING, Health.CRITICAL, Health.HEALTHY, Health.UNKNOWN}) is Health.CRITICAL
    assert health(warning_alerts=1, critical_alerts=117) is Health.CRITICAL
    assert health(vibration_max=6.5, discharge_temp_max=261) is Health.CRITICAL


def test_a_machine_within_every_limit_is_healthy_for_no_reason() -> None:
    assessment = assess(NORMAL_VALUES, warning_alerts=0, critical_alerts=0)

    assert (assessment.health, assessment.reasons) == (Health.HEALTHY, ())


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("vibration_max", 6.0, Health.HEALTHY),
        ("vibration_max", 6.001, Health.WARNING),
        ("vibration_max", 8.0, Health.WARNING),
        ("vibration_max", 8.001, Health.CRITICAL),
        ("vibration_mean", 49.0, Health.HEALTHY),
        ("discharge_temp_max", 240.1, Health.WARNING),
        ("discharge_temp_max", 260.1, Health.CRITICAL),
        ("suction_pressure_min", 30.0, Health.HEALTHY),
        ("suction_pressure_min", 29.9, Health.WARNING),
        ("suction_pressure_min", 19.9, Health.CRITICAL),
        ("discharge_pressure_max", 1300.1, Health.WARNING),
        ("discharge_pressure_max", 1400.1, Health.CRITICAL),
        ("horsepower_mean", 1800.1, Health.WARNING),
        ("horsepower_mean", 9999.0, Health.WARNING),
        ("gas_flow_mean", 5999.9, Health.WARNING),
        ("pressure_delta_mean", 1250.1, Health.WARNING),
        ("discharge_temp_rate_of_change", 20.1, Health.WARNING),
        ("discharge_temp_rate_of_change", 40.1, Health.CRITICAL),
        ("discharge_temp_rate_of_change", -99.0, Health.HEALTHY),
        ("discharge_temp_rate_of_change", None, Health.HEALTHY),
        ("vibration_max", None, Health.UNKNOWN),
        ("gas_flow_mean", None, Health.UNKNOWN),
    ],
)
def test_each_limit_of_the_table_holds(column: str, value: float | None, expected: Health) -> None:
    assert assess(NORMAL_VALUES | {column: value}, warning_alerts=0, critical_alerts=0).health is expected


def test_a_machine_without_readings_is_unknown_unless_an_alert_says_worse() -> None:
    assert assess(None, warning_alerts=0, critical_alerts=0).health is Health.UNKNOWN
    assert assess(None, warning_alerts=1, critical_alerts=0).health is Health.WARNING


def test_reasons_are_in_words_the_worst_first() -> None:
    window = NORMAL_VALUES | {"vibration_max": 6.25, "suction_pressure_min": 12.0, "gas_flow_mean": None}

    assert assess(window, warning_alerts=1, critical_alerts=0).reasons == (
        "lowest suction pressure in the latest hour 12 PSI; critical below 20",
        "1 open warning alert",
        "highest vibration in the latest hour 6.25 mm/s RMS; warning above 6",
        "the latest hour has no usable value of gas_flow_mcf",
    )


def test_the_list_judges_in_sql_as_the_detail_does_in_python(
    signed_in: Callable[[Customer], ApiClient], database: Database, now: datetime
) -> None:
    drawn = random.Random(7)  # noqa: S311 - a fixed draw, no secret
    sides = (-1, 0, 1)
    limits = {
        quantity.column: [None, *(rule.limit + side for rule in rules() if rule.quantity is quantity for side in sides)]
        for quantity in quantities()
    }
    customer = a_customer(database)
    a_station(database, customer)
    for number in range(60):
        machine = a_compressor(database, customer, f"COMP-{number:03d}")
        odd = drawn.sample(sorted(limits), k=drawn.choice([0, 0, 1, 2]))
        a_window(database, customer, machine, end=now, values={column: drawn.choice(limits[column]) for column in odd})
        for severity in drawn.sample(list(Severity), k=drawn.choice([0, 0, 0, 1, 2])):
            an_alert(database, customer, machine, severity)
    client = signed_in(customer)

    listed = {
        item["compressor_id"]: item["health"] for item in client.get("/api/compressors?limit=200").json()["items"]
    }
    details = client.together([("GET", f"/api/compressors/{machine}") for machine in listed])

    assert listed == {detail.json()["compressor_id"]: detail.json()["health"] for detail in details}
    assert set(listed.values()) == set(Health)
