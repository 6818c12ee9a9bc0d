"""POST /api/readings, from a key to a landing file."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest
from sqlalchemy import update

from functions.access.keys import Scope
from functions.api import create_app
from functions.readings.landing import FolderLanding
from functions.settings import LandingSettings, Settings
from shared_code.database import transactions
from shared_code.database.engines import Database
from shared_code.database.tables import compressor_metadata
from tests.factories.fleet import Customer, a_compressor, a_customer, a_key, a_station
from tests.factories.landing import MONDAY, as_csv, as_parquet, readings
from tests.seams.api_client import ApiClient

READINGS = "/api/readings"
SignIn = Callable[[Customer], ApiClient]


@dataclass
class Gateway:
    """A customer's gateway, its API and where that puts files."""

    customer: Customer
    client: ApiClient
    landing: Path
    now: datetime

    def send(
        self, body: object, *, key: str | None = None, media_type: str = "application/json", **headers: str
    ) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {"Content-Type": media_type, **headers} | ({"Idempotency-Key": key} if key is not None else {})
        return self.client.post(READINGS, content=content, headers=named)

    @property
    def files(self) -> list[str]:
        return sorted(path.relative_to(self.landing).as_posix() for path in self.landing.rglob("*") if path.is_file())

    def landed(self) -> list[dict[str, Any]]:
        (name,) = self.files
        return pq.ParquetFile(self.landing / name).read().to_pylist()  # pyright: ignore[reportUnknownMemberType]


@pytest.fixture
def gateway(database: Database, settings: Settings, now: datetime, tmp_path: Path) -> Gateway:
    landing = LandingSettings(altaviz_landing=str(tmp_path))
    customer = a_customer(database)
    a_station(database, customer)
    a_compressor(database, customer)
    app = create_app(replace(settings, landing=landing), lambda: database, clock=lambda: gateway.now)
    client = ApiClient(app).with_token(a_key(database, customer, Scope.INGEST, now=now))
    gateway = Gateway(customer, client, tmp_path, now)
    return gateway


def rows(count: int = 3, compressor_id: str = "COMP-001") -> list[dict[str, Any]]:
    table = readings(compressor_id, count=count).to_pylist()
    return [row | {"timestamp": row["timestamp"].isoformat()} for row in table]


def test_anonymous_is_401_and_people_and_readers_are_403(
    gateway: Gateway, api: ApiClient, signed_in: SignIn, database: Database, now: datetime
) -> None:
    reader = api.with_token(a_key(database, gateway.customer, Scope.READ, now=now))

    assert api.post(READINGS, json=rows()).status_code == 401
    assert [client.post(READINGS, json=rows()).status_code for client in (signed_in(gateway.customer), reader)] == [
        403
    ] * 2
    assert gateway.files == []


def test_readings_land_as_one_file_of_the_keys_organization(gateway: Gateway) -> None:
    answer = gateway.send(rows())

    assert answer.status_code == 202
    (name,) = gateway.files
    owner = gateway.customer.organization_id
    assert name.startswith(f"readings/api/{owner}/2026-01-12/body-")
    assert answer.json() == {
        "received": 3,
        "accepted": 3,
        "refused": 0,
        "flagged": 0,
        "refusals": [],
        "warnings": [],
        "ignored_fields": [],
        "file": name,
    }
    landed = gateway.landed()
    assert {row["organization_id"] for row in landed} == {str(owner)}
    assert [row["timestamp"] for row in landed] == [MONDAY + number * timedelta(minutes=10) for number in range(3)]


@pytest.mark.parametrize(
    "media_type", ["application/x-ndjson", "text/csv; charset=utf-8", "application/vnd.apache.parquet"]
)
def test_every_form_is_taken(gateway: Gateway, media_type: str) -> None:
    table = readings(count=3)
    bodies = {
        "application/x-ndjson": "\n".join(map(json.dumps, rows())).encode(),
        "text/csv; charset=utf-8": as_csv(table),
        "application/vnd.apache.parquet": as_parquet(table),
    }

    assert gateway.send(bodies[media_type], media_type=media_type).json()["accepted"] == 3
    assert [row["vibration_mms"] for row in gateway.landed()] == table.column("vibration_mms").to_pylist()


