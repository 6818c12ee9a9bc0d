"""From a gateway's request to the windows that people see, through the programs as they are."""

import json
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from pyspark.sql import SparkSession

from etl_job.delta_tables import QUARANTINE
from functions.access import sessions
from functions.api import create_app
from functions.settings import AccessSettings, LandingSettings, Settings
from shared_code.database.engines import Database
from tests.etl_job.customer import Customer as Job
from tests.factories.fleet import Customer, a_customer, a_session
from tests.factories.landing import HOUR, MONDAY, as_parquet, deliver, readings
from tests.seams.api_client import ApiClient

NOW = MONDAY + 2 * HOUR
KEY = "a key for tests, of which nothing else knows"
PLACE = {
    "station_id": "STATION-A",
    "station_name": "Eagle Ford Station A",
    "latitude": 28.9144,
    "longitude": -98.5242,
    "timezone": "America/Chicago",
}
MACHINE = {"compressor_id": "COMP-001", "model": "Ajax DPC-360", "horsepower": 1340, "station_id": "STATION-A"}


@dataclass
class World:
    """Two customers of one installation, with its API and its job."""

    database: Database
    job: Job
    anybody: ApiClient

    def person(self, customer: Customer) -> ApiClient:
        return self.anybody.with_token(sessions.sign(a_session(self.database, customer, now=NOW), KEY))

    def gateway(self, person: ApiClient) -> ApiClient:
        made = person.post("/api/organization/api-keys", json={"name": "Gateway", "scopes": ["ingest"]})
        return self.anybody.with_token(made.json()["key"])


@pytest.fixture
def world(spark: SparkSession, database: Database, tmp_path: Path) -> World:
    job = Job(spark, database, tmp_path, a_customer(database).organization_id)
    access = AccessSettings(session_secret=SecretStr(KEY))
    landing = LandingSettings(altaviz_landing=str(job.landing))
    settings = replace(Settings(access, database.settings, KEY), landing=landing)
    return World(database, job, ApiClient(create_app(settings, lambda: database, clock=lambda: NOW)))


def connected(person: ApiClient) -> None:
    """Tell the API of a station and a machine."""
    assert person.post("/api/stations", json=PLACE).status_code == 201
    assert person.post("/api/compressors", json=MACHINE).status_code == 201


def batch(count: int, shift: float = 0.0, **fields: object) -> list[dict[str, Any]]:
    rows = readings(count=count, shift=shift).to_pylist()
    return [row | {"timestamp": row["timestamp"].isoformat()} | fields for row in rows]


def windows(person: ApiClient) -> list[dict[str, Any]]:
    return person.get("/api/compressors/COMP-001/readings").json()["items"]


def test_readings_that_a_gateway_sends_show_in_windows(world: World) -> None:
    person = world.person(a_customer(world.database))
    connected(person)
    gateway = world.gateway(person)

    sent = [gateway.post("/api/readings", json=[*batch(12), {}]).json() for _ in range(2)]
    summary = world.job.run(default_organization=False)

    assert sent[0] == sent[1]
    assert (sent[0]["accepted"], sent[0]["refused"]) == (12, 1)
    assert (summary.files_read, summary.rows_read, summary.rows_written) == (1, 12, 12)
    assert [(hour["agg_timestamp"], hour["reading_count"]) for hour in windows(person)] == [
        ("2026-01-05T01:00:00Z", 6),
        ("2026-01-05T02:00:00Z", 6),
    ]

    person.request("DELETE", "/api/compressors/COMP-001")
    assert gateway.post("/api/readings", json=batch(11)).json()["accepted"] == 0
    assert len(windows(person)) == 2


def test_text_in_the_place_of_a_number_reaches_the_job_as_it_was_sent(world: World) -> None:
    person = world.person(a_customer(world.database))
    connected(person)
    gateway = world.gateway(person)

    gateway.post("/api/readings", json=[*batch(5), *(batch(6, vibration_mms="ERR")[5:])])
    summary = world.job.run(default_organization=False)

    assert (summary.rows_written, summary.flagged["not_a_number"]) == (6, 1)
    assert windows(person)[0]["reading_count"] == 6


def test_what_lands_for_one_organization_is_never_published_for_another(world: World) -> None:
    ours, theirs = a_customer(world.database), a_customer(world.database)
    us, them = world.person(ours), world.person(theirs)
    for person in (us, them):
        connected(person)
    forged = as_parquet(readings(count=6, shift=10, organization_id=ours.organization_id))

    refused = world.gateway(them).post("/api/readings", json=batch(6, 10, organization_id=str(ours.organization_id)))
    deliver(world.job.landing, f"api/{theirs.organization_id}/2026-01-05/forged.parquet", forged, at=NOW)
    deliver(
        world.job.landing,
        f"api/{theirs.organization_id}/2026-01-05/nobody.parquet",
        readings(count=6, shift=10),
        at=NOW,
    )
    world.gateway(us).post("/api/readings", json=batch(6))
    summary = world.job.run(default_organization=True, now=NOW + timedelta(hours=1))

    assert refused.json()["accepted"] == 0
    assert summary.quarantined == {"foreign_organization": 12}
    assert {json.loads(row["raw"])["compressor_id"] for row in world.job.table(QUARANTINE)} == {"COMP-001"}
    assert windows(them) == []
    assert windows(us)[0]["vibration_max"] < 5
