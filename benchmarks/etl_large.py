"""The Spark job over a fleet's whole history, beside DuckDB, and what little more costs on top of it.

1,000 machines, 70 days, 10 minutes: 10 million readings in one run, landing files to SQL. The embedded PostgreSQL is a
process of its own and shares the machine.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import duckdb

from benchmarks.etl import job_command, measured
from etl_job.__main__ import SOMETHING_KEPT_ASIDE, START
from shared_code.readings import SENSOR_FIELDS
from shared_code.settings import ROOT

MACHINES, DAYS, SMALL_DAYS = 1_000, 70, 7
HOURS = {"1hr": 0, "4hr": 3, "24hr": 23}
"""Window type -> hours before its last one."""


def windows_in_duckdb(landing: Path, out: Path) -> str:
    """Return SQL that makes hourly sums, and windows from them; no flags, and the same statistics for every sensor."""
    sums = ", ".join(
        f"count({field}) AS {field}_n, sum({field}) AS {field}_sum, sum({field} * {field}) AS {field}_squares, "
        f"min({field}) AS {field}_min, max({field}) AS {field}_max"
        for field in SENSOR_FIELDS
    )
    merged = ", ".join(
        f"sum({field}_sum) OVER w / sum({field}_n) OVER w AS {field}_mean, sum({field}_squares) OVER w AS {field}_sq, "
        f"min({field}_min) OVER w AS {field}_min, max({field}_max) OVER w AS {field}_max"
        for field in SENSOR_FIELDS
    )
    made = " UNION ALL ".join(
        f"SELECT compressor_id, '{name}' AS window_type, hour, sum(rows) OVER w AS rows, {merged} "  # noqa: S608 - our own names
        "FROM hourly WINDOW w AS (PARTITION BY compressor_id ORDER BY hour "
        f"RANGE BETWEEN INTERVAL {before} HOURS PRECEDING AND CURRENT ROW)"
        for name, before in HOURS.items()
    )
    return (
        f"COPY (WITH readings AS (SELECT DISTINCT ON (compressor_id, timestamp) * FROM "  # noqa: S608 - likewise
        f"read_parquet('{landing}/readings/*.parquet')), hourly AS (SELECT compressor_id, "
        f"date_trunc('hour', timestamp) AS hour, count(*) AS rows, {sums} FROM readings GROUP BY ALL) {made}) "
        f"TO '{out}' (FORMAT parquet)"
    )


def deliver(landing: Path, name: str, query: str) -> None:
    """Deliver one more file: what a query says of `arrived`, all the readings so far."""
    duckdb.execute(
        f"COPY (WITH arrived AS (SELECT * FROM read_parquet('{landing}/readings/*.parquet')) {query}) "  # noqa: S608 - our own names
        f"TO '{landing}/readings/{name}.parquet' (FORMAT parquet)"
    )


def one_more_hour() -> str:
    """Return a query: the last hour again, an hour later."""
    return (
        "SELECT DISTINCT ON (compressor_id, timestamp) * REPLACE (timestamp + INTERVAL 1 HOUR AS timestamp, "
        "operating_hours + 1 AS operating_hours) FROM arrived "
        "WHERE timestamp >= date_trunc('hour', (SELECT quantile_disc(timestamp, 0.999) FROM arrived))"
    )


def one_late_reading(days: int) -> str:
    """Return a query: one machine's last reading as if taken so many days before, between two others."""
    return (
        f"SELECT * REPLACE (timestamp - INTERVAL {days} DAYS - INTERVAL 5 MINUTES AS timestamp, "  # noqa: S608 - a number
        f"operating_hours - {days * 24} AS operating_hours) FROM arrived "
        "WHERE compressor_id = 'COMP-001' AND isfinite(vibration_mms) ORDER BY timestamp DESC LIMIT 1"
    )


def run(landing: Path, scratch: Path, name: str) -> dict[str, Any]:
    """Run the job; return its counts, and the wall seconds of the whole process and of Spark's start."""
    command, environment = job_command(landing, scratch, name)
    began = time.monotonic()
    done = subprocess.run(  # noqa: S603 - our own program
        [*command, "--json"], check=False, cwd=ROOT, env=environment, capture_output=True, text=True
    )
    wall = time.monotonic() - began
    if done.returncode not in {0, SOMETHING_KEPT_ASIDE}:
        raise RuntimeError(done.stderr)
    stages = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]  # Java writes there, too
    started = next(line["seconds"] for line in stages if line["stage"] == START)
    print(done.stdout, end="", file=sys.stderr, flush=True)
    return {**json.loads(done.stdout), "wall": wall, "start": started}


def increments(landing: Path, scratch: Path, name: str, days_late: int) -> dict[str, Any]:
    """Add an hour, then one late reading, to what has been taken in; return what each cost and changed."""
    told: dict[str, Any] = {}
    for what, query in (("hour", one_more_hour()), ("late", one_late_reading(days_late))):
        deliver(landing, what, query)
        facts = run(landing, scratch, name)
        told[what] = {
            "readings": facts["rows_read"],
            "windows_published": facts["windows_published"],
            "wall_seconds": round(facts["wall"], 1),
            "of_which_start_of_spark": round(facts["start"], 1),
        }
    return told


def simulated(landing: Path, days: int) -> None:
    """Simulate the fleet."""
    fleet = ("--days", str(days), "--compressors", str(MACHINES))
    measured(sys.executable, "-m", "simulator", "--out", str(landing), *fleet)


def main() -> None:
    """Measure and print one line of JSON."""
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        landing, small_landing = scratch / "landing", scratch / "small"
        simulated(landing, DAYS)
        facts = run(landing, scratch, "large")
        # Of all processes so far, the job's Java is by far the largest.
        peak_megabytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
        statement = windows_in_duckdb(landing, scratch / "windows.parquet")
        _, peer = measured(sys.executable, "-c", f"import duckdb; duckdb.execute({statement!r})")
        on_large = increments(landing, scratch, "large", 30)
        simulated(small_landing, SMALL_DAYS)
        run(small_landing, scratch, "small")
        on_small = increments(small_landing, scratch, "small", 3)
    seconds = facts["seconds"]
    gold = seconds["partials"] + seconds["windows"]
    print(
        json.dumps(
            {
                "work": f"{facts['rows_written']} readings, landing to SQL",
                "seconds": seconds,
                "landing_to_gold_seconds": round(seconds["bronze"] + seconds["silver"] + gold, 1),
                "java_peak_megabytes": peak_megabytes,
                "duckdb_windows_seconds": round(peer, 1),
                "gold_ratio_to_duckdb": round(gold / peer, 1),
                "windows_published_a_second": round(facts["windows_published"] / seconds["publish"]),
                "more_on_70_days": on_large,
                "more_on_7_days": on_small,
                "hour_ratio": round(on_large["hour"]["wall_seconds"] / on_small["hour"]["wall_seconds"], 2),
            }
        )
    )


if __name__ == "__main__":
    main()
