"""`python -m tests.etl_job.killed_run POINT ...`: the job, killed with everything it started at a commit point.

The process ends itself, its Java and its Python workers by SIGKILL, so nothing of them has a last word.
"""

import os
import signal
import sys

import pytest

from etl_job.__main__ import program
from tests.etl_job.commit_points import CommitPoints, watch


def kill(point: str) -> None:
    print(point, end="", flush=True)  # noqa: T201 - who started this wants to know
    os.killpg(os.getpgid(0), signal.SIGKILL)


if __name__ == "__main__":
    watch(CommitPoints(int(sys.argv[1]), kill), pytest.MonkeyPatch())
    sys.argv = [sys.argv[0], *sys.argv[2:]]
    program()
