import os
import subprocess
import sys
from pathlib import Path

import pytest

from simulator.__main__ import main
from tests.simulator.landed import digest


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  (our own command)
        [sys.executable, "-m", "simulator", *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )


def test_the_command_says_in_one_line_what_it_wrote_and_reuses_it_when_run_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], out: Path
) -> None:
    first = run("--out", out, "--days", "1")
    assert first.returncode == 0
    assert first.stdout.startswith("14")
    assert "readings of 10 compressors over 1 days" in first.stdout
    assert first.stderr == ""
    before = digest(out)

    assert call(monkeypatch, "--out", str(out), "--days", "1") == 0
    assert "reusing" in capsys.readouterr().out
    assert digest(out) == before


def test_another_simulation_is_not_mixed_into_the_folder(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], out: Path
) -> None:
    assert call(monkeypatch, "--out", str(out), "--days", "1") == 0
    before = digest(out)
    assert call(monkeypatch, "--out", str(out), "--days", "1", "--seed", "1") == 2
    assert "other arguments" in capsys.readouterr().err
    assert digest(out) == before


def test_an_offset_in_the_start_is_turned_to_utc(monkeypatch: pytest.MonkeyPatch, out: Path) -> None:
    assert call(monkeypatch, "--out", str(out), "--days", "1", "--start", "2026-02-01T06:00:00+06:00") == 0
    assert '"start": "2026-02-01T00:00:00Z"' in (out / "simulation.json").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--compressors", "0"),
        ("--days", "0"),
        ("--days", "1.5"),
        ("--days", "soon"),
        ("--interval-minutes", "7"),
        ("--seed", "-1"),
        ("--format", "xlsx"),
        ("--organization", "acme"),
        ("--start", "yesterday"),
        ("--start", "1066-10-14"),
        ("--processes", "65"),
        ("--colour", "red"),
    ],
)
def test_a_bad_argument_is_told_in_one_line_and_writes_nothing(
    arguments: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    out: Path,
) -> None:
    assert call(monkeypatch, "--out", str(out), *arguments) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert told[0].startswith("error: ")
    assert not out.exists()


def test_out_is_required(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch) == 2
    assert "--out" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    assert call(monkeypatch, "--out", str(tmp_path / "file" / os.curdir / "below")) == 1
    assert capsys.readouterr().err.startswith("error: cannot write to")


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The command within this process."""
    monkeypatch.setattr(sys, "argv", ["simulator", *arguments])
    return main()