def test_what_is_refused_is_named_and_the_rest_lands(gateway: Gateway, database: Database) -> None:
    stranger = a_customer(database)
    a_station(database, stranger)
    a_compressor(database, stranger, "COMP-FOREIGN")
    good, foreign, other, doubtful = (*rows(1), *rows(1), *rows(1, "COMP-FOREIGN"), *rows(1))
    foreign["organization_id"] = str(stranger.organization_id)
    doubtful["vibration_mms"] = -999

    answer = gateway.send([foreign, good, other, doubtful | {"note": "x"}]).json()

    assert (answer["received"], answer["accepted"], answer["refused"], answer["flagged"]) == (4, 2, 2, 1)
    assert [(note["index"], note["field"]) for note in answer["refusals"]] == [
        (0, "organization_id"),
        (2, "compressor_id"),
    ]
    assert answer["refusals"][1]["reason"] == "there is no such compressor"
    assert [(note["index"], note["field"]) for note in answer["warnings"]] == [(3, "vibration_mms")]
    assert answer["ignored_fields"] == ["note"]
    assert [row["vibration_mms"] for row in gateway.landed()] == [good["vibration_mms"], -999]


def test_another_organizations_machine_is_like_a_missing_one(gateway: Gateway, database: Database) -> None:
    stranger = a_customer(database)
    a_station(database, stranger)
    a_compressor(database, stranger, "FOREIGN")

    foreign, missing = (gateway.send(rows(1, name)).json() for name in ("FOREIGN", "MISSING"))

    assert foreign == missing


def test_a_retired_machine_takes_no_new_readings(gateway: Gateway, database: Database) -> None:
    with transactions.owner(database) as connection:
        mine = compressor_metadata.c.organization_id == gateway.customer.organization_id
        connection.execute(update(compressor_metadata).where(mine).values(retired_at=gateway.now))

    answer = gateway.send(rows(1)).json()

    assert answer["refusals"] == [{"index": 0, "field": "compressor_id", "reason": "is retired"}]
    assert (answer["file"], gateway.files) == (None, [])


@pytest.mark.parametrize("key", [None, "a key", '"8e03978e-40d5-43dd-bc93-6894a57f9324"', "../../etc/passwd"])
def test_a_repeat_has_the_same_answer_and_one_file(gateway: Gateway, key: str | None, database: Database) -> None:
    first = gateway.send([*rows(), {}], key=key)
    gateway.now += timedelta(days=2)
    a_compressor(database, gateway.customer, "COMP-002")  # would change how it is judged
    again = gateway.send([*rows(), {}], key=key)

    assert first.status_code == again.status_code == 202
    assert first.json() == again.json()
    (name,) = gateway.files
    assert name.split("/")[:4] == ["readings", "api", str(gateway.customer.organization_id), "2026-01-12"]


def test_a_repeat_after_a_crash_before_the_answer_tells_what_landed(
    gateway: Gateway, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = FolderLanding.create

    def put_and_die(landing: FolderLanding, path: str, content: bytes) -> bool:
        put(landing, path, content)
        raise KeyboardInterrupt

    batch = [*rows(2), *rows(1, "COMP-002")]
    monkeypatch.setattr(FolderLanding, "create", put_and_die)
    with pytest.raises(KeyboardInterrupt):
        gateway.send(batch, key="k")
    monkeypatch.undo()
    a_compressor(database, gateway.customer, "COMP-002")
    answer = gateway.send(batch, key="k").json()

    assert (answer["accepted"], answer["refused"]) == (2, 1)
    assert len(gateway.landed()) == 2


def test_a_repeat_after_a_crash_before_the_file_lands_it(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*_: object) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(FolderLanding, "create", die)
    with pytest.raises(KeyboardInterrupt):
        gateway.send(rows(), key="k")
    monkeypatch.undo()
    gateway.now += timedelta(days=1)

    assert gateway.send(rows(), key="k").json()["accepted"] == 3
    assert "/2026-01-12/" in gateway.files[0]


@pytest.mark.parametrize("key", [None, "k"])
def test_twenty_repeats_at_once_end_in_one_file_and_one_answer(gateway: Gateway, key: str | None) -> None:
    headers = gateway.client.headers | ({"Idempotency-Key": key} if key else {})

    answers = gateway.client.each_at_once([("POST", READINGS, headers, [*rows(), {}])] * 20)

    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.text for answer in answers}) == 1
    assert len(gateway.landed()) == 3


