"""`python -m functions`, as somebody at a terminal runs it."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from threading import Event
from uuid import UUID

import httpx
import pytest
from standardwebhooks import Webhook
from typer.testing import CliRunner

from functions.__main__ import program
from functions.access.sessions import Member
from functions.local import firing, listen
from functions.schedules import Timer
from shared_code.database.demo import DEMO_ORGANIZATION
from shared_code.database.home import open_database
from shared_code.database.tables.organizations import Tier, UserRole
from shared_code.identifiers import UserId
from shared_code.settings import DatabaseSettings, read
from tests.factories.fleet import Customer, a_compressor, a_contact, a_station
from tests.factories.organizations import LONG_AGO
from tests.seams.receiver import a_receiver

ROOT = Path(__file__).resolve().parent.parent.parent
SECRET = "a secret of this test alone, no other"  # noqa: S105 - it guards nothing


def serve(folder: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-m", "functions", *arguments],
        cwd=ROOT,
        env={**os.environ, "ALTAVIZ_DATABASE_DIR": str(folder / "data"), "SESSION_SECRET": SECRET, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def silent_for_years(data: Path) -> None:
    """Give the demo's organization a machine that was heard once, in the database that the program has open."""
    database = open_database(read(DatabaseSettings, data_dir=data), now=LONG_AGO)
    member = Member(
        sub=UserId(UUID(int=1)),
        email="somebody@altaviz.dev",
        organization_id=DEMO_ORGANIZATION,
        organization_name="Demo",
        role=UserRole.OWNER,
        subscription_tier=Tier.ENTERPRISE,
    )
    customer = Customer(member)
    machine = a_compressor(database, customer, station_id=a_station(database, customer))
    a_contact(database, customer, machine, at=LONG_AGO)
    database.dispose()


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_it_says_what_to_open_serves_and_ends_in_order(tmp_path: Path, ending: signal.Signals) -> None:
    with serve(tmp_path, "--demo", "--port", "0") as server:
        assert server.stdout is not None
        welcome = "".join(server.stdout.readline() for _ in range(7))
        url = re.findall(r"listens on (\S+)", welcome)[0]
        commands = "\n".join(line for line in welcome.splitlines() if "curl" in line)
        with httpx.Client(base_url=url) as client:
            token = client.post("/api/auth/dev", json={"email": "demo@altaviz.dev"}).json()["token"]
            listed = client.get("/api/compressors", headers={"Authorization": f"Bearer {token}"}).json()
        pasted = subprocess.run(["/bin/sh", "-c", commands], capture_output=True, text=True, check=True)  # noqa: S603
        server.send_signal(ending)
        _, errors = server.communicate(timeout=30)

    assert listed == {"items": [], "next": None}
    assert pasted.stdout == '{"items":[],"next":null}'
    assert server.returncode == 0
    assert "Traceback" not in errors
    assert not (tmp_path / "data" / "postmaster.pid").exists()


def test_timers_fire_on_their_schedule_and_what_runs_at_the_end_runs_to_its_own() -> None:
    began, ended = Event(), Event()
    fired: list[float] = []

    def work() -> None:
        fired.append(time.monotonic())
        began.set()
        time.sleep(0.3)
        ended.set()

    with firing([Timer("quick", "* * * * * *", work), Timer("rare", "0 0 0 1 1 *", lambda: fired.append(0.0))]):
        assert began.wait(timeout=10)
    count = len(fired)

    assert ended.is_set()
    assert 0.0 not in fired
    time.sleep(1.1)
    assert len(fired) == count


def test_at_home_workflows_run_and_people_are_told_by_themselves(tmp_path: Path) -> None:
    """A machine was heard long ago, so a workflow raises an alert, and whoever wants to be told of it is."""
    every_second = {
        "WORKFLOW_FRESHNESS_SCHEDULE": "* * * * * *",
        "WORKFLOW_ESCALATION_SCHEDULE": "* * * * * *",
        "NOTIFICATIONS_SCHEDULE": "* * * * * *",
    }
    private = {"NOTIFICATIONS_PRIVATE_NETWORKS": "127.0.0.0/8"}
    with a_receiver() as receiver, serve(tmp_path, "--demo", "--port", "0", **every_second, **private) as server:
        assert server.stdout is not None
        url = re.findall(r"listens on (\S+)", "".join(server.stdout.readline() for _ in range(7)))[0]
        with httpx.Client(base_url=url) as client:
            token = client.post("/api/auth/dev", json={"email": "demo@altaviz.dev"}).json()["token"]
            headers = {"Authorization": f"Bearer {token}"}
            webhook = {"kind": "webhook", "name": "x", "address": f"http://127.0.0.1:{receiver.port}/"}
            secret = client.post("/api/notifications/channels", headers=headers, json=webhook).json()["secret"]
            silent_for_years(tmp_path / "data")
            ran = set[str]()
            for _ in range(60):
                ran = {each["workflow"] for each in client.get("/api/workflows/runs", headers=headers).json()["items"]}
                if len(ran) == 2 and receiver.received:
                    break
                time.sleep(0.5)
        server.send_signal(signal.SIGINT)
        _, errors = server.communicate(timeout=30)

    assert ran == {"data_freshness_check", "alert_escalation"}
    (told,) = receiver.received
    event = Webhook(secret).verify(told.body, told.headers)
    assert (event["type"], event["data"]["compressor_id"], event["data"]["rule"]) == (
        "alert.warning",
        "COMP-001",
        "silent",
    )
    assert (server.returncode, "Traceback" in errors) == (0, False)


def test_a_busy_port_is_said_in_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ALTAVIZ_DATABASE_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("SESSION_SECRET", SECRET)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = CliRunner().invoke(program, ["--port", str(port)])

    assert ended.exit_code == 1
    assert (
        ended.stderr == f"error: cannot listen on 127.0.0.1 port {port}: Address already in use; try another --port\n"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("host", ["no-such-host.invalid", "203.0.113.1"])
def test_an_address_that_is_not_ours_is_said_in_one_sentence(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("SESSION_SECRET", SECRET)

    ended = CliRunner().invoke(program, ["--host", host])

    assert ended.exit_code == 1
    assert re.fullmatch(rf"error: cannot listen on {re.escape(host)} port 7071: .+; try another --port\n", ended.stderr)


def test_development_credentials_in_production_are_refused_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {
        "ALTAVIZ_ENVIRONMENT": "production",
        "ALTAVIZ_LAKE": "abfss://gold@lake.dfs.core.windows.net/",
        "ALTAVIZ_LANDING": "abfss://landing@lake.dfs.core.windows.net/",
        "ALTAVIZ_PUBLIC_URL": "https://altaviz.example",
        "DB_HOST": "db.example",
        "SESSION_SECRET": SECRET,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    ended = CliRunner().invoke(program, ["--demo"])

    assert ended.exit_code == 1
    assert ended.stderr == "error: DEV_CREDENTIALS_ENABLED must not be true where ALTAVIZ_ENVIRONMENT is production\n"


def test_an_answer_does_not_wait_for_the_client_to_acknowledge_its_head() -> None:
    with listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
