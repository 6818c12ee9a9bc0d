# What Arrow's stubs leave open.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportArgumentType=false, reportMissingTypeArgument=false
"""A Silver table with readings, as the job leaves it, without the job."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
from deltalake import write_deltalake

from shared_code.identifiers import OrganizationId
from shared_code.readings import SENSOR_FIELDS

NORMAL = {
    "vibration_mms": 3.0,
    "discharge_temp_f": 200.0,
    "suction_pressure_psi": 60.0,
    "discharge_pressure_psi": 1050.0,
    "horsepower_consumption": 1400.0,
    "gas_flow_mcf": 10_000.0,
}


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine's readings, ten minutes apart from `start` on; normal but for what is named, by sensor or flag."""

    organization_id: OrganizationId
    compressor_id: str
    start: datetime
    count: int
    columns: Mapping[str, Sequence[float | str | None]] = field(default_factory=dict[str, Sequence[float | str | None]])

    def table(self) -> pa.Table:
        at = [self.start + number * timedelta(minutes=10) for number in range(self.count)]
        columns: dict[str, pa.Array] = {
            "organization_id": pa.array([str(self.organization_id)] * self.count),
            "compressor_id": pa.array([self.compressor_id] * self.count),
            "timestamp": pa.array(at, pa.timestamp("us", tz="UTC")),
            "date": pa.array([each.date() for each in at], pa.date32()),
        }
        for name in SENSOR_FIELDS:
            columns[name] = pa.array(self.columns.get(name, [NORMAL[name]] * self.count), pa.float64())
        for name in (*(f"{name}_flag" for name in SENSOR_FIELDS), "clock_flag"):
            columns[name] = pa.array(self.columns.get(name, [None] * self.count), pa.string())
        return pa.table(columns)


def deliver(lake: Path, *machines: Machine) -> None:
    """Append machines' readings to the Silver table of a lake: those of a day in one file, whosever they are."""
    rows = pa.concat_tables([machine.table() for machine in machines])
    write_deltalake(str(lake / "silver" / "sensor_readings"), rows, partition_by=["date"], mode="append")
