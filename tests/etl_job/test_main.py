import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from shared_code.database import transactions
from shared_code.database.home import open_database
from shared_code.settings import DatabaseSettings, read
from tests.factories.landing import HOUR, MONDAY, as_parquet, deliver, deliver_fleet, readings

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    folder = tmp_path / "landing"
    deliver_fleet(folder, ["COMP-001"])
    deliver(folder, "a.parquet", readings(count=6), at=MONDAY + HOUR)
    return folder


def etl_job(tmp_path: Path, landing: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the program as a person would, with a database of its own."""
    own = {"ALTAVIZ_DATABASE_DIR": str(tmp_path / "database"), "SPARK_MASTER": "local[2]", "ETL_DRIVER_MEMORY": "1g"}
    command = [sys.executable, "-m", "etl_job", "--landing", str(landing), "--lake", str(tmp_path / "lake"), *options]
    return subprocess.run(  # noqa: S603 - our own program
        command, cwd=ROOT, env={**os.environ, **own, **environment}, check=False, capture_output=True, text=True
    )


def told(done: subprocess.CompletedProcess[str]) -> str:
    """Return what the program told its user, with the lines that a terminal breaks put together."""
    return " ".join(done.stderr.split())


def a_java(folder: Path, says: str) -> str:
    """Make a JAVA_HOME whose java says this when asked for its version."""
    program = folder / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho '{says}' >&2\n")
    program.chmod(0o755)
    return str(folder)


def test_a_missing_landing_folder_is_told_in_one_sentence(tmp_path: Path) -> None:
    done = etl_job(tmp_path, tmp_path / "nowhere")
    assert done.returncode == 2
    assert done.stdout == ""
    assert told(done).startswith("error: --landing ")
    assert told(done).endswith("no such folder")


def test_a_missing_option_is_bad_usage(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "etl_job", "--lake", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)  # noqa: S603 - our own program
    assert done.returncode == 2
    assert "--landing" in done.stderr


@pytest.mark.parametrize("says", ['openjdk version "11.0.2" 2019-01-15', 'java version "1.8.0_402"', "not today"])
def test_a_java_too_old_is_told_before_anything_slow(tmp_path: Path, landing: Path, says: str) -> None:
    done = etl_job(tmp_path, landing, JAVA_HOME=a_java(tmp_path / "jdk", says))
    assert done.returncode == 2
    assert "install a JDK, such as Debian's openjdk-17-jre-headless" in told(done)
    assert not (tmp_path / "database").exists()
    assert not (tmp_path / "lake").exists()


def test_no_java_is_told(tmp_path: Path, landing: Path) -> None:
    done = etl_job(tmp_path, landing, JAVA_HOME=str(tmp_path))
    assert done.returncode == 2
    assert "none was found" in told(done)


def test_a_setting_that_is_wrong_is_named(tmp_path: Path, landing: Path) -> None:
    done = etl_job(tmp_path, landing, ETL_FILES_PER_BATCH="many")
    assert done.returncode == 2
    assert "files_per_batch" in told(done)


def test_a_second_run_at_the_same_time_says_so_and_leaves_the_work_to_the_first(tmp_path: Path, landing: Path) -> None:
    database = open_database(read(DatabaseSettings, data_dir=tmp_path / "database"), now=MONDAY)
    with transactions.only_job(database, f"file://{tmp_path}/lake") as alone:
        assert alone
        second = etl_job(tmp_path, landing)
    database.dispose()
    assert (second.returncode, second.stdout) == (0, "")
    assert "another run is at work on this lake" in told(second)
    assert not (tmp_path / "lake").exists()


def test_what_stopped_spark_is_told_after_spark_is_gone(tmp_path: Path, landing: Path) -> None:
    (tmp_path / "lake").write_text("not a folder")
    done = etl_job(tmp_path, landing, "--task", "rebuild")
    assert done.returncode == 1
    assert "Parent path is not a directory" in told(done)


def test_runs_end_in_what_they_found(tmp_path: Path, landing: Path) -> None:
    good = etl_job(tmp_path, landing, "--json")
    assert (good.returncode, good.stdout.count("\n")) == (0, 1), good.stderr
    facts = json.loads(good.stdout)
    assert facts == facts | {"rows_read": 6, "rows_written": 6, "rows_quarantined": 0, "windows_published": 3}
    stages = ("fleet", "bronze", "silver", "partials", "windows", "predictions", "alarms", "publish")
    assert set(facts["seconds"]) == set(stages)

    deliver(landing, "broken.parquet", as_parquet(readings())[:-40], at=MONDAY + HOUR)
    deliver(landing, "b.parquet", readings(start=MONDAY + HOUR, count=6), at=MONDAY + 2 * HOUR)
    partly = etl_job(tmp_path, landing)
    assert partly.returncode == 3, partly.stderr
    assert "7 rows read from 2 files: 6 written, 0 repeated, 1 quarantined" in partly.stdout
    assert "quarantined: unreadable_file 1" in partly.stdout
