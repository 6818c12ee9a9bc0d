import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

ENOUGH_FILES = 8
PATIENCE_SECONDS = 30


@pytest.fixture
def running(out: Path) -> Iterator[subprocess.Popen[str]]:
    """A simulation much longer than a test, in a process group of its own, that has begun to deliver."""
    command = [sys.executable, "-m", "simulator", "--out", str(out), "--days", "300", "--compressors", "200"]
    with subprocess.Popen(  # noqa: S603  (our own command)
        [*command, "--processes", "2"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        wait_until(lambda: len(list(out.glob("readings/*.parquet"))) >= ENOUGH_FILES)
        yield process
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def group_is_gone(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


def assert_only_whole_files(out: Path) -> None:
    for path in out.rglob("[!.]*.parquet"):
        pq.read_metadata(path)  # pyright: ignore[reportUnknownMemberType]


def test_an_interrupt_leaves_no_process_and_no_half_file(running: subprocess.Popen[str], out: Path) -> None:
    os.killpg(running.pid, signal.SIGINT)  # as a terminal does: to every process at once
    _, complaint = running.communicate(timeout=PATIENCE_SECONDS)
    assert running.returncode == 130
    assert complaint.splitlines() == ["interrupted; the files written are whole, and the same command starts again"]
    wait_until(lambda: group_is_gone(running.pid))
    assert_only_whole_files(out)
    assert list(out.rglob(".*")) == []
    assert json.loads((out / "simulation.json").read_text(encoding="utf-8"))["totals"] is None


def test_workers_leave_when_their_parent_is_killed(running: subprocess.Popen[str], out: Path) -> None:
    running.kill()
    running.wait()
    wait_until(lambda: group_is_gone(running.pid))
    assert_only_whole_files(out)
