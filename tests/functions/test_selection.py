"""Sparse fields and units, over every operation that offers them."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from functions.compressors.schemas import Compressor, CompressorDetail
from functions.readings.schemas import Window
from functions.stations.schemas import Station
from shared_code.database.engines import Database
from tests.factories.fleet import Customer, a_compressor, a_customer, a_station, a_window
from tests.seams.api_client import ApiClient
from tests.seams.operations import described

SignIn = Callable[[Customer], ApiClient]

SHAPES: dict[str, tuple[str, type[Any]]] = {
    "list_stations": ("/api/stations", Station),
    "list_compressors": ("/api/compressors", Compressor),
    "get_compressor": ("/api/compressors/COMP-001", CompressorDetail),
    "list_readings": ("/api/compressors/COMP-001/readings", Window),
}
by_shape = pytest.mark.parametrize("name", SHAPES)


@pytest.fixture
def client(signed_in: SignIn, database: Database, now: datetime) -> ApiClient:
    customer = a_customer(database)
    a_station(database, customer)
    a_compressor(database, customer)
    a_window(database, customer, "COMP-001", end=now, values={"vibration_max": 6.5, "discharge_pressure_max": 1305.0})
    return signed_in(customer)


def item(answer: dict[str, Any]) -> dict[str, Any]:
    return answer["items"][0] if "items" in answer else answer


@by_shape
def test_an_item_has_the_fields_that_are_asked_for_and_no_others(client: ApiClient, name: str) -> None:
    path, shape = SHAPES[name]
    full = item(client.get(path).json())
    assert list(full) == list(shape.model_fields)
    for field in shape.model_fields:
        assert item(client.get(path, params={"fields": field}).json()) == {field: full[field]}
    few = list(shape.model_fields)[2::-1]
    answer = client.get(path, params={"fields": ",".join([*few, few[0]])})
    assert item(answer.json()) == {field: full[field] for field in few}


@by_shape
@pytest.mark.parametrize("fields", ["no_such_evil", "", ",", "organization_id", "model_fields", "a" * 1001])
def test_an_unknown_field_is_told_which_there_are(client: ApiClient, name: str, fields: str) -> None:
    path, shape = SHAPES[name]
    answer = client.get(path, params={"fields": fields})

    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["field"] == "fields"
    assert len(fields) > 1000 or all(field in error["message"] for field in shape.model_fields)
    assert "evil" not in answer.text


def test_both_are_described(client: ApiClient) -> None:
    parameters = {
        operation["operationId"]: {parameter["name"]: parameter for parameter in operation.get("parameters", [])}
        for _, _, operation in described(client)
    }
    for name, (_, shape) in {**SHAPES, "export_readings": ("", Window)}.items():
        description = parameters[name]["fields"]["description"]
        assert all(field in description for field in shape.model_fields)
    schemas = client.get("/api/openapi.json").json()["components"]["schemas"]
    for shape in ("Compressor", "CompressorDetail", "Station", "Window"):
        assert "required" not in schemas[shape]


def test_a_page_goes_on_whichever_fields_it_shows(client: ApiClient, database: Database) -> None:
    assert client.get("/api/compressors", params={"fields": "model", "limit": 1}).json() == {
        "items": [{"model": "Ajax DPC-360"}],
        "next": None,
    }
    path = "/api/compressors/COMP-001/readings"
    assert client.get(path, params={"fields": "reading_count"}).json()["items"] == [{"reading_count": 6}]
    assert isinstance(database, Database)


def test_readings_say_their_units_and_the_stations_time_zone(client: ApiClient) -> None:
    path = "/api/compressors/COMP-001/readings"
    parameters = {"fields": "agg_timestamp,discharge_temp_mean,discharge_temp_std", "units": "si"}

    answer = client.get(path, params=parameters).json()

    assert answer["units"] == {"discharge_temp_mean": "deg C", "discharge_temp_std": "deg C"}
    assert answer["timezone"] == "America/Chicago"
    assert answer["items"] == [
        {
            "agg_timestamp": "2026-01-12T00:00:00Z",
            "discharge_temp_mean": pytest.approx(93.333333),
            "discharge_temp_std": pytest.approx(1.1111111),
        }
    ]
    assert client.get(path).json()["units"]["discharge_temp_mean"] == "deg F"


def test_a_machine_is_shown_in_the_units_asked_for_and_so_are_the_reasons(client: ApiClient) -> None:
    detail = client.get("/api/compressors/COMP-001", params={"units": "si"}).json()

    assert detail["horsepower"] == pytest.approx(999.2379)
    assert detail["units"]["horsepower"] == "kW"
    assert detail["latest_windows"]["1hr"]["discharge_pressure_max"] == pytest.approx(8997.658)
    assert sorted(detail["health_reasons"]) == [
        "highest discharge pressure in the latest hour 8997.66 kPa; warning above 8963.18",
        "highest vibration in the latest hour 6.5 mm/s RMS; warning above 6",
    ]
    (listed,) = client.get("/api/compressors", params={"units": "si"}).json()["items"]
    assert listed["horsepower"] == detail["horsepower"]


def test_unknown_units_are_422(client: ApiClient) -> None:
    answer = client.get("/api/compressors/COMP-001/readings", params={"units": "evil"})

    assert answer.status_code == 422
    assert "'us' or 'si'" in answer.json()["errors"][0]["message"]
