from collections.abc import Callable
from typing import Any

import pytest

from shared_code.database.engines import Database
from tests.factories.fleet import Customer, a_compressor, a_customer, a_station
from tests.seams.api_client import ApiClient

SignIn = Callable[[Customer], ApiClient]


def test_anonymous_is_401_and_another_organization_sees_nothing(
    api: ApiClient, signed_in: SignIn, database: Database
) -> None:
    a_station(database, a_customer(database))

    assert api.get("/api/stations").status_code == 401
    assert signed_in(a_customer(database)).get("/api/stations").json() == {"items": [], "next": None}


def test_stations_are_listed_in_pages(signed_in: SignIn, database: Database) -> None:
    customer = a_customer(database)
    for station in ("STATION-B", "STATION-A"):
        a_station(database, customer, station)
    client = signed_in(customer)

    first = client.get("/api/stations", params={"limit": 1}).json()
    second = client.get("/api/stations", params={"limit": 1, "cursor": first["next"]}).json()

    assert first["items"] == [
        {
            "station_id": "STATION-A",
            "station_name": "Name of STATION-A",
            "latitude": 28.9144,
            "longitude": -98.5242,
            "elevation_ft": 450.0,
            "region": "Eagle Ford",
            "city": "Karnes City",
            "state": "TX",
            "timezone": "America/Chicago",
            "retired_at": None,
        }
    ]
    assert ([item["station_id"] for item in second["items"]], second["next"]) == (["STATION-B"], None)


STATIONS = "/api/stations"
KARNES: dict[str, Any] = {
    "station_id": "STATION-E",
    "station_name": "Eagle Ford Station E",
    "latitude": 28.9144,
    "longitude": -98.5242,
    "timezone": "America/Chicago",
}


def test_a_station_is_created_changed_retired_and_brought_back(signed_in: SignIn, database: Database) -> None:
    customer = a_customer(database)
    client = signed_in(customer)

    made = client.post(STATIONS, json=KARNES | {"elevation_ft": 450})
    assert made.status_code == 201
    whole = KARNES | {"elevation_ft": 450.0, "region": None, "city": None, "state": None, "retired_at": None}
    assert made.json() == whole
    changed = client.request("PATCH", f"{STATIONS}/STATION-E", json={"city": " Kenedy ", "elevation_ft": None})
    assert changed.json() == whole | {"city": "Kenedy", "elevation_ft": None}
    assert client.request("PATCH", f"{STATIONS}/STATION-E", json={}).json() == changed.json()

    a_compressor(database, customer, station_id="STATION-E")
    client.request("DELETE", "/api/compressors/COMP-001")
    assert [client.request("DELETE", f"{STATIONS}/STATION-E").status_code for _ in range(2)] == [204, 204]
    assert client.get(STATIONS).json()["items"] == []
    (retired,) = client.get(STATIONS, params={"include_retired": "true"}).json()["items"]
    assert retired == changed.json() | {"retired_at": "2026-01-12T00:00:00Z"}
    back = client.request("PATCH", f"{STATIONS}/STATION-E", json={"retired": False})
    assert back.json() == changed.json()
    assert client.get(STATIONS).json()["items"] == [changed.json()]


def test_a_station_without_a_past_is_deleted(signed_in: SignIn, database: Database) -> None:
    client = signed_in(a_customer(database))
    client.post(STATIONS, json=KARNES)

    assert [client.request("DELETE", f"{STATIONS}/STATION-E").status_code for _ in range(2)] == [204, 404]
    assert client.post(STATIONS, json=KARNES).status_code == 201


def test_a_station_of_a_metadata_file_is_retired_because_the_file_would_bring_it_back(
    signed_in: SignIn, database: Database
) -> None:
    customer = a_customer(database)
    client = signed_in(customer)
    a_station(database, customer)

    assert client.request("DELETE", f"{STATIONS}/STATION-A").status_code == 204
    assert len(client.get(STATIONS, params={"include_retired": "true"}).json()["items"]) == 1


