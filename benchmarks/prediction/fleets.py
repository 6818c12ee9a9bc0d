"""Simulated fleets as the Spark job would see them by the hour, without Spark: the same rules, the same sums."""

# Arrow's stubs leave its arrays untyped:
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeArgument=false, reportCallIssue=false
# pyright: reportArgumentType=false

from collections.abc import Iterator
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from etl_job import quality
from etl_job.aggregate import hourly
from etl_job.prediction.hours import hours_of
from etl_job.prediction.training import History, Outage
from shared_code.arrays import codes, floats, integers
from shared_code.readings import COMPRESSOR, OPERATING_HOURS, ORGANIZATION, SENSOR_FIELDS, STUCK, TIMESTAMP
from shared_code.thresholds import thresholds
from simulator.batches import collect
from simulator.degradation import breakdowns
from simulator.fleet import MODELS, STATIONS, machines_at, whole_fleet
from simulator.maintenance import maintenance_table
from simulator.simulation import Simulation

MINUTES_AN_HOUR: Final = 60
RESETTING: Final = ("scheduled", "unscheduled")
STUCK_FLAG: Final = quality.VALUE_FLAGS.index(STUCK)


def histories(simulation: Simulation) -> list[History]:
    """Return every machine's hours, with what befell it."""
    fleet = whole_fleet(simulation)
    start = int(simulation.start.timestamp() // 3600)
    outages: dict[str, list[Outage]] = {}
    for b in breakdowns(simulation):
        instants = (start + minutes / MINUTES_AN_HOUR for minutes in (b.onset, b.failure, b.repair))
        outages.setdefault(str(fleet.compressor_id[b.machine]), []).append(Outage(*instants))
    resets: dict[str, list[int]] = {}
    for event in maintenance_table(simulation).to_pylist():
        if event["event_type"] in RESETTING:
            hour = -(-int(event["event_date"].timestamp()) // 3600)
            resets.setdefault(event["compressor_id"], []).append(hour)
    models = dict(zip(fleet.compressor_id.tolist(), (MODELS[model].name for model in fleet.model), strict=True))
    return [
        History(name, models[name], hours_of(partials), outages.get(name, []), resets.get(name, []))
        for name, partials in _partials(simulation)
    ]


def _partials(simulation: Simulation) -> Iterator[tuple[str, pa.Table]]:
    for station in range(len(STATIONS)):
        if not len(machines_at(simulation, station)):
            continue
        batches = [collect(simulation, station, batch).table for batch in range(simulation.batches)]
        readings = pa.concat_tables(batches).unify_dictionaries().combine_chunks()
        name = readings.column(COMPRESSOR).cast(pa.string())
        readings = readings.set_column(0, COMPRESSOR, name)
        by_hour = hourly(_flagged(readings), "")
        for machine in map(str, by_hour.column(COMPRESSOR).unique().to_pylist()):
            yield machine, by_hour.filter(pc.equal(by_hour.column(COMPRESSOR), machine))


def _flagged(readings: pa.Table) -> pa.Table:
    """Return readings in order, doubted values left out as statistics leave them out."""
    machine, at = codes(readings.column(COMPRESSOR)), integers(readings.column(TIMESTAMP))
    order = np.lexsort((at, machine))
    readings, machine, at = readings.take(pa.array(order)), machine[order], at[order]
    values = {field: floats(readings.column(field)) for field in SENSOR_FIELDS}
    lost = {field: readings.column(field).is_null().to_numpy() for field in SENSOR_FIELDS}
    nothing = np.zeros(len(at), dtype=bool)
    channels = {field: quality.Channel(values[field], lost[field], nothing) for field in SENSOR_FIELDS}
    counter = floats(readings.column(OPERATING_HOURS))
    flags, clock = quality.flag(quality.Timeline(machine, at), channels, counter, thresholds())
    doubted = sum(((each >= 0) for each in flags.values()), start=nothing.astype(np.int64))
    columns = {
        field: np.where(((flags[field] < 0) | (flags[field] == STUCK_FLAG)) & ~clock, values[field], np.nan)
        for field in SENSOR_FIELDS
    }
    zeros = np.zeros(len(at), dtype=np.int32)
    return pa.table(
        {
            ORGANIZATION: pa.repeat("simulated", len(at)),
            COMPRESSOR: readings.column(COMPRESSOR),
            TIMESTAMP: readings.column(TIMESTAMP),
            "delivered_at": readings.column(TIMESTAMP),
            **{field: pa.array(column, from_pandas=True) for field, column in columns.items()},
            "suspect_readings": pa.array((doubted > 0).astype(np.int32)),
            "clock_readings": pa.array(clock.astype(np.int32)),
            "received_values": pa.array(zeros + len(SENSOR_FIELDS)),
            "usable_values": pa.array(zeros + len(SENSOR_FIELDS)),
        }
    )
