"""How much there is to do, as far as files of this machine tell. It decides about speed alone."""

import itertools
from pathlib import Path
from typing import Final

LITTLE_BYTES: Final = 5_000_000


def little_has_arrived(landing: Path, checkpoint: Path) -> bool:
    """Whether the files that came since the last batch was done, by a streaming checkpoint, are little in all."""
    done = (commit.stat().st_mtime for commit in (checkpoint / "commits").glob("*"))
    return is_little(landing, since=max(done, default=0.0))


def is_little(folder: Path, *, since: float = 0.0) -> bool:
    """Whether the files that came to a folder since an instant (s since 1970) are little in all.

    When a file came is when its entry last changed: what it was copied from may be older.
    """
    found = (file.stat() for file in folder.rglob("*") if file.is_file())
    sizes = itertools.accumulate(file.st_size for file in found if file.st_ctime > since)
    return all(size < LITTLE_BYTES for size in sizes)
