"""Landing files as gateways write them, small enough to read by eye."""

# What Arrow's stubs leave open.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import io
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)

INSTANT = pa.timestamp("us", tz="UTC")
NORMAL = {
    "vibration_mms": (3.0, 0.1),
    "discharge_temp_f": (200.0, 1.0),
    "suction_pressure_psi": (60.0, 0.5),
    "discharge_pressure_psi": (1050.0, 5.0),
    "horsepower_consumption": (1400.0, 10.0),
    "gas_flow_mcf": (10000.0, 50.0),
}
"""Field -> (usual value, how far it strays)."""
STRAYING = (0.0, 0.7, -0.3, 0.9, -0.8, 0.2, -0.6)


def readings(
    compressor_id: str = "COMP-001",
    *,
    start: datetime = MONDAY,
    count: int = 6,
    organization_id: UUID | str | None = None,
    shift: float = 0.0,
    columns: Mapping[str, Sequence[Any]] | None = None,
) -> pa.Table:
    """Return readings ten minutes apart of a machine that runs well.

    Args:
        compressor_id: the machine.
        start: when the first was taken.
        count: how many.
        organization_id: the owner; the column is left out where there is none.
        shift: added to every vibration, to tell machines apart.
        columns: whole columns to put in the place of the made ones.
    """
    times = [start + i * 10 * MINUTE for i in range(count)]
    steps = [int((at - MONDAY) / (10 * MINUTE)) for at in times]
    made: dict[str, Any] = {"organization_id": [str(organization_id)] * count} if organization_id else {}
    made |= {"compressor_id": [compressor_id] * count, "timestamp": pa.array(times, INSTANT)}
    for place, (field, (usual, stray)) in enumerate(NORMAL.items()):
        made[field] = [usual + stray * STRAYING[(step + place) % len(STRAYING)] for step in steps]
    made["vibration_mms"] = [value + shift for value in made["vibration_mms"]]
    made["operating_hours"] = [20_000 + (at - MONDAY) / HOUR for at in times]
    return pa.table({**made, **(columns or {})})


def with_value(table: pa.Table, field: str, row: int, value: object) -> pa.Table:
    """Return the table with one value replaced."""
    values = table.column(field).to_pylist()
    values[row] = value
    return with_column(table, field, pa.array(values, table.schema.field(field).type))


def with_column(table: pa.Table, field: str, values: Any) -> pa.Table:  # noqa: ANN401 - whatever Arrow takes
    """Return the table with one column replaced."""
    return table.set_column(table.column_names.index(field), field, values)


def as_parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def as_csv(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pyarrow.csv.write_csv(table, sink, pyarrow.csv.WriteOptions(quoting_style="none"))
    return sink.getvalue()


def deliver(landing: Path, name: str, content: pa.Table | bytes, *, at: datetime) -> Path:
    """Put a file into `readings/` as if it had arrived at that time; a table becomes what the name's ending says."""
    encoders = {".csv": as_csv, ".parquet": as_parquet}
    whole = content if isinstance(content, bytes) else encoders[Path(name).suffix](content)
    return _put(landing / "readings" / name, whole, at)


def deliver_fleet(landing: Path, machines: Sequence[str], *, organization_id: UUID | None = None) -> None:
    """Say that an organization has these machines, all at one station."""
    owner = {"organization_id": str(organization_id)} if organization_id else {}
    station: dict[str, object] = {
        **owner,
        "station_id": "STATION-A",
        "station_name": "Eagle Ford Station A",
        "latitude": 28.9144,
        "longitude": -98.5242,
        "timezone": "America/Chicago",
    }
    compressors: list[dict[str, object]] = [
        {**owner, "compressor_id": name, "model": "Ajax DPC-360", "horsepower": 1340, "station_id": "STATION-A"}
        for name in machines
    ]
    file = f"{organization_id or 'fleet'}.parquet"
    _put(landing / "metadata" / "stations" / file, as_parquet(pa.Table.from_pylist([station])), MONDAY)
    _put(landing / "metadata" / "compressors" / file, as_parquet(pa.Table.from_pylist(compressors)), MONDAY)


def _put(path: Path, content: bytes, at: datetime) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (at.timestamp(), at.timestamp()))
    return path
