# What Arrow's stubs leave open.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from etl_job.arrays import arrow_schema
from etl_job.delta_tables import MACHINE_DAYS_SCHEMA, PARTIALS_SCHEMA
from etl_job.foretell import judged
from etl_job.prediction import models
from etl_job.prediction.hours import COLUMNS
from tests.factories.landing import HOUR, MONDAY

DAY = timedelta(days=1)
MACHINES = ("COMP-001", "COMP-002")
FACTS = pa.schema([("model", pa.string()), ("resets", pa.string()), ("since", pa.date32())])
OWN = [("organization_id", pa.string()), ("compressor_id", pa.string())]
ROWS = pa.unify_schemas(
    [
        pa.schema(OWN),
        FACTS,
        pa.schema([arrow_schema(PARTIALS_SCHEMA).field(name) for name in COLUMNS]),
        pa.schema([field for field in arrow_schema(MACHINE_DAYS_SCHEMA) if field.name not in {"resets", "batch_id"}]),
    ]
)
RESETS = str(int((MONDAY + 3 * DAY + 5 * HOUR).timestamp()) // 3600)


def partials(machine: str, hours: range) -> list[dict[str, Any]]:
    random = np.random.default_rng(MACHINES.index(machine))
    drawn = random.normal(size=(24 * 30, 3))
    found: list[dict[str, Any]] = []
    for hour in hours:
        worn = max(hour - 150, 0) / 72 if machine == "COMP-002" else 0.0
        values = {
            "vibration_mms": 3 + 0.1 * drawn[hour, 0] + 6 * worn,
            "discharge_temp_f": 200 + drawn[hour, 1] + 60 * worn,
            "discharge_pressure_psi": 1040 + 5 * drawn[hour, 2] + 200 * worn * (-1) ** hour,
            "horsepower_consumption": 1300.0,
            "gas_flow_mcf": 9700.0,
            "suction_pressure_psi": 60.0,
        }
        row: dict[str, Any] = {f"{name}_mean": value for name, value in values.items()}
        row |= {f"{name}_n": 6 for name in values} | {f"{name}_m2": 0.5 for name in values}
        found.append({"hour": MONDAY + hour * HOUR, **{name: row[name] for name in COLUMNS if name != "hour"}})
    return found


def judge(hours: range, since: datetime, kept: list[dict[str, Any]]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for machine in MACHINES:
        own = {"organization_id": "an organization", "compressor_id": machine}
        rows.append({**own, "model": "Ajax DPC-360", "resets": RESETS, "since": since.date()})
        rows += [{**own, **row} for row in partials(machine, hours)]
    days = [{name: row[name] for name in ROWS.names if name not in {*FACTS.names, *COLUMNS}} for row in kept]
    table = pa.Table.from_pylist([*rows, *days], ROWS)
    return judged(table, models.shipped(), 6, "a batch").to_pylist()


def key(row: dict[str, Any]) -> tuple[str, date, datetime]:
    return row["compressor_id"], row["date"], row["predicted_at"] or MONDAY - DAY


def test_hour_by_hour_it_comes_out_as_at_once() -> None:
    at_once = judge(range(240), MONDAY, [])
    known: dict[tuple[str, date, datetime], dict[str, Any]] = {}
    for end in (*range(1, 30), 100, 101, 190, 191, 192, 193, 240):
        since = MONDAY + (max(end - 90, 0) if end >= 100 else end - 1) // 24 * DAY
        first = max((since - MONDAY) // HOUR - 120, 0)
        kept = [row for row in known.values() if row["predicted_at"] is None and row["date"] < since.date()]
        known |= {key(row): row for row in judge(range(first, end), since, kept)}
    assert sorted(known.values(), key=key) == sorted(at_once, key=key)


def test_every_hour_has_a_row_every_day_is_kept_and_the_failing_machine_is_an_alarm() -> None:
    found = judge(range(240), MONDAY, [])
    hours = [row for row in found if row["predicted_at"]]
    days = [row for row in found if not row["predicted_at"]]
    assert len(hours) == 480
    assert {row["predicted_at"] for row in hours} == {MONDAY + hour * HOUR for hour in range(1, 241)}
    assert len(days) == 20
    assert {row["resets"] for row in days if row["date"] >= (MONDAY + 3 * DAY).date()} == {RESETS}
    assert {row["resets"] for row in days if row["date"] < (MONDAY + 3 * DAY).date()} == {""}
    alarms = {row["compressor_id"] for row in hours if row["health"] and row["health"] >= row["threshold"]}
    assert "COMP-002" in alarms
    bounds = {row["compressor_id"] for row in hours if row["remaining_hours"] is not None}
    assert bounds <= alarms
