from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import delete, update
from sqlalchemy.exc import ProgrammingError

from functions.access.keys import Scope
from shared_code.database import transactions
from shared_code.database.engines import Database
from shared_code.database.tables import maintenance_events
from shared_code.database.tables.organizations import UserRole
from tests.factories.fleet import (
    Customer,
    a_colleague,
    a_customer,
    a_key,
    a_maintenance_event,
)
from tests.seams.api_client import ApiClient

SignIn = Callable[[Customer], ApiClient]
LOG = "/api/maintenance"
DONE: dict[str, Any] = {
    "compressor_id": "COMP-001",
    "event_date": "2026-01-11T14:30:00Z",
    "event_type": "unscheduled",
    "description": "Replaced the bearing of throw 2.\nOil changed.",
    "downtime_hours": 6.5,
    "severity": "high",
    "cost_usd": 4200.35,
}


def listed(client: ApiClient, **asked: str | int) -> list[UUID]:
    answer = client.get(LOG, params=asked)
    assert answer.status_code == 200, answer.text
    return [UUID(item["event_id"]) for item in answer.json()["items"]]


def test_anonymous_is_401_and_another_organization_sees_nothing(
    api: ApiClient, client: ApiClient, signed_in: SignIn, database: Database
) -> None:
    client.post(LOG, json=DONE)

    assert [api.get(LOG).status_code, api.post(LOG, json=DONE).status_code] == [401, 401]
    assert signed_in(a_customer(database)).get(LOG).json() == {"items": [], "next": None}


def test_what_was_done_is_recorded_and_listed(client: ApiClient, customer: Customer) -> None:
    recorded = client.post(LOG, json=DONE)

    assert recorded.status_code == 201
    said = {"recorded_by": customer.member.email, "recorded_at": "2026-01-12T00:00:00Z"}
    assert recorded.json() == DONE | said | {"event_id": recorded.json()["event_id"]}
    assert client.get(LOG).json() == {"items": [recorded.json()], "next": None}
    (entry,) = client.get("/api/organization/audit-log").json()["items"]
    assert (entry["action"], entry["target"]) == ("maintenance.recorded", recorded.json()["event_id"])
    assert entry["details"] == {"compressor_id": "COMP-001", "event_type": "unscheduled"}


def test_the_cost_may_be_unknown_and_a_time_in_any_zone(client: ApiClient) -> None:
    less = {name: value for name, value in DONE.items() if name != "cost_usd"}

    recorded = client.post(LOG, json=less | {"event_date": "2026-01-11T08:30:00-06:00"}).json()

    assert (recorded["cost_usd"], recorded["event_date"]) == (None, "2026-01-11T14:30:00Z")


@pytest.mark.parametrize(("role", "status"), [(UserRole.VIEWER, 403), (UserRole.OPERATOR, 201), (UserRole.ADMIN, 201)])
def test_viewers_and_keys_read_and_operators_write(
    api: ApiClient,
    signed_in: SignIn,
    database: Database,
    customer: Customer,
    now: datetime,
    role: UserRole,
    status: int,
) -> None:
    person = signed_in(a_colleague(database, customer, role))
    key = api.with_token(a_key(database, customer, Scope.READ, now=now))

    assert [each.get(LOG).status_code for each in (person, key)] == [200, 200]
    assert key.post(LOG, json=DONE).status_code == 403
    assert person.post(LOG, json=DONE).status_code == status


def test_filters_and_what_came_in_files(
    client: ApiClient, database: Database, customer: Customer, now: datetime
) -> None:
    hours = [now - timedelta(hours=hour) for hour in range(1, 4)]
    first = a_maintenance_event(database, customer, "COMP-001", at=hours[0])
    second = UUID(client.post(LOG, json=DONE | {"event_date": hours[1].isoformat()}).json()["event_id"])
    third = a_maintenance_event(database, customer, "COMP-002", at=hours[2])

    assert listed(client) == [first, second, third]
    assert listed(client, compressor_id="COMP-001") == [first, second]
    assert listed(client, start=hours[1].isoformat()) == [first, second]
    assert listed(client, end=hours[1].isoformat()) == [third]
    assert listed(client, start=hours[2].isoformat(), end=hours[0].isoformat()) == [second, third]
    assert listed(client, compressor_id="NO-SUCH") == []
    fields = {"fields": "cost_usd,recorded_by", "limit": 1}
    assert client.get(LOG, params=fields).json()["items"] == [{"cost_usd": 12.5, "recorded_by": None}]


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_pages_across_entries_of_one_instant(
    client: ApiClient, database: Database, customer: Customer, now: datetime, limit: int
) -> None:
    older = a_maintenance_event(database, customer, "COMP-001", at=now - timedelta(hours=1))
    ids = [UUID(int=number, version=4) for number in (4, 2, 5, 1, 3)]
    for event in ids:
        a_maintenance_event(database, customer, "COMP-001", at=now, event_id=event)
    seen: list[UUID] = []
    asked: dict[str, str | int] = {"limit": limit}
    while True:
        page = client.get(LOG, params=asked).json()
        seen += [UUID(item["event_id"]) for item in page["items"]]
        if page["next"] is None:
            break
        asked["cursor"] = page["next"]

    assert seen == [*sorted(ids, reverse=True), older]


