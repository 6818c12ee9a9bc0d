"""Machines that people create, change and retire."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import update

from functions.compressors.schemas import NewCompressor
from shared_code.database import transactions
from shared_code.database.engines import Database
from shared_code.database.tables import organizations
from shared_code.database.tables.organizations import Tier
from shared_code.thresholds import thresholds
from tests.factories.fleet import Customer, a_compressor, a_customer, a_station, a_window
from tests.seams.api_client import ApiClient

SignIn = Callable[[Customer], ApiClient]

MACHINES = "/api/compressors"
NEW: dict[str, Any] = {
    "compressor_id": "COMP-011",
    "model": "Ariel JGK/4",
    "horsepower": 1480,
    "station_id": "STATION-A",
    "install_date": "2019-06-30",
}


@pytest.fixture
def customer(database: Database) -> Customer:
    customer = a_customer(database)
    a_station(database, customer)
    return customer


def limited(database: Database, customer: Customer, machines: int) -> None:
    with transactions.owner(database) as connection:
        mine = organizations.c.id == customer.organization_id
        connection.execute(update(organizations).where(mine).values(max_compressors=machines))


def listed(client: ApiClient, *, retired: bool = False) -> list[str]:
    page = client.get(MACHINES, params={"include_retired": str(retired).lower()}).json()
    return [machine["compressor_id"] for machine in page["items"]]


def test_a_machine_is_created_and_changed(client: ApiClient, database: Database, customer: Customer) -> None:
    made = client.post(MACHINES, json=NEW)

    assert made.status_code == 201
    whole = NEW | {
        "horsepower": 1480.0,
        "station_name": "Name of STATION-A",
        "latitude": None,
        "longitude": None,
        "health": "unknown",
        "open_alerts": 0,
        "newest_window_end": None,
        "retired_at": None,
        "over_plan_limit": False,
    }
    assert made.json() == whole
    assert client.get(MACHINES).json()["items"] == [whole]
    a_station(database, customer, "STATION-B")
    changes = {"station_id": "STATION-B", "horsepower": 1500.5, "install_date": None, "latitude": 31.9973}
    changed = client.request("PATCH", f"{MACHINES}/COMP-011", json=changes)
    assert changed.json() == whole | changes | {"station_name": "Name of STATION-B"}
    assert client.request("PATCH", f"{MACHINES}/COMP-011", json={}).json() == changed.json()


def test_the_audit_log_tells_what_a_machine_was_before(client: ApiClient) -> None:
    client.post(MACHINES, json=NEW)
    client.request("PATCH", f"{MACHINES}/COMP-011", json={"install_date": "2020-01-01", "model": NEW["model"]})

    entries = client.get("/api/organization/audit-log").json()["items"]
    (entry,) = [one for one in entries if one["action"] == "compressor.changed"]

    assert entry["target"] == "COMP-011"
    assert entry["details"] == {"install_date": {"before": "2019-06-30", "after": "2020-01-01"}}


def test_a_retired_machine_keeps_its_data_and_leaves_the_fleet(
    client: ApiClient, database: Database, customer: Customer, now: datetime
) -> None:
    client.post(MACHINES, json=NEW)
    a_window(database, customer, "COMP-011", end=now)

    assert [client.request("DELETE", f"{MACHINES}/COMP-011").status_code for _ in range(2)] == [204, 204]

    assert listed(client) == []
    assert listed(client, retired=True) == ["COMP-011"]
    assert client.get("/api/fleet").json()["compressors"] == 0
    assert client.get(f"{MACHINES}/COMP-011").json()["retired_at"] == "2026-01-12T00:00:00Z"
    assert len(client.get(f"{MACHINES}/COMP-011/readings").json()["items"]) == 1
    assert client.post(MACHINES, json=NEW).status_code == 409
    back = client.request("PATCH", f"{MACHINES}/COMP-011", json={"retired": False})
    assert (back.status_code, back.json()["retired_at"], listed(client)) == (200, None, ["COMP-011"])


def test_a_machine_without_a_past_is_deleted(client: ApiClient) -> None:
    client.post(MACHINES, json=NEW)

    assert [client.request("DELETE", f"{MACHINES}/COMP-011").status_code for _ in range(2)] == [204, 404]
    assert listed(client, retired=True) == []
    assert client.post(MACHINES, json=NEW).status_code == 201


def test_a_machine_of_a_metadata_file_is_retired_because_the_file_would_bring_it_back(
    client: ApiClient, database: Database, customer: Customer
) -> None:
    a_compressor(database, customer)

    assert client.request("DELETE", f"{MACHINES}/COMP-001").status_code == 204
    assert listed(client, retired=True) == ["COMP-001"]


def test_the_plan_limits_machines_in_use(client: ApiClient, database: Database, customer: Customer) -> None:
    limited(database, customer, 2)
    answers = [client.post(MACHINES, json=NEW | {"compressor_id": f"COMP-{number}"}) for number in range(3)]

    assert [answer.status_code for answer in answers] == [201, 201, 403]
    assert answers[2].json()["detail"].startswith("the Enterprise plan has 2 machines, and all are taken")
    a_window(database, customer, "COMP-0", end=datetime.fromisoformat("2026-01-12T00:00:00Z"))
    client.request("DELETE", f"{MACHINES}/COMP-0")
    assert client.post(MACHINES, json=NEW).status_code == 201
    assert client.request("PATCH", f"{MACHINES}/COMP-0", json={"retired": False}).status_code == 403
    assert client.request("PATCH", f"{MACHINES}/COMP-0", json={"model": "Ajax DPC-360"}).status_code == 200


def test_the_limit_is_named_with_the_plans_that_have_more(signed_in: SignIn, database: Database) -> None:
    customer = a_customer(database, tier=Tier.FREE)
    a_station(database, customer)
    limited(database, customer, 2)
    for number in range(2):
        a_compressor(database, customer, f"COMP-{number}")

    detail = signed_in(customer).post(MACHINES, json=NEW).json()["detail"]

    assert detail == "the Free plan has 2 machines, and all are taken; Pro and Enterprise have more"


def test_machines_created_at_once_stay_within_the_limit(
    client: ApiClient, database: Database, customer: Customer
) -> None:
    limited(database, customer, 3)
    bodies = [NEW | {"compressor_id": f"COMP-{number}"} for number in range(12)]

    answers = client.each_at_once([("POST", MACHINES, client.headers, body) for body in bodies])

    assert sorted(answer.status_code for answer in answers) == [201] * 3 + [403] * 9
    assert len(listed(client)) == 3


def test_one_machine_created_at_once_is_there_once(client: ApiClient) -> None:
    answers = client.together([("POST", MACHINES)] * 8, json=NEW)

    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7


def test_a_station_is_not_retired_while_a_machine_comes_to_it(
    client: ApiClient, database: Database, customer: Customer
) -> None:
    for number in range(5):
        a_station(database, customer, f"S{number}")
        machine = NEW | {"compressor_id": f"COMP-{number}", "station_id": f"S{number}"}
        answers = client.each_at_once(
            [
                ("POST", MACHINES, client.headers, machine),
                ("DELETE", f"/api/stations/S{number}", client.headers, None),
            ]
        )
        assert [answer.status_code for answer in answers] in ([201, 409], [422, 204])


@pytest.mark.parametrize(("method", "body"), [("PATCH", {"model": "x"}), ("DELETE", None)])
def test_another_organizations_machine_is_like_a_missing_one(
    api: ApiClient, signed_in: SignIn, database: Database, customer: Customer, method: str, body: object
) -> None:
    a_compressor(database, customer, "FOREIGN")
    stranger = signed_in(a_customer(database))

    foreign, missing = (stranger.request(method, f"{MACHINES}/{name}", json=body) for name in ("FOREIGN", "MISSING"))

    assert foreign.status_code == missing.status_code == 404
    assert foreign.json() | {"requestId": ""} == missing.json() | {"requestId": ""}
    assert api.request(method, f"{MACHINES}/FOREIGN", json=body).status_code == 401
    assert signed_in(customer).get(f"{MACHINES}/FOREIGN").json()["model"] == "Ajax DPC-360"


@pytest.mark.usefixtures("customer")
def test_another_organizations_station_is_like_a_missing_one(signed_in: SignIn, database: Database) -> None:
    stranger = a_customer(database)
    a_station(database, stranger, "OWN")
    client = signed_in(stranger)
    client.post(MACHINES, json=NEW | {"station_id": "OWN"})

    for foreign, missing in (
        [client.post(MACHINES, json=NEW | {"compressor_id": "X", "station_id": name}) for name in ("STATION-A", "NO")],
        [client.request("PATCH", f"{MACHINES}/COMP-011", json={"station_id": name}) for name in ("STATION-A", "NO")],
    ):
        assert foreign.status_code == missing.status_code == 422
        assert foreign.json() | {"requestId": ""} == missing.json() | {"requestId": ""}


def test_a_retired_station_takes_no_machine(client: ApiClient) -> None:
    client.post(MACHINES, json=NEW)
    assert client.request("DELETE", "/api/stations/STATION-A").status_code == 409
    client.request("DELETE", f"{MACHINES}/COMP-011")
    assert client.request("DELETE", "/api/stations/STATION-A").status_code == 204

    refused = client.post(MACHINES, json=NEW)

    assert refused.status_code == 422
    assert refused.json()["errors"] == [{"field": "station_id", "message": "this station is retired"}]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("compressor_id", value) for value in ("", "a/b", ".", "x" * 51, 7, None)),
        *(("model", value) for value in ("", "x" * 101, "a\x00b", None)),
        *(("horsepower", value) for value in (0, -1, 10_001, "1480", True, None)),
        *(("install_date", value) for value in ("1899-12-31", "2026-01-13", "2019-02-30", "yesterday", 0, 1.5e9)),
        *(("station_id", value) for value in ("", "NO-SUCH", None)),
        ("latitude", 91),
        ("longitude", -181),
    ],
    ids=str,
)
def test_a_wrong_machine_is_422_and_names_the_field(client: ApiClient, field: str, value: object) -> None:
    calls = [client.post(MACHINES, json=NEW | {field: value})]
    if field != "compressor_id":
        client.post(MACHINES, json=NEW)
        calls.append(client.request("PATCH", f"{MACHINES}/COMP-011", json={field: value}))

    for answer in calls:
        assert answer.status_code == 422
        assert [error["field"] for error in answer.json()["errors"]] == [field]


@pytest.mark.parametrize("field", ["organization_id", "retired_at", "edited_at", "in_files", "health"])
def test_mass_assignment_of_a_machine_is_refused(client: ApiClient, field: str) -> None:
    answers = [
        client.post(MACHINES, json=NEW | {field: None}),
        client.request("PATCH", f"{MACHINES}/COMP-011", json={field: None}),
    ]

    assert [answer.status_code for answer in answers] == [422, 422]
    assert {error["field"] for answer in answers for error in answer.json()["errors"]} == {field}


def test_the_most_horsepower_is_what_a_power_reading_may_be() -> None:
    limit = NewCompressor.model_json_schema()["properties"]["horsepower"]["maximum"]

    assert limit == thresholds().sensors["horsepower_consumption"].plausible[1]
