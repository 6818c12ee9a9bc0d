"""Measures the simulator at ten million readings: `python -m benchmarks.simulator` prints one line of JSON."""

import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

COMPRESSORS, DAYS = 1000, 70
SAMPLE_SECONDS = 0.2
ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Run the command as a user would, start-up included, into a folder that is removed again."""
    with tempfile.TemporaryDirectory(prefix="altaviz-simulator-") as folder:
        command = ["--out", f"{folder}/landing", "--compressors", str(COMPRESSORS), "--days", str(DAYS)]
        began = time.perf_counter()
        running = subprocess.Popen(  # noqa: S603  (our own command)
            [sys.executable, "-m", "simulator", *command], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        memory = _PeakMemory(running.pid)
        if running.wait() != 0:
            sys.exit(f"the simulator ended with exit code {running.returncode}")
        seconds = time.perf_counter() - began
        rows = json.loads(Path(folder, "landing", "simulation.json").read_text(encoding="utf-8"))["totals"]["readings"]
        peak_mb = memory.stop()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    measured = {
        "rows": rows,
        "seconds": round(seconds, 2),
        "rows_per_second": round(rows / seconds),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 2),
        "peak_memory_mb": round(peak_mb),
    }
    print(json.dumps(measured))


class _PeakMemory:
    """Watches the memory of a process and all below it; pages they share count once (Linux)."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._peak = 0.0
        self._done = threading.Event()
        self._watch = threading.Thread(target=self._sample, daemon=True)
        self._watch.start()

    def stop(self) -> float:
        """End watching; returns the highest sum seen, in MB."""
        self._done.set()
        self._watch.join()
        return self._peak

    def _sample(self) -> None:
        while not self._done.wait(SAMPLE_SECONDS):
            self._peak = max(self._peak, sum(map(_memory_mb, _tree(self._pid))))


def _tree(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    except OSError:  # it ended meanwhile
        return []
    return [pid, *(below for child in children for below in _tree(int(child)))]


def _memory_mb(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


if __name__ == "__main__":
    main()
