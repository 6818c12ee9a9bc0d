"""CPU seconds of the Spark job on the standard week, warm, beside DuckDB making the same windows from the same files.

Warm means: the files are in the page cache; bytecode is compiled and Java's class archive is made, which `make` does at
installation. The embedded PostgreSQL is not counted; Python, Java and Spark's Python workers are, from process start to
process end.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from shared_code.settings import ROOT

RUNS = 3

WINDOWS = """
    COPY (
        WITH readings AS (
            SELECT DISTINCT ON (compressor_id, timestamp) *
            FROM read_parquet('{landing}/readings/*.parquet', filename = true)
            ORDER BY compressor_id, timestamp, filename DESC
        ),
        usable AS (
            SELECT compressor_id, timestamp, date_trunc('hour', timestamp) AS hour,
                   CASE WHEN vibration_mms BETWEEN 0 AND 50 THEN vibration_mms END AS vibration,
                   CASE WHEN discharge_temp_f BETWEEN -40 AND 500 THEN discharge_temp_f END AS temperature,
                   CASE WHEN suction_pressure_psi BETWEEN 0 AND 500 THEN suction_pressure_psi END AS suction,
                   CASE WHEN discharge_pressure_psi BETWEEN 0 AND 3000 THEN discharge_pressure_psi END AS discharge,
                   CASE WHEN horsepower_consumption BETWEEN 0 AND 10000 THEN horsepower_consumption END AS horsepower,
                   CASE WHEN gas_flow_mcf BETWEEN 0 AND 100000 THEN gas_flow_mcf END AS flow
            FROM readings
        ),
        ends AS (
            SELECT DISTINCT compressor_id, hour + INTERVAL 1 HOUR AS agg_timestamp, length
            FROM usable, (VALUES (1), (4), (24)) AS w (length)
        )
        SELECT e.compressor_id, e.length, e.agg_timestamp, count(*) AS reading_count,
               avg(vibration), stddev_samp(vibration), max(vibration), min(vibration),
               avg(temperature), stddev_samp(temperature), max(temperature),
               arg_min(temperature, timestamp), arg_max(temperature, timestamp),
               avg(suction), stddev_samp(suction), min(suction),
               avg(discharge), stddev_samp(discharge), max(discharge),
               avg(discharge - suction), avg(horsepower), stddev_samp(horsepower), avg(flow)
        FROM ends AS e JOIN usable AS u
          ON u.compressor_id = e.compressor_id
         AND u.timestamp >= e.agg_timestamp - to_hours(e.length) AND u.timestamp < e.agg_timestamp
        GROUP BY e.compressor_id, e.length, e.agg_timestamp
    ) TO '{out}' (FORMAT parquet)
"""


def measured(*command: str, environment: Mapping[str, str] | None = None) -> tuple[float, float]:
    """Run a command; return its CPU seconds, children included, and its wall seconds."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(command, check=True, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)  # noqa: S603 - our own programs
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, time.monotonic() - began


def job_command(landing: Path, scratch: Path, name: str, **environment: str) -> tuple[list[str], dict[str, str]]:
    """Return how to run the job on a landing folder with a lake and a database of its own."""
    database = {"ALTAVIZ_DATABASE_DIR": str(scratch / f"{name}-db")}
    lake = str(scratch / f"{name}-lake")
    command = [sys.executable, "-m", "etl_job", "--landing", str(landing), "--lake", lake]
    # Bytecode that may not be written would be compiled again in each of the job's processes.
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    return command, {**kept, **database, **environment}


def job(landing: Path, scratch: Path, name: str, **environment: str) -> tuple[float, float]:
    """Run the job; return its CPU and wall seconds."""
    command, surroundings = job_command(landing, scratch, name, **environment)
    return measured(*command, environment=surroundings)


def main() -> None:
    """Measure and print one line of JSON."""
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        landing = scratch / "landing"
        measured(sys.executable, "-m", "simulator", "--out", str(landing))
        runs = [job(landing, scratch, f"run{number}") for number in range(RUNS)]
        statement = WINDOWS.format(landing=landing, out=scratch / "windows.parquet")
        peer = [measured(sys.executable, "-c", f"import duckdb; duckdb.execute({statement!r})") for _ in range(RUNS)]
    best, best_peer = min(runs), min(peer)
    print(
        json.dumps(
            {
                "work": "standard week, landing to SQL",
                "cpu_seconds": round(best[0], 1),
                "wall_seconds": round(best[1], 1),
                "all_cpu_seconds": [round(cpu, 1) for cpu, _ in runs],
                "duckdb_windows_cpu_seconds": round(best_peer[0], 1),
                "cpu_ratio_to_duckdb": round(best[0] / best_peer[0], 1),
            }
        )
    )


if __name__ == "__main__":
    main()
