"""The Spark job over a fleet's whole history, stage by stage, beside DuckDB making windows from the same files.

1,000 machines, 70 days, 10 minutes: 10 million readings in one run, landing files to SQL. The embedded PostgreSQL is a
process of its own and shares the machine.
"""

import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.etl import job_command, measured
from shared_code.readings import SENSOR_FIELDS
from shared_code.settings import ROOT

MACHINES, DAYS = 1_000, 70
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


def main() -> None:
    """Measure and print one line of JSON."""
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        landing = scratch / "landing"
        fleet = ("--days", str(DAYS), "--compressors", str(MACHINES))
        measured(sys.executable, "-m", "simulator", "--out", str(landing), *fleet)
        command, environment = job_command(landing, scratch, "large")
        done = subprocess.run(  # noqa: S603 - our own program
            [*command, "--json"], check=True, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
        )
        # Of all processes so far, the job's Java is by far the largest.
        peak_megabytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
        facts = json.loads(done.stdout)
        statement = windows_in_duckdb(landing, scratch / "windows.parquet")
        _, peer = measured(sys.executable, "-c", f"import duckdb; duckdb.execute({statement!r})")
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
            }
        )
    )


if __name__ == "__main__":
    main()
