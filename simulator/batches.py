"""One batch of a station's gateway: its readings as a table, and the truth about them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shared_code.readings import COMPRESSOR, OPERATING_HOURS, ORGANIZATION, REQUIRED_FIELDS, SENSOR_FIELDS, TIMESTAMP
from simulator.degradation import degradations_at, degrade
from simulator.faults import apply_faults, faults_in, injected_faults
from simulator.fleet import Fleet, machines_at
from simulator.sensors import Readings, healthy_readings, operating_hours, rounded
from simulator.simulation import Simulation
from simulator.truth import INSTANT, Injected

Column = Any
"""An Arrow array, whose class is generic in its stubs and not at run time."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What one gateway collected in six hours, ordered by timestamp and compressor, and what was injected in it."""

    table: pa.Table
    injected: list[Injected]


def collect(simulation: Simulation, station: int, batch: int) -> Batch:
    """The batch with this number of one station's gateway, which has at least one machine."""
    gateway = machines_at(simulation, station)
    degradations = degradations_at(simulation, gateway, batch)
    readings = healthy_readings(simulation, gateway, station, batch)
    degrade(readings, gateway, degradations, simulation.minutes_of(batch))
    faults = faults_in(simulation, gateway, station, batch, degradations)
    delivered = apply_faults(rounded(readings), faults)
    table = _table(simulation, gateway, batch, readings)
    if not delivered.all():
        table = table.filter(pa.array(delivered.ravel()))
    return Batch(table, injected_faults(simulation, gateway, batch, faults))


def _table(simulation: Simulation, gateway: Fleet, batch: int, readings: Readings) -> pa.Table:
    minutes = simulation.minutes_of(batch)
    rows = len(minutes) * len(gateway)
    machine = np.arange(rows, dtype=np.int32) % np.int32(len(gateway))
    columns: dict[str, Column] = {
        COMPRESSOR: _repeating(machine, gateway.compressor_id.tolist()),
        TIMESTAMP: pa.array(np.repeat(simulation.instants(minutes), len(gateway)), INSTANT),
        OPERATING_HOURS: pa.array(operating_hours(simulation, gateway, batch).ravel()),
    }
    for field, series in zip(SENSOR_FIELDS, readings, strict=True):
        columns[field] = _nullable(series.ravel())
    return belonging_to(simulation, pa.Table.from_pydict({field: columns[field] for field in REQUIRED_FIELDS}))


def _nullable(values: NDArray[np.float64]) -> Column:
    lost = np.isnan(values)
    return pa.array(values, mask=lost) if lost.any() else pa.array(values)


def belonging_to(simulation: Simulation, table: pa.Table) -> pa.Table:
    """The table with the simulation's organization, where it has one, as its first column."""
    if simulation.organization is None:
        return table
    everywhere = _repeating(np.zeros(len(table), dtype=np.int32), [str(simulation.organization)])
    return table.add_column(0, ORGANIZATION, everywhere)


def _repeating(which: NDArray[np.int32], names: list[str]) -> Column:
    """A column of few different names, each held once."""
    column: Column = pa.DictionaryArray.from_arrays(which, pa.array(names, pa.string()))  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return column
