import os
import time
from pathlib import Path

import pytest

from etl_job.effort import LITTLE_BYTES, is_little, little_has_arrived


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    folder = tmp_path / "landing" / "readings"
    folder.mkdir(parents=True)
    return folder.parent


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "lake" / "_checkpoints" / "landing"
    (folder / "commits").mkdir(parents=True)
    return folder


def file_of(path: Path, size: int) -> None:
    with path.open("wb") as file:
        file.truncate(size)


def done(checkpoint: Path, number: int, *, seconds_from_now: float) -> None:
    """Note a batch as done."""
    commit = checkpoint / "commits" / str(number)
    commit.touch()
    instant = time.time() + seconds_from_now
    os.utime(commit, (instant, instant))


def test_files_are_added_up(landing: Path) -> None:
    file_of(landing / "readings" / "a", LITTLE_BYTES // 2)
    file_of(landing / "readings" / "b", LITTLE_BYTES // 2 - 1)
    assert is_little(landing)

    file_of(landing / "readings" / "c", 1)
    assert not is_little(landing)


def test_an_empty_folder_is_little(landing: Path) -> None:
    assert is_little(landing)


def test_before_the_first_batch_everything_has_arrived(landing: Path, tmp_path: Path) -> None:
    file_of(landing / "readings" / "a", LITTLE_BYTES)

    assert not little_has_arrived(landing, tmp_path / "no such lake")


def test_what_came_before_the_last_batch_was_done_does_not_count(landing: Path, checkpoint: Path) -> None:
    file_of(landing / "readings" / "a", LITTLE_BYTES)
    done(checkpoint, 0, seconds_from_now=-60)
    assert not little_has_arrived(landing, checkpoint)

    done(checkpoint, 1, seconds_from_now=60)
    assert little_has_arrived(landing, checkpoint)


def test_a_copy_of_an_old_file_is_new(landing: Path, checkpoint: Path) -> None:
    done(checkpoint, 0, seconds_from_now=-60)
    file_of(landing / "readings" / "a", LITTLE_BYTES)
    os.utime(landing / "readings" / "a", (0, 0))

    assert not little_has_arrived(landing, checkpoint)
