"""From the first sign-in to an acknowledged alert, through the API, the sign-in provider and the job as they are."""

from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr
from pyspark.sql import SparkSession

from functions.api import create_app
from functions.settings import AccessSettings, LandingSettings, Settings
from shared_code.database.engines import Database
from tests.etl_job.customer import Customer as Job
from tests.etl_job.customer import an_organization
from tests.factories.landing import HOUR, MONDAY, readings
from tests.seams.api_client import ApiClient
from tests.seams.entra import Browser, a_provider

NOW = MONDAY + 5 * HOUR
PEOPLE = {
    name.lower(): {
        "tid": str(uuid4()),
        "oid": str(uuid4()),
        "name": name,
        "preferred_username": f"{name.lower()}@{place}.example",
    }
    for name, place in {"Ada": "karnes", "Ben": "karnes", "Eve": "elsewhere"}.items()
}
STATION = {
    "station_id": "STATION-A",
    "station_name": "Eagle Ford Station A",
    "latitude": 28.9144,
    "longitude": -98.5242,
    "timezone": "America/Chicago",
}
MACHINES = [
    {"compressor_id": name, "model": "Ajax DPC-360", "horsepower": 1340, "station_id": "STATION-A"}
    for name in ("COMP-001", "COMP-002", "COMP-003")
]
WORK = {
    "compressor_id": "COMP-001",
    "event_date": NOW.isoformat(),
    "event_type": "unscheduled",
    "description": "Tightened the mounting.",
    "downtime_hours": 0.5,
    "severity": "medium",
}


@dataclass
class World:
    """An installation: its API, its sign-in provider and its job."""

    database: Database
    job: Job
    anybody: ApiClient
    browser: Browser

    def sign_in(self, person: str) -> ApiClient:
        return self.anybody.with_token(self.browser.session(person)[1])


@pytest.fixture
def world(spark: SparkSession, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[World]:
    with a_provider(tmp_path, PEOPLE) as provider:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(provider.bundle))
        key = "a key for tests, of which nothing else knows"
        job = Job(spark, database, tmp_path, an_organization(database))
        access = provider.known_to(AccessSettings(session_secret=SecretStr(key)))
        landing = LandingSettings(altaviz_landing=str(job.landing))
        settings = replace(Settings(access, database.settings, key), landing=landing)
        anybody = ApiClient(create_app(settings, lambda: database, clock=lambda: NOW))
        yield World(database, job, anybody, Browser(anybody, provider))