def test_another_organizations_machine_is_like_a_missing_one(
    client: ApiClient, signed_in: SignIn, database: Database
) -> None:
    stranger = signed_in(a_customer(database))

    foreign, missing = (stranger.post(LOG, json=DONE | {"compressor_id": name}) for name in ("COMP-001", "NO-SUCH"))

    assert foreign.status_code == missing.status_code == 422
    assert foreign.json() | {"requestId": ""} == missing.json() | {"requestId": ""}
    assert missing.json()["errors"] == [{"field": "compressor_id", "message": "there is no such compressor"}]
    assert listed(client) == []


def test_work_on_a_retired_machine_can_be_recorded(client: ApiClient) -> None:
    client.post(LOG, json=DONE)
    client.request("DELETE", "/api/compressors/COMP-001")

    assert client.post(LOG, json=DONE).status_code == 201


def test_the_future_is_refused_but_for_a_clock_that_is_a_little_ahead(client: ApiClient) -> None:
    ahead = [client.post(LOG, json=DONE | {"event_date": f"2026-01-12T00:{minute}:00Z"}) for minute in (15, 16)]

    assert [answer.status_code for answer in ahead] == [201, 422]
    assert ahead[1].json()["errors"] == [
        {"field": "event_date", "message": "must not lie ahead of now, which is 2026-01-12T00:00:00Z"}
    ]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("compressor_id", value) for value in ("", "a\nb", "x" * 51, 7, None)),
        *(
            ("event_date", value)
            for value in (
                "yesterday",
                "2026-01-11T14:30:00",
                1768000000,
                "1899-12-31T23:59:59Z",
                "0001-01-01T00:00:00+14:00",
                "9999-12-31T23:59:59-14:00",
            )
        ),
        *(("event_type", value) for value in ("repair", "", None)),
        *(("description", value) for value in ("", " ", "\x00", "x" * 2001, None)),
        *(("downtime_hours", value) for value in (-1, 87_601, "6.5", True, None)),
        *(("severity", value) for value in ("grave", None)),
        *(("cost_usd", value) for value in (-0.01, 0.001, 1e10, "12", True)),
        *((name, None) for name in ("event_id", "organization_id", "recorded_by", "recorded_at")),
    ],
    ids=str,
)
def test_a_wrong_entry_is_422_and_names_the_field(client: ApiClient, field: str, value: object) -> None:
    answer = client.post(LOG, json=DONE | {field: value})

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert listed(client) == []


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ("start=2026-01-05T00:00:00Z&end=2026-01-05T00:00:00Z", "start"),
        ("end=tomorrow", "end"),
        ("compressor_id=", "compressor_id"),
        ("cursor=nonsense", "cursor"),
    ],
)
def test_a_wrong_question_is_422_and_names_the_field(client: ApiClient, asked: str, field: str) -> None:
    answer = client.get(f"{LOG}?{asked}")

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_an_answer_is_good_until_somebody_or_a_file_adds_to_it(
    client: ApiClient, database: Database, customer: Customer, now: datetime
) -> None:
    def held() -> dict[str, str]:
        return client.headers | {"If-None-Match": client.get(LOG).headers["ETag"]}

    before = held()
    assert client.get(LOG, headers=before).status_code == 304
    client.post(LOG, json=DONE)
    assert client.get(LOG, headers=before).status_code == 200
    before = held()
    a_maintenance_event(database, customer, "COMP-001", at=now)
    assert client.get(LOG, headers=before).status_code == 200


def test_a_file_never_touches_what_people_recorded(
    client: ApiClient, database: Database, customer: Customer, now: datetime
) -> None:
    recorded = client.post(LOG, json=DONE).json()
    mine = maintenance_events.c.organization_id == customer.organization_id

    a_maintenance_event(database, customer, "COMP-002", at=now, event_id=UUID(recorded["event_id"]))

    assert client.get(LOG).json()["items"] == [recorded]
    for statement in (
        update(maintenance_events).where(mine).values(description="the job's"),
        delete(maintenance_events).where(mine),
    ):
        with pytest.raises(ProgrammingError, match="permission denied"), transactions.job(database) as connection:
            connection.execute(statement)
