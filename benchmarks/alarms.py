"""What the standard week's alarms say beside what the simulator put into it: `python -m benchmarks.alarms`.

Prints two lists, what was injected and what tells of it, and what was raised and what explains it; then their counts as
one line of JSON. It fails where a problem raised nothing, or an alarm has no explanation.
"""

import json
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import duckdb
from rich.console import Console
from rich.table import Table
from sqlalchemy import select

from benchmarks.etl import job, measured
from shared_code.database import transactions
from shared_code.database.home import open_database
from shared_code.database.tables import alert_history
from shared_code.readings import UNCHANGED
from shared_code.settings import DatabaseSettings, read

PROBLEMS: Final = {"degradation", "failure", "stuck"}
"""What has to raise an alarm. The rest are single values and gaps: flags, daily metrics and the workflow that looks for
silent machines tell of them."""

Row = Mapping[str, Any]

console = Console(width=160)


def main() -> None:
    """Simulate the week, take it in, and compare."""
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        landing = scratch / "landing"
        measured(sys.executable, "-m", "simulator", "--out", str(landing))
        job(landing, scratch, "week")
        injected = _injected(landing)
        alarms = _alarms(scratch / "week-db")
    told = [[alarm["rule"] for alarm in alarms if _tells_of(alarm, fault)] for fault in injected]
    explained = [[fault["kind"] for fault in injected if _explains(fault, alarm)] for alarm in alarms]
    _show("injected", ("compressor_id", "kind", "sensor", "start", "end"), injected, ("told by", told))
    _show("raised", ("compressor_id", "rule", "severity", "alert_timestamp", "message"), alarms, ("because", explained))
    missed = sum(not rules for fault, rules in zip(injected, told, strict=True) if fault["kind"] in PROBLEMS)
    unexplained = sum(not kinds for kinds in explained)
    counts = {"problems_missed": missed, "alarms": len(alarms), "alarms_without_explanation": unexplained}
    print(json.dumps({"work": "alarms of the standard week", **counts}))
    sys.exit(bool(missed or unexplained))


def _injected(landing: Path) -> list[Row]:
    faults = str(landing / "truth" / "faults.parquet")
    found = duckdb.execute("SELECT * FROM read_parquet(?) ORDER BY start, compressor_id", [faults])
    names = [name for name, *_ in found.description or ()]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _alarms(folder: Path) -> Sequence[Row]:
    database = open_database(read(DatabaseSettings, data_dir=folder), now=datetime.now(UTC))
    try:
        with transactions.owner(database) as connection:
            query = select(alert_history).order_by(alert_history.c.alert_timestamp)
            return [dict(row) for row in connection.execute(query).mappings()]
    finally:
        database.dispose()


def _tells_of(alarm: Row, fault: Row) -> bool:
    """Whether an alarm of this problem stood while it lasted."""
    began_in_time = alarm["alert_timestamp"] < fault["end"]
    return _is_of(fault, alarm) and began_in_time and (alarm["cleared_at"] or fault["end"]) > fault["start"]


def _explains(fault: Row, alarm: Row) -> bool:
    """Whether what an alarm tells of began while this problem lasted."""
    return _is_of(fault, alarm) and fault["start"] <= alarm["onset_at"] < fault["end"]


def _is_of(fault: Row, alarm: Row) -> bool:
    if fault["kind"] not in PROBLEMS or fault["compressor_id"] != alarm["compressor_id"]:
        return False
    of_a_sensor = alarm["sensor_name"] in UNCHANGED.values()
    return alarm["sensor_name"] == UNCHANGED[fault["sensor"]] if fault["kind"] == "stuck" else not of_a_sensor


def _show(title: str, columns: Sequence[str], rows: Iterable[Row], more: tuple[str, Sequence[Sequence[str]]]) -> None:
    heading, found = more
    table = Table(title=title)
    for column in (*columns, heading):
        table.add_column(column)
    for row, names in zip(rows, found, strict=True):
        table.add_row(*(_cell(row[column]) for column in columns), ", ".join(dict.fromkeys(names)) or "-")
    console.print(table)


def _cell(value: object) -> str:
    return f"{value.astimezone(UTC):%Y-%m-%d %H:%M}" if isinstance(value, datetime) else str(value or "")


if __name__ == "__main__":
    main()