def test_a_stranger_becomes_a_customer(world: World) -> None:
    # Ada signs in for the first time, and has an organization of her own, on the plan that costs nothing.
    ada = world.sign_in("ada")
    assert ada.get("/api/organization").json()["subscription_tier"] == "free"
    assert ada.get("/api/auth/session").json()["role"] == "owner"
    ada.request("PATCH", "/api/organization", json={"name": "Karnes Gas Gathering"})
    assert ada.get("/api/auth/session").json()["organizationName"] == "Karnes Gas Gathering"

    # She says where her machines stand; the plan includes two.
    assert ada.post("/api/stations", json=STATION).status_code == 201
    assert [ada.post("/api/compressors", json=machine).status_code for machine in MACHINES] == [201, 201, 403]
    assert ada.get("/api/fleet").json()["by_health"]["unknown"] == 2

    # She gives her gateway a key, and it sends two hours of readings.
    made = ada.post("/api/organization/api-keys", json={"name": "Gateway", "scopes": ["ingest"]}).json()
    gateway = world.anybody.with_token(made["key"])
    sent = gateway.post("/api/readings", json=[*two_hours("COMP-001"), *two_hours("COMP-002")])
    assert (sent.status_code, sent.json()["accepted"], sent.json()["refused"]) == (202, 24, 0)

    # The job takes them in, and she sees her machines run.
    summary = world.job.run(default_organization=False)
    assert (summary.rows_read, summary.rows_written) == (24, 24)
    windows = ada.get("/api/compressors/COMP-001/readings").json()["items"]
    assert [(window["agg_timestamp"], window["reading_count"]) for window in windows] == [
        ("2026-01-05T01:00:00Z", 6),
        ("2026-01-05T02:00:00Z", 6),
    ]
    assert ada.get("/api/fleet").json()["by_health"]["healthy"] == 2
    quality = ada.get("/api/data-quality", params={"compressor_id": "COMP-001"}).json()["items"]
    assert {metric["metric_type"] for metric in quality if metric["passed"]} == {"accuracy", "consistency"}
    (completeness,) = (metric for metric in quality if metric["metric_type"] == "completeness")
    assert (completeness["passed"], completeness["details"]["readings"]) == (False, 12)  # two hours of a whole day

    # She invites Ben to operate them. He signs in, finds an organization of his own, and accepts.
    invitation = {"email": "ben@karnes.example", "role": "operator"}
    link = ada.post("/api/organization/invitations", json=invitation).json()["link"]
    ben = world.sign_in("ben")
    assert ben.get("/api/compressors").json()["items"] == []
    joined = ben.post("/api/invitations/accept", json={"token": link.partition("#token=")[2]}).json()
    ben = world.anybody.with_token(joined["token"])
    assert ben.get("/api/auth/session").json()["organizationName"] == "Karnes Gas Gathering"
    assert len(ben.get("/api/compressors").json()["items"]) == 2

    # One machine begins to shake, and an alert says so.
    gateway.post("/api/readings", json=an_hour("COMP-001", after=2, vibration=9.0))
    world.job.run(default_organization=False)
    assert ada.get("/api/fleet").json()["by_health"]["critical"] == 1
    (shown,) = ben.get("/api/alerts").json()["items"]
    alert = shown["alert_id"]
    assert (shown["compressor_id"], shown["severity"], shown["status"]) == ("COMP-001", "critical", "open")
    assert shown["message"].startswith("Vibration went above the warning limit of 6 mm/s RMS at 2026-01-05 02:00 UTC")

    # Ben is on it, mends the machine, writes down what he did, and says that it is over; and so do the readings.
    ben.post(f"/api/alerts/{alert}/acknowledge", json={"note": "Driving there."})
    assert ben.post("/api/maintenance", json=WORK).status_code == 201
    seen = ada.get(f"/api/alerts/{alert}").json()
    assert (seen["status"], seen["acknowledged_by"], seen["acknowledged_note"]) == (
        "acknowledged",
        "ben@karnes.example",
        "Driving there.",
    )
    ben.post(f"/api/alerts/{alert}/resolve")
    gateway.post("/api/readings", json=an_hour("COMP-001", after=3))
    world.job.run(default_organization=False)
    assert ben.get("/api/alerts").json()["items"] == []
    assert ada.get("/api/fleet").json()["by_health"]["healthy"] == 2
    log = ada.get("/api/organization/audit-log").json()["items"]
    assert {entry["action"] for entry in log if entry["actor_name"] == "ben@karnes.example"} >= {
        "invitation.accepted",
        "alert.acknowledged",
        "maintenance.recorded",
        "alert.resolved",
    }

    # Eve, a customer elsewhere, sees none of it.
    assert_sees_none_of_it(world.sign_in("eve"), alert=alert, key=made["id"])


def assert_sees_none_of_it(eve: ApiClient, *, alert: str, key: str) -> None:
    """Her lists are empty, and ids of theirs are like ids of nothing."""
    lists = ("stations", "compressors", "alerts?status=all", "data-quality", "maintenance", "organization/api-keys")
    for path in lists:
        assert eve.get(f"/api/{path}").json() == {"items": [], "next": None}, path
    assert eve.get("/api/fleet").json()["compressors"] == 0
    assert [member["email"] for member in eve.get("/api/organization/members").json()["items"]] == [
        "eve@elsewhere.example"
    ]
    for method, path, theirs, nothing in (
        ("GET", "/api/compressors/{}", "COMP-001", "NO-SUCH"),
        ("GET", "/api/compressors/{}/readings", "COMP-001", "NO-SUCH"),
        ("GET", "/api/alerts/{}", alert, uuid4()),
        ("POST", "/api/alerts/{}/acknowledge", alert, uuid4()),
        ("POST", "/api/alerts/{}/resolve", alert, uuid4()),
        ("DELETE", "/api/stations/{}", "STATION-A", "NO-SUCH"),
        ("DELETE", "/api/organization/api-keys/{}", key, uuid4()),
    ):
        foreign, missing = (eve.request(method, path.format(name)) for name in (theirs, nothing))
        assert foreign.status_code == missing.status_code == 404, path
        assert foreign.json() | {"requestId": ""} == missing.json() | {"requestId": ""}


def two_hours(compressor_id: str) -> list[dict[str, Any]]:
    rows = readings(compressor_id, count=12).to_pylist()
    return [row | {"timestamp": row["timestamp"].isoformat()} for row in rows]


def an_hour(compressor_id: str, *, after: int, vibration: float = 3.0) -> list[dict[str, Any]]:
    """An hour of readings some hours after the first, with the vibration around a value."""
    rows = readings(compressor_id, start=MONDAY + after * HOUR, shift=vibration - 3.0).to_pylist()
    return [row | {"timestamp": row["timestamp"].isoformat()} for row in rows]