def test_a_key_with_another_batch_is_422(gateway: Gateway) -> None:
    gateway.send(rows(2), key="k")

    refused = gateway.send(rows(3), key="k")

    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "Idempotency-Key"
    assert len(gateway.landed()) == 2


def test_a_key_is_one_organizations_own(gateway: Gateway, database: Database, now: datetime) -> None:
    other = a_customer(database)
    a_station(database, other)
    a_compressor(database, other)
    theirs = Gateway(
        other, gateway.client.with_token(a_key(database, other, Scope.INGEST, now=now)), gateway.landing, now
    )

    assert gateway.send(rows(2), key="k").json()["accepted"] == 2
    assert theirs.send(rows(3), key="k").json()["accepted"] == 3
    assert len(gateway.files) == 2


def test_a_batch_is_remembered_for_seven_days(gateway: Gateway) -> None:
    gateway.send(rows(), key="k")
    gateway.now += timedelta(days=7, seconds=1)

    gateway.send(rows(2), key="other")
    assert gateway.send(rows(2), key="k").status_code == 202
    assert len(gateway.files) == 3


@pytest.mark.parametrize("key", ["", "x" * 256, "ü".encode().decode("latin-1")])
def test_a_key_that_is_none_is_422(gateway: Gateway, key: str) -> None:
    answer = gateway.client.post(
        READINGS,
        content=json.dumps(rows()).encode(),
        headers={b"Content-Type": b"application/json", b"Idempotency-Key": key.encode("latin-1")},
    )

    assert answer.status_code == 422
    assert gateway.files == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"media_type": ""}, 415),
        ({"media_type": "application/xml"}, 415),
        ({"media_type": "multipart/form-data; boundary=x"}, 415),
        ({"media_type": "application/json", "Content-Encoding": "gzip"}, 415),
        ({"media_type": "APPLICATION/JSON;charset=utf-8", "Content-Encoding": "identity"}, 202),
    ],
)
def test_other_forms_are_415_and_told_the_right_ones(gateway: Gateway, headers: dict[str, str], status: int) -> None:
    answer = gateway.send(rows(), **headers)

    assert answer.status_code == status
    assert status == 202 or "application/vnd.apache.parquet" in answer.json()["detail"]


def test_ten_megabytes_are_taken_here_and_one_elsewhere(gateway: Gateway, signed_in: SignIn) -> None:
    large, too_large = (b" " * (size - 2) + b"[]" for size in (10 * 1_048_576, 10 * 1_048_576 + 1))
    person = signed_in(gateway.customer)

    answers = [
        gateway.send(large),
        gateway.send(too_large),
        person.post("/api/stations", content=large, headers={"Content-Type": "application/json"}),
    ]

    assert [answer.status_code for answer in answers] == [422, 413, 413]
    assert answers[0].json()["detail"] == "the body holds no reading"
    assert "10485760 bytes" in answers[1].json()["detail"]
    assert "1048576 bytes" in answers[2].json()["detail"]


def test_a_landing_that_takes_nothing_is_503_and_the_repeat_goes_through(gateway: Gateway) -> None:
    (gateway.landing / "readings").write_bytes(b"in the way")
    assert gateway.send(rows(), key="k").status_code == 503
    (gateway.landing / "readings").unlink()

    assert gateway.send(rows(), key="k").json()["accepted"] == 3
