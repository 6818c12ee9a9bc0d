from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from functions.access.keys import Scope
from shared_code.alarms import AlertType, Severity
from shared_code.database.engines import Database
from shared_code.database.tables.fleet import MaintenanceType
from shared_code.database.tables.organizations import Tier, UserRole
from tests.factories.fleet import (
    Customer,
    a_colleague,
    a_compressor,
    a_customer,
    a_key,
    a_maintenance_event,
    a_prediction,
    a_station,
    an_alert,
)
from tests.seams.api_client import ApiClient

SignIn = Callable[[Customer], ApiClient]
LIST, ONE, QUALITY = "/api/predictions", "/api/compressors/COMP-001/prediction", "/api/predictions/quality"
HOUR = timedelta(hours=1)
MACHINES = [f"COMP-{number:03}" for number in range(1, 6)]
FAILING = MACHINES[0]


@pytest.fixture
def customer(database: Database, now: datetime) -> Customer:
    """A customer with five machines: one fails, one was not judged in its newest hour, one was never heard."""
    customer = a_customer(database)
    a_station(database, customer)
    for machine in MACHINES:
        a_compressor(database, customer, machine)
    for machine in MACHINES[:4]:
        a_prediction(database, customer, machine, at=now - HOUR)
    a_prediction(database, customer, FAILING, at=now, health=8.0, rul_days=1.5, failure_probability=0.8)
    a_prediction(database, customer, MACHINES[1], at=now, health=None, confidence_score=None)
    return customer


