"""Windows as files, read back by programs of others."""

import csv
import io
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from tempfile import NamedTemporaryFile
from typing import Any
from urllib.parse import quote

import duckdb
import httpx
import pyarrow.parquet as pq
import pytest

from functions.readings import actions
from functions.readings.schemas import Window
from functions.units import UnitSystem, units_of
from shared_code.database.engines import Database
from shared_code.database.tables.organizations import Tier
from shared_code.database.tables.readings import WindowType
from tests.factories.fleet import Customer, a_compressor, a_customer, a_station, a_window
from tests.seams.api_client import ApiClient

SignIn = Callable[[Customer], ApiClient]
JSON = "/api/compressors/COMP-001/readings"
PATH = f"{JSON}/export"
FIELDS = tuple(Window.model_fields)


@pytest.fixture
def customer(database: Database, now: datetime) -> Customer:
    customer = a_customer(database)
    a_station(database, customer)
    a_compressor(database, customer)
    for hours in range(5):
        odd: dict[str, float | int | None] = {
            "vibration_mean": 0.1 + 0.2 + hours / 3,
            "vibration_std": float("nan"),
            "discharge_temp_rate_of_change": -hours / 7,
            "gas_flow_mean": None if hours == 2 else 1e-17,
        }
        a_window(database, customer, "COMP-001", end=now - timedelta(hours=hours), values=odd)
    a_window(database, customer, "COMP-001", end=now, window_type=WindowType.DAY)
    return customer


def as_json(client: ApiClient, **parameters: str) -> list[dict[str, Any]]:
    items = client.get(JSON, params=parameters).json()["items"]
    return [item | {"agg_timestamp": datetime.fromisoformat(item["agg_timestamp"])} for item in items]


def from_csv(answer: httpx.Response, units: UnitSystem) -> list[dict[str, Any]]:
    """Return what DuckDB reads, under the fields' names."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    types = {"agg_timestamp [UTC]": "TIMESTAMPTZ"} | {
        f"{field} [{unit}]": "DOUBLE" for field, unit in units_of(FIELDS, units).items()
    }
    with NamedTemporaryFile(suffix=".csv") as file:
        file.write(answer.content)
        file.flush()
        read = connection.read_csv(file.name, header=True, dtype=types)
        rows = read.fetchall()
    names = [name.partition(" [")[0] for name in read.columns]
    return [dict(zip(names, row, strict=True)) for row in rows]


@pytest.mark.parametrize("units", UnitSystem)
@pytest.mark.parametrize("start", ["2026-01-01T00:00:00Z", "2026-01-11T21:00:00Z"])
def test_csv_reads_back_equal_to_the_json(signed_in: SignIn, customer: Customer, units: UnitSystem, start: str) -> None:
    client = signed_in(customer)
    answer = client.get(PATH, params={"units": units.value, "start": start})

    rows = from_csv(answer, units)

    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8; header=present"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="COMP-001_1hr.csv"'
    assert [row.pop("station_timezone") for row in rows] == ["America/Chicago"] * len(rows)
    assert rows == as_json(client, units=units.value, start=start) != []


@pytest.mark.parametrize("units", UnitSystem)
def test_parquet_reads_back_equal_to_the_json_with_its_units(
    signed_in: SignIn, customer: Customer, units: UnitSystem
) -> None:
    client = signed_in(customer)
    answer = client.get(PATH, params={"format": "parquet", "units": units.value})

    table = pq.read_table(io.BytesIO(answer.content))  # pyright: ignore[reportUnknownMemberType]

    assert answer.headers["Content-Type"] == "application/vnd.apache.parquet"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="COMP-001_1hr.parquet"'
    assert table.to_pylist() == as_json(client, units=units.value) != []
    schema: Any = table.schema
    said = {field.name: field.metadata[b"unit"].decode() for field in schema if field.metadata}
    assert said == units_of(FIELDS, units)
    assert str(schema.field("agg_timestamp").type) == "timestamp[us, tz=UTC]"
    assert (schema.metadata[b"station_timezone"], schema.metadata[b"units"]) == (
        b"America/Chicago",
        units.value.encode(),
    )


def test_heads_of_columns_say_units_and_fields_can_be_chosen(signed_in: SignIn, customer: Customer) -> None:
    parameters = {"fields": "agg_timestamp,discharge_temp_mean,reading_count", "units": "si", "window": "24hr"}

    answer = signed_in(customer).get(PATH, params=parameters)

    assert answer.text.splitlines() == [
        "agg_timestamp [UTC],discharge_temp_mean [deg C],reading_count,station_timezone",
        "2026-01-12T00:00:00Z,93.33333333333334,6,America/Chicago",
    ]


@pytest.mark.parametrize("written", ["csv", "parquet"])
def test_a_machine_without_windows_is_a_file_without_rows(signed_in: SignIn, customer: Customer, written: str) -> None:
    answer = signed_in(customer).get(PATH, params={"format": written, "start": "2027-01-01T00:00:00Z"})

    if written == "csv":
        assert len(answer.text.splitlines()) == 1
    else:
        table = pq.read_table(io.BytesIO(answer.content))  # pyright: ignore[reportUnknownMemberType]
        assert (table.num_rows, tuple(table.column_names)) == (0, FIELDS)


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "'quoted", '=HYPERLINK("evil")', 'a"b,c'])
def test_text_is_no_formula_and_no_header(
    signed_in: SignIn, database: Database, customer: Customer, now: datetime, name: str
) -> None:
    a_compressor(database, customer, name)
    a_window(database, customer, name, end=now)
    path = f"/api/compressors/{quote(name, safe='')}/readings/export"

    answer = signed_in(customer).get(path)

    assert answer.status_code == 200
    (_, row) = csv.reader(io.StringIO(answer.text))
    assert row[0] == (name if name.startswith("a") else f"'{name}")
    assert re.fullmatch(r'attachment; filename="[A-Za-z0-9_-]+_1hr\.csv"', answer.headers["Content-Disposition"])


def test_a_file_that_would_be_too_large_is_told_how_to_be_had(
    signed_in: SignIn, customer: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "MAX_EXPORTED", 3)
    client = signed_in(customer)

    refused = client.get(PATH).json()

    assert refused["errors"] == [
        {
            "field": "end",
            "message": "the period has more than the 3 windows that a file may hold; ask for it in parts, of which"
            " the first may end at 2026-01-11T22:00:00Z and the next start there",
        }
    ]
    first = client.get(PATH, params={"end": "2026-01-11T22:00:00Z"})
    second = client.get(PATH, params={"start": "2026-01-11T22:00:00Z"})
    both = from_csv(first, UnitSystem.US) + from_csv(second, UnitSystem.US)
    assert [row["agg_timestamp"] for row in both] == [item["agg_timestamp"] for item in as_json(client)]


def test_who_may_not_read_gets_no_file(
    api: ApiClient, signed_in: SignIn, customer: Customer, database: Database
) -> None:
    stranger = signed_in(a_customer(database))
    assert api.get(PATH).status_code == 401
    foreign, missing = stranger.get(PATH).json(), stranger.get("/api/compressors/NO-SUCH/readings/export").json()
    assert foreign.pop("requestId") != missing.pop("requestId")
    assert foreign == missing
    assert foreign["status"] == 404
    free = signed_in(a_customer(database, tier=Tier.FREE))
    assert free.get(PATH, params={"window": "24hr"}).status_code == 403
    assert signed_in(customer).get(PATH, params={"format": "xlsx"}).status_code == 422
