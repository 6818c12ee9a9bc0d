"""The maintenance log: routine services and inspections, failures and the repairs that follow them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID, uuid5

import numpy as np
import pyarrow as pa

from simulator.degradation import breakdowns
from simulator.fleet import whole_fleet
from simulator.randomness import Purpose, generator
from simulator.simulation import DAY_MINUTES, Simulation
from simulator.truth import INSTANT

NAMESPACE: Final = UUID("6a0f6f0e-6f8e-5d0b-9a57-52f0f4f3c1aa")
"""Of event ids: the same event of the same simulation has the same id wherever it is made."""
LOG_DAYS: Final = 365
"""How far before the start the log reaches back."""
SCHEMA: Final = pa.schema(
    [
        ("event_id", pa.string()),
        ("compressor_id", pa.string()),
        ("event_date", INSTANT),
        ("event_type", pa.string()),
        ("description", pa.string()),
        ("downtime_hours", pa.float64()),
        ("severity", pa.string()),
        ("cost_usd", pa.float64()),
    ]
)


@dataclass(frozen=True, slots=True)
class Work:
    """A kind of entry; downtime in hours and cost in US dollars are what it takes on average."""

    event_type: str
    description: str
    severity: str
    downtime_hours: float
    cost_usd: float
    every_days: int = 0
    """How often it is due; 0 is only when something broke."""


ROUTINE: Final = (
    Work("scheduled", "Quarterly service: oil and filters changed; valves and rod packing checked", "low", 6, 4200, 90),
    Work("inspection", "Monthly inspection: vibration route; leaks and bolt torque checked", "low", 1, 650, 30),
)
FAILURE: Final = Work(
    "failure", "Failed: crosshead bearing worn; high vibration and discharge temperature", "critical", 4, 12_000
)
REPAIR: Final = Work("unscheduled", "Repaired: bearing and packing replaced; crosshead realigned", "high", 16, 48_000)
COST_SPREAD: Final = 0.2
"""How far downtime and cost of one entry lie from the average at most, as a share of it."""


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of the log; `share` in [0, 1) places its downtime and cost within their spread."""

    compressor_id: str
    event_date: datetime
    work: Work
    share: float


def maintenance_table(simulation: Simulation) -> pa.Table:
    """The log from a year before the start to the end of the period, as rows of SCHEMA, oldest first."""
    events = sorted(
        (*_routine(simulation), *_breakdowns(simulation)),
        key=lambda event: (event.event_date, event.compressor_id, event.work.event_type),
    )
    return pa.Table.from_pylist([_row(simulation, event) for event in events], schema=SCHEMA)


def _routine(simulation: Simulation) -> Iterator[Event]:
    """Services and inspections, each machine on its own day of the cycle, in working hours of the stations."""
    ids = whole_fleet(simulation).compressor_id.tolist()
    for kind, work in enumerate(ROUTINE):
        drawn = generator(simulation.seed, Purpose.MAINTENANCE, kind).random((len(ids), 3))
        first_days = -LOG_DAYS + np.floor(drawn[:, 0] * work.every_days)
        minutes_of_day = 14 * 60 + np.floor(drawn[:, 1] * 8 * 60)
        for name, first, minute, share in zip(ids, first_days, minutes_of_day, drawn[:, 2], strict=True):
            for day in range(int(first), simulation.days, work.every_days):
                # The share wanders from entry to entry, so that no two bills of a machine are the same.
                yield Event(name, _time_of_day(simulation, day, minute), work, (share + 0.618 * day) % 1)


def _time_of_day(simulation: Simulation, day: int, minute: float) -> datetime:
    return simulation.instant(day * DAY_MINUTES + minute)


def _breakdowns(simulation: Simulation) -> Iterator[Event]:
    ids = whole_fleet(simulation).compressor_id.tolist()
    for b in breakdowns(simulation):
        for minutes, work in ((b.failure, FAILURE), (b.repair, REPAIR)):
            if minutes < simulation.days * DAY_MINUTES:
                yield Event(ids[b.machine], simulation.instant(minutes), work, 0.5)


def _row(simulation: Simulation, event: Event) -> dict[str, object]:
    work, factor = event.work, 1 + COST_SPREAD * (2 * event.share - 1)
    name = f"{simulation.organization}/{event.compressor_id}/{work.event_type}/{event.event_date.isoformat()}"
    return {
        "event_id": str(uuid5(NAMESPACE, name)),
        "compressor_id": event.compressor_id,
        "event_date": event.event_date,
        "event_type": work.event_type,
        "description": work.description,
        "downtime_hours": round(work.downtime_hours * factor, 1),
        "severity": work.severity,
        "cost_usd": round(work.cost_usd * factor, 2),
    }
