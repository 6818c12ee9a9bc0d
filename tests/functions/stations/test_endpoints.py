from collections.abc import Callable

from shared_code.database.engines import Database
from tests.factories.fleet import Customer, a_customer, a_station
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
        }
    ]
    assert ([item["station_id"] for item in second["items"]], second["next"]) == (["STATION-B"], None)
