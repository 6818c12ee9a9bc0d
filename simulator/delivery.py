"""The whole simulation, written to a landing folder by as many processes as help."""

import os
from collections.abc import Callable
from contextlib import closing
from dataclasses import astuple
from pathlib import Path
from typing import Final

import pyarrow.parquet as pq

from shared_code.readings import LANDING_COMPRESSORS, LANDING_MAINTENANCE, LANDING_STATIONS
from simulator.batches import belonging_to
from simulator.degradation import degradations_in, injected_breakdowns
from simulator.fleet import STATIONS, machines_at
from simulator.landing import Delivered, whole_file, write
from simulator.maintenance import maintenance_table
from simulator.manifest import DELIVERED_FOLDERS, Totals, record
from simulator.metadata import compressors_table, stations_table
from simulator.simulation import Simulation
from simulator.truth import SCHEMA, Injected, truth_table
from simulator.workers import delivered_in_order

WORTH_A_PROCESS: Final = 500_000
"""Readings below which starting another process takes longer than it saves."""
TRUTH_ROWS_HELD: Final = 100_000

Told = Callable[[int, int], None]
"""Called with the batches delivered so far and the batches in all."""


def simulate(simulation: Simulation, out: Path, processes: int, told: Told) -> Totals:
    """Write everything the simulation delivers under `out`, in `processes` processes; the bytes do not depend on it.

    Raises InvalidSimulation where so many machines cannot fail, OSError where a file cannot be written. Interrupted, it
    leaves whole files only, and a record of having begun, from which the same simulation may start again.
    """
    degradations_in(simulation, 0)  # refuses a number of failures that there is no room for
    for folder in DELIVERED_FOLDERS:
        (out / folder).mkdir(parents=True, exist_ok=True)
    record(out, simulation, None)
    _write_reference(simulation, out)
    totals = _write_readings(simulation, out, processes, told)
    record(out, simulation, totals)
    return totals


def usual_processes(simulation: Simulation) -> int:
    """As many processes as the machine offers this program and the amount of readings is worth."""
    return max(1, min(len(os.sched_getaffinity(0)), simulation.scheduled_readings // WORTH_A_PROCESS))


def _write_reference(simulation: Simulation, out: Path) -> None:
    tables = {
        f"{LANDING_STATIONS}/stations": stations_table(),
        f"{LANDING_COMPRESSORS}/compressors": compressors_table(simulation),
        f"{LANDING_MAINTENANCE}/maintenance_events": maintenance_table(simulation),
    }
    for name, table in tables.items():
        path = out / f"{name}.{simulation.file_format}"
        write(belonging_to(simulation, table), path, simulation.file_format, simulation.end)


def _write_readings(simulation: Simulation, out: Path, processes: int, told: Told) -> Totals:
    totals = Totals()
    batches = _batches(simulation)
    with (
        whole_file(out / "truth" / "faults.parquet", simulation.end) as unfinished,
        pq.ParquetWriter(unfinished, SCHEMA) as truth,
        closing(delivered_in_order(simulation, out, batches, processes)) as deliveries,
    ):
        held = list(injected_breakdowns(simulation))
        for done, delivered in enumerate(deliveries, start=1):
            totals = _with(totals, delivered)
            held.extend(delivered.injected)
            if len(held) >= TRUTH_ROWS_HELD:
                held = _flush(truth, held)
            told(done, len(batches))
        _flush(truth, held)
    return totals


def _batches(simulation: Simulation) -> list[tuple[int, int]]:
    """Station and batch number of every batch, in order of time."""
    stations = [station for station in range(len(STATIONS)) if len(machines_at(simulation, station))]
    return [(station, batch) for batch in range(simulation.batches) for station in stations]


def _with(totals: Totals, delivered: Delivered) -> Totals:
    one = (
        delivered.rows,
        delivered.rows * delivered.files,
        delivered.files,
        delivered.files if delivered.late else 0,
        delivered.files - 1,
    )
    return Totals(*(total + more for total, more in zip(astuple(totals), one, strict=True)))


def _flush(truth: pq.ParquetWriter, held: list[Injected]) -> list[Injected]:
    truth.write_table(truth_table(held))
    return []