def test_a_station_with_machines_in_use_is_not_retired(signed_in: SignIn, database: Database) -> None:
    customer = a_customer(database)
    client = signed_in(customer)
    a_station(database, customer)
    a_compressor(database, customer)

    refused = client.request("DELETE", f"{STATIONS}/STATION-A")

    assert refused.status_code == 409
    assert refused.json()["detail"].startswith("1 machines in use")


def test_a_taken_station_id_is_409_in_the_organization_alone(signed_in: SignIn, database: Database) -> None:
    ours, theirs = signed_in(a_customer(database)), signed_in(a_customer(database))

    assert [client.post(STATIONS, json=KARNES).status_code for client in (ours, ours, theirs)] == [201, 409, 201]


@pytest.mark.parametrize(("method", "body"), [("PATCH", {"city": "Kenedy"}), ("DELETE", None)])
def test_another_organizations_station_is_like_a_missing_one(
    api: ApiClient, signed_in: SignIn, database: Database, method: str, body: object
) -> None:
    customer = a_customer(database)
    a_station(database, customer, "FOREIGN")
    stranger = signed_in(a_customer(database))

    foreign, missing = (stranger.request(method, f"{STATIONS}/{name}", json=body) for name in ("FOREIGN", "MISSING"))

    assert foreign.status_code == missing.status_code == 404
    assert foreign.json() | {"requestId": ""} == missing.json() | {"requestId": ""}
    assert api.request(method, f"{STATIONS}/FOREIGN", json=body).status_code == 401
    assert signed_in(customer).get(STATIONS).json()["items"][0]["city"] == "Karnes City"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("station_id", value) for value in ("", "-A", ".", "a/b", "a b", "a%b", "ü", "x" * 51, 7, None)),
        *(("station_name", value) for value in ("", " ", "a\nb", "x" * 201, None)),
        *(("latitude", value) for value in (90.1, -90.1, "28.9", True, None)),
        *(("longitude", value) for value in (180.1, -180.1, "x")),
        *(("timezone", value) for value in ("", "CST6", "America", "Mars/Base", "../UTC", "localtime", "\x00", None)),
        *(("elevation_ft", value) for value in (1e9, "450")),
        ("city", "x" * 101),
    ],
    ids=str,
)
def test_a_wrong_station_is_422_and_names_the_field(
    signed_in: SignIn, database: Database, field: str, value: object
) -> None:
    client = signed_in(a_customer(database))
    calls = [client.post(STATIONS, json=KARNES | {field: value})]
    if field != "station_id":
        assert client.post(STATIONS, json=KARNES).status_code == 201
        calls.append(client.request("PATCH", f"{STATIONS}/STATION-E", json={field: value}))

    for answer in calls:
        assert answer.status_code == 422
        assert [error["field"] for error in answer.json()["errors"]] == [field]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_a_place_is_a_number(signed_in: SignIn, database: Database, number: str) -> None:
    body = f'{{"latitude": {number}, "elevation_ft": {number}}}'
    headers = {"Content-Type": "application/json"}
    client = signed_in(a_customer(database))

    answer = client.request("PATCH", f"{STATIONS}/STATION-E", content=body.encode(), headers=headers)

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["latitude", "elevation_ft"]


@pytest.mark.parametrize("field", ["organization_id", "retired_at", "edited_at", "in_files", "id"])
def test_mass_assignment_of_a_station_is_refused(signed_in: SignIn, database: Database, field: str) -> None:
    client = signed_in(a_customer(database))

    answers = [
        client.post(STATIONS, json=KARNES | {field: None}),
        client.request("PATCH", f"{STATIONS}/STATION-E", json={field: None}),
    ]

    assert [answer.status_code for answer in answers] == [422, 422]
    assert {error["field"] for answer in answers for error in answer.json()["errors"]} == {field}
