"""The laptop's PostgreSQL: who starts it, who shares it, and when it ends."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack
from pathlib import Path
from threading import Thread
from typing import Self

import psycopg
import pytest

from shared_code.database.embedded import PORT, SUPERUSER, EmbeddedServer
from shared_code.errors import SettingsError

ROOT = Path(__file__).resolve().parents[3]

USE_UNTIL_TOLD = """
import sys
from pathlib import Path
from shared_code.database.embedded import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]))
server.start()
print("started", flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a space in its path; the tests that share it leave its server stopped."""
    return tmp_path_factory.mktemp("a folder") / "my data"


class User:
    """Another process that uses the server until it is told to end."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-c", USE_UNTIL_TOLD, str(folder)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def started(self) -> Self:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "started\n"
        return self

    def end(self) -> None:
        _, errors = self.process.communicate("", timeout=60)
        assert (self.process.returncode, errors) == (0, "")


def connect(server: EmbeddedServer) -> psycopg.Connection:
    return psycopg.connect(host=str(server.socket_dir), port=PORT, user=SUPERUSER, dbname="postgres")


def answers(server: EmbeddedServer) -> bool:
    try:
        with connect(server) as connection:
            return connection.execute("SELECT 1").fetchone() == (1,)
    except psycopg.OperationalError:
        return False


def wait_until(there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not there():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def postmaster(folder: Path) -> int:
    return int((folder / "postmaster.pid").read_text().splitlines()[0])


def sockets_of(pid: int) -> set[str]:
    opened = (str(descriptor.readlink()) for descriptor in Path(f"/proc/{pid}/fd").iterdir())
    return {name for name in opened if name.startswith("socket:")}


def network_sockets() -> set[str]:
    tables = (Path("/proc/net") / name for name in ("tcp", "tcp6", "udp", "udp6"))
    return {f"socket:[{line.split()[9]}]" for table in tables for line in table.read_text().splitlines()[1:]}


@pytest.fixture
def server(folder: Path) -> Generator[EmbeddedServer]:
    server = EmbeddedServer(folder)
    yield server
    server.stop()


def test_it_starts_in_a_folder_with_a_space_and_ends_with_its_only_user(folder: Path, server: EmbeddedServer) -> None:
    server.start()
    running = answers(server)
    server.stop()

    assert running
    assert not answers(server)
    assert not (folder / "postmaster.pid").exists()
    assert not server.socket_dir.exists()
    assert {path.name for path in folder.parent.iterdir()} == {"my data", ".my data.lock", ".my data.users"}


def test_stopping_and_starting_twice_is_stopping_and_starting_once(server: EmbeddedServer) -> None:
    server.start()
    server.start()
    assert answers(server)

    server.stop()
    server.stop()

    assert not answers(server)


def test_it_listens_on_a_private_socket_and_on_no_network_port(folder: Path, server: EmbeddedServer) -> None:
    server.start()
    pid = postmaster(folder)

    assert sockets_of(pid)
    assert sockets_of(pid).isdisjoint(network_sockets())
    assert server.socket_dir.stat().st_mode & 0o077 == 0
    assert (server.socket_dir / f".s.PGSQL.{PORT}").stat().st_mode & 0o077 == 0


def test_processes_share_it_and_it_ends_with_the_last(folder: Path, server: EmbeddedServer) -> None:
    with User(folder) as first, User(folder) as second:
        first.started()
        second.started()
        pid = postmaster(folder)
        first.end()
        assert answers(server)
        assert postmaster(folder) == pid
        second.end()

    assert not answers(server)


def test_one_process_may_use_it_twice(folder: Path, server: EmbeddedServer) -> None:
    again = EmbeddedServer(folder)
    server.start()
    again.start()

    again.stop()

    assert answers(server)


def test_a_killed_user_does_not_keep_it_alive(folder: Path, server: EmbeddedServer) -> None:
    with User(folder) as killed:
        killed.started()
        killed.process.kill()
        killed.process.wait()
    left_running = answers(server)
    with User(folder) as following:
        following.started().end()

    assert left_running
    assert not answers(server)


def test_a_killed_server_starts_again(folder: Path, server: EmbeddedServer) -> None:
    server.start()
    with connect(server) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS n")
    killed = Path(f"/proc/{postmaster(folder)}")
    os.kill(int(killed.name), signal.SIGKILL)
    wait_until(lambda: not killed.exists())

    again = EmbeddedServer(folder)
    again.start()
    with connect(again) as connection:
        kept = connection.execute("SELECT n FROM kept").fetchone()
    again.stop()

    assert kept == (1,)


def test_first_starts_at_the_same_time_make_one_server(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "data"
    with ExitStack() as stack:
        users = [stack.enter_context(User(folder)) for _ in range(2)]
        for user in users:
            user.started()
        server = EmbeddedServer(folder)
        assert answers(server)
        for user in users:
            user.end()
        server.stop()

    assert not answers(server)


def test_first_starts_meet_in_a_socket_folder_that_is_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change_owner = os.chown

    def slowly(path: str | Path, uid: int, gid: int) -> None:
        time.sleep(0.3)
        change_owner(path, uid, gid)

    monkeypatch.setattr(os, "chown", slowly)
    worked: list[EmbeddedServer] = []

    def use() -> None:
        server = EmbeddedServer(tmp_path / "data")
        server.start()
        worked.append(server)

    threads = [Thread(target=use) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for server in worked:
        server.stop()

    assert len(worked) == 2


def test_a_first_start_that_was_killed_halfway_does_not_spoil_the_next(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with User(folder) as killed:
        wait_until(lambda: any(tmp_path.glob("**/PG_VERSION")))
        killed.process.kill()
        killed.process.wait()

    server = EmbeddedServer(folder)
    server.start()
    running = answers(server)
    server.stop()

    assert running


def test_a_folder_with_something_else_in_it_is_refused(tmp_path: Path) -> None:
    mine = tmp_path / "data" / "letter.txt"
    mine.parent.mkdir()
    mine.write_text("dear")
    server = EmbeddedServer(mine.parent)

    with pytest.raises(SettingsError, match="is neither a database nor empty"):
        server.start()
    server.stop()

    assert mine.read_text() == "dear"
    assert sorted(path.name for path in tmp_path.iterdir()) == [".data.lock", ".data.users", "data"]
