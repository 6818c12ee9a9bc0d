from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from functions.access.keys import Scope
from shared_code.database.engines import Database
from shared_code.database.tables.organizations import UserRole
from shared_code.database.tables.readings import QualityMetric
from tests.factories.fleet import Customer, a_colleague, a_customer, a_key, a_metric
from tests.seams.api_client import ApiClient

SignIn = Callable[[Customer], ApiClient]
QUALITY = "/api/data-quality"
DAYS = [datetime(2026, 1, day, tzinfo=UTC) for day in (10, 9, 8)]
MACHINES = ("COMP-001", "COMP-002")
FAILED = ("COMP-002", QualityMetric.ACCURACY, DAYS[1])


@pytest.fixture(scope="module")
def customer(database: Database) -> Customer:
    """A customer with three days of two machines, of which one machine's accuracy failed on one day."""
    customer = a_customer(database)
    for day in DAYS:
        for machine in MACHINES:
            for metric in QualityMetric:
                passed = (machine, metric, day) != FAILED
                value = 0.99 if passed else 0.5
                a_metric(database, customer, machine, metric, day_end=day, value=value, passed=passed)
    return customer


def listed(client: ApiClient, **asked: str | int) -> list[dict[str, Any]]:
    answer = client.get(QUALITY, params=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


def test_anonymous_is_401_and_another_organization_sees_nothing(
    api: ApiClient, client: ApiClient, signed_in: SignIn, database: Database
) -> None:
    stranger = signed_in(a_customer(database))

    assert api.get(QUALITY).status_code == 401
    assert len(listed(client)) == 24
    assert stranger.get(QUALITY).json() == {"items": [], "next": None}
    assert stranger.get(QUALITY, params={"compressor_id": "COMP-001"}).json() == {"items": [], "next": None}


def test_viewers_and_keys_read(
    api: ApiClient, signed_in: SignIn, database: Database, customer: Customer, now: datetime
) -> None:
    readers = [
        signed_in(a_colleague(database, customer, UserRole.VIEWER)),
        api.with_token(a_key(database, customer, Scope.READ, now=now)),
    ]

    assert [len(listed(reader)) for reader in readers] == [24, 24]
    assert api.with_token(a_key(database, customer, Scope.INGEST, now=now)).get(QUALITY).status_code == 403


def test_a_metric_says_its_value_and_what_it_had_to_reach(client: ApiClient) -> None:
    assert listed(client, failed="true") == [
        {
            "compressor_id": "COMP-002",
            "metric_type": "accuracy",
            "metric_timestamp": "2026-01-09T00:00:00Z",
            "metric_value": 0.5,
            "pass_threshold": 0.98,
            "passed": False,
            "details": {"readings": 144},
        }
    ]


def test_filters(client: ApiClient) -> None:
    assert len(listed(client)) == 24
    assert {item["metric_timestamp"][:10] for item in listed(client)[:8]} == {"2026-01-10"}
    assert {item["compressor_id"] for item in listed(client, compressor_id="COMP-001")} == {"COMP-001"}
    assert len(listed(client, compressor_id="COMP-001", metric_type="freshness")) == 3
    one_day = {"start": "2026-01-08T00:00:00Z", "end": "2026-01-09T00:00:00Z"}
    assert {item["metric_timestamp"] for item in listed(client, **one_day)} == {"2026-01-09T00:00:00Z"}
    assert len(listed(client, **one_day)) == 8
    assert listed(client, failed="true", metric_type="freshness") == []
    assert listed(client, compressor_id="NO-SUCH") == []
    assert listed(client, failed="true", fields="passed") == [{"passed": False}]


@pytest.mark.parametrize("limit", [1, 3, 7, 24])
@pytest.mark.parametrize("asked", [{}, {"compressor_id": "COMP-001"}, {"metric_type": "accuracy"}], ids=str)
def test_pages_across_metrics_of_one_day(client: ApiClient, asked: dict[str, str], limit: int) -> None:
    whole = listed(client, **asked)
    seen: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = client.get(QUALITY, params={**asked, **cursor, "limit": limit}).json()
        seen += page["items"]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}

    assert seen == whole
    keys = [(item["metric_timestamp"], item["compressor_id"], item["metric_type"]) for item in seen]
    assert keys == sorted(set(keys), reverse=True)


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ("metric_type=beauty", "metric_type"),
        ("compressor_id=", "compressor_id"),
        ("failed=perhaps", "failed"),
        ("start=yesterday", "start"),
        ("end=2026-01-05T00:00:00", "end"),
        ("start=2026-01-05T00:00:00Z&end=2026-01-05T00:00:00Z", "start"),
        ("limit=201", "limit"),
        ("cursor=nonsense", "cursor"),
        ("fields=nonsense", "fields"),
    ],
)
def test_a_wrong_question_is_422_and_names_the_field(client: ApiClient, asked: str, field: str) -> None:
    answer = client.get(f"{QUALITY}?{asked}")

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_an_answer_is_good_until_the_job_publishes(
    client: ApiClient, database: Database, customer: Customer, now: datetime
) -> None:
    held = client.headers | {"If-None-Match": client.get(QUALITY).headers["ETag"]}

    assert client.get(QUALITY, headers=held).status_code == 304
    a_metric(database, customer, "COMP-001", QualityMetric.ACCURACY, day_end=now + timedelta(days=1))
    assert client.get(QUALITY, headers=held).status_code == 200