def listed(client: ApiClient, **asked: str | int) -> list[dict[str, Any]]:
    answer = client.get(LIST, params=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


def test_anonymous_is_401_and_another_organization_sees_nothing(
    api: ApiClient, client: ApiClient, signed_in: SignIn, database: Database
) -> None:
    stranger = signed_in(a_customer(database))

    assert [api.get(path).status_code for path in (LIST, ONE, QUALITY)] == [401] * 3
    assert stranger.get(LIST).json() == {"items": [], "next": None}
    assert stranger.get(ONE).status_code == 404
    assert client.get(ONE).status_code == 200
    assert stranger.get(QUALITY).json()["machine_months"] == 0


@pytest.mark.parametrize("tier", [Tier.FREE, Tier.PRO])
@pytest.mark.parametrize("path", [LIST, ONE, QUALITY])
def test_a_plan_without_predictions_is_told_which_has_them(
    signed_in: SignIn, database: Database, tier: Tier, path: str
) -> None:
    answer = signed_in(a_customer(database, tier=tier)).get(path)

    assert answer.status_code == 403
    assert "does not include predictions; Enterprise does" in answer.json()["detail"]


def test_viewers_and_keys_read(
    api: ApiClient, signed_in: SignIn, database: Database, customer: Customer, now: datetime
) -> None:
    viewer = signed_in(a_colleague(database, customer, UserRole.VIEWER))
    key = api.with_token(a_key(database, customer, Scope.READ, now=now))

    for path in (LIST, ONE, QUALITY):
        assert [reader.get(path).status_code for reader in (viewer, key)] == [200, 200]


def test_the_newest_prediction_of_each_machine_that_has_one_is_listed(client: ApiClient) -> None:
    failing, silent, *quiet = listed(client)

    assert failing == {
        "compressor_id": FAILING,
        "prediction_timestamp": failing["prediction_timestamp"],
        "model_version": "residual-health-1",
        "alarm": True,
        "health": 8.0,
        "threshold": 4.0,
        "failure_probability": 0.8,
        "confidence": 0.75,
        "remaining_hours_at_least": 36.0,
    }
    assert (silent["alarm"], silent["health"], silent["failure_probability"]) == (False, None, None)
    assert [(item["compressor_id"], item["alarm"]) for item in quiet] == [(name, False) for name in MACHINES[2:4]]


def test_filters_and_fields(client: ApiClient) -> None:
    assert [item["compressor_id"] for item in listed(client, alarm="true")] == [FAILING]
    assert [item["compressor_id"] for item in listed(client, alarm="false")] == MACHINES[1:4]
    assert listed(client, alarm="true", fields="health") == [{"health": 8.0}]


def test_pages(client: ApiClient) -> None:
    first = client.get(LIST, params={"limit": 3}).json()
    second = client.get(LIST, params={"limit": 3, "cursor": first["next"]}).json()
    assert [item["compressor_id"] for item in first["items"] + second["items"]] == MACHINES[:4]
    assert second["next"] is None


def test_a_newer_model_overrules_an_older_one(
    client: ApiClient, database: Database, customer: Customer, now: datetime
) -> None:
    a_prediction(database, customer, FAILING, at=now, health=0.5, model_version="residual-health-2")
    assert [item["model_version"][-1] for item in listed(client)] == ["2", "1", "1", "1"]
    assert client.get(ONE).json()["health"] == 0.5


def test_one_machine_is_told_with_why(client: ApiClient) -> None:
    told = client.get(ONE).json()

    assert told["remaining_hours_at_least"] == 36.0
    assert [(channel["sensor"], channel["off"]) for channel in told["channels"]] == [
        ("vibration_mms", -1.2),
        ("discharge_temp_f", 0.1),
    ]
    assert told["channels"][0] | {"off": 0} == {
        "sensor": "vibration_mms",
        "off": 0,
        "actual": 3.1,
        "expected": 2.9,
        "spread_off": 0.4,
    }


def test_a_machine_that_is_not_there_and_one_never_heard_are_404(client: ApiClient) -> None:
    silent = client.get(f"/api/compressors/{MACHINES[4]}/prediction")
    assert (silent.status_code, silent.json()["detail"]) == (404, "nothing has been foretold of this machine yet")
    assert client.get("/api/compressors/NO-SUCH/prediction").json()["detail"] == "there is no such compressor"


def test_quality_counts_what_came_true(
    client: ApiClient, database: Database, customer: Customer, now: datetime
) -> None:
    failed_at = now - 20 * 24 * HOUR
    a_maintenance_event(database, customer, FAILING, at=failed_at, event_type=MaintenanceType.FAILURE)
    told: dict[str, Any] = {"alert_type": AlertType.PREDICTION}
    an_alert(database, customer, FAILING, Severity.WARNING, at=failed_at - 50 * HOUR, resolved=True, **told)
    an_alert(database, customer, MACHINES[2], Severity.WARNING, at=failed_at, resolved=True, **told)
    an_alert(database, customer, MACHINES[2], Severity.WARNING, at=failed_at, suppressed_by="most_open", **told)
    an_alert(database, customer, MACHINES[3], Severity.WARNING, at=failed_at)
    a_prediction(database, customer, FAILING, at=failed_at - 40 * HOUR, health=8.0, rul_days=1)
    a_prediction(database, customer, FAILING, at=failed_at - 30 * HOUR, health=8.0, rul_days=2)

    found = client.get(QUALITY).json()

    assert {name: found[name] for name in ("alarms", "alarms_that_came_true", "alarms_still_open", "false_alarms")} == {
        "alarms": 2,
        "alarms_that_came_true": 1,
        "alarms_still_open": 0,
        "false_alarms": 1,
    }
    assert (found["failures"], found["failures_foretold"], found["median_lead_hours"]) == (1, 1, 50)
    assert (found["bounds"], found["bounds_that_held"], found["bound_coverage"]) == (2, 1, 0.5)
    assert found["machine_months"] == pytest.approx(7 / 720)
    assert found["false_alarms_per_machine_month"] == pytest.approx(720 / 7)


@pytest.mark.parametrize(
    ("path", "asked", "field"),
    [
        (LIST, "alarm=perhaps", "alarm"),
        (LIST, "cursor=nonsense", "cursor"),
        (LIST, "fields=nonsense", "fields"),
        (QUALITY, "start=yesterday", "start"),
        (QUALITY, "start=2026-01-05T00:00:00Z&end=2026-01-05T00:00:00Z", "start"),
        (QUALITY, "start=2001-01-05T00:00:00Z&end=2001-02-05T00:00:00Z", "start"),
    ],
)
def test_what_makes_no_sense_is_422_and_named(client: ApiClient, path: str, asked: str, field: str) -> None:
    answer = client.get(f"{path}?{asked}")
    assert answer.status_code == 422
    assert field in answer.text
