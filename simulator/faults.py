"""What goes wrong with sensors and gateways while the machine is well: gaps, stuck sensors, spikes, lost values."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared_code.readings import SENSOR_FIELDS
from simulator.degradation import Degradations
from simulator.fleet import Fleet
from simulator.randomness import Purpose, generator
from simulator.sensors import VIBRATION, Readings
from simulator.simulation import BATCH_MINUTES, DAY_MINUTES, Simulation
from simulator.truth import Injected, Kind

IMPLAUSIBLE_VALUE: Final = -999.0
"""What a transmitter sends when its loop is broken."""
SMALLEST_SPIKE: Final = np.array([8.0, 60.0, 25.0, 300.0, 500.0, 4000.0])
LARGEST_SPIKE: Final = np.array([25.0, 150.0, 45.0, 700.0, 1100.0, 7000.0])
"""Per sensor in its unit, over twenty times its noise, and never outside what the sensor can plausibly read."""


@dataclass(frozen=True, slots=True)
class Habit:
    """How often one kind of fault befalls a machine, and how long it lasts."""

    kind: Kind
    per_day: float
    shortest_minutes: int = 0
    longest_minutes: int = 0
    one_sensor: bool = True


HABITS: Final = (
    Habit(Kind.GAP, 0.06, shortest_minutes=20, longest_minutes=180, one_sensor=False),
    Habit(Kind.STUCK, 0.015, shortest_minutes=180, longest_minutes=300),
    Habit(Kind.SPIKE, 0.08),
    Habit(Kind.IMPLAUSIBLE, 0.03),
    Habit(Kind.MISSING_VALUE, 0.3),
)
"""In order of precedence: a fault is dropped where an earlier one has taken its place."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault within a batch: readings `first` up to, not including, `stop` of one machine of a gateway."""

    kind: Kind
    machine: int
    sensor: int | None
    first: int
    stop: int
    change: float
    """What a spike adds, in the sensor's unit; nothing for other kinds."""


def faults_in(
    simulation: Simulation, gateway: Fleet, station: int, batch: int, degradations: Degradations
) -> list[Fault]:
    """The faults of one batch, none touching another or a machine between the onset of wear and its repair."""
    random = generator(simulation.seed, Purpose.FAULTS, station, batch)
    taken = _degrading(degradations, simulation.minutes_of(batch))
    faults: list[Fault] = []
    for habit in HABITS:
        for fault in _drawn(habit, random, simulation, len(gateway)):
            # One reading to either side stays free too, so that what is isolated stands alone.
            neighbourhood = taken[max(fault.first - 1, 0) : fault.stop + 1, fault.machine]
            if not neighbourhood.any():
                taken[fault.first : fault.stop, fault.machine] = True
                faults.append(fault)
    return faults


def _degrading(degradations: Degradations, minutes: NDArray[np.int64]) -> NDArray[np.bool_]:
    at = minutes[:, None]
    return (degradations.onset <= at) & (at < degradations.repair)


def _drawn(habit: Habit, random: np.random.Generator, simulation: Simulation, machines: int) -> Iterator[Fault]:
    """At most one fault of a kind per machine and batch, wholly inside it, so that batches stay independent.

    A fault of a single reading keeps away from the batch's edges, where the next batch's could stand beside it.
    """
    struck = np.flatnonzero(random.random(machines) < habit.per_day * BATCH_MINUTES / DAY_MINUTES)
    drawn = random.random((len(struck), 5))
    shortest, longest = (
        max(1, minutes // simulation.interval_minutes) for minutes in (habit.shortest_minutes, habit.longest_minutes)
    )
    edge = 0 if habit.longest_minutes else 1
    for machine, (length_draw, first_draw, sensor_draw, size_draw, sign_draw) in zip(struck, drawn, strict=True):
        length = shortest + int(length_draw * (longest - shortest + 1))
        first = edge + int(first_draw * (simulation.readings_per_batch - length + 1 - 2 * edge))
        sensor = int(sensor_draw * len(SENSOR_FIELDS))
        change = _spike(sensor, size_draw, sign_draw) if habit.kind is Kind.SPIKE else 0.0
        yield Fault(habit.kind, int(machine), sensor if habit.one_sensor else None, first, first + length, change)


def _spike(sensor: int, size_draw: float, sign_draw: float) -> float:
    size = SMALLEST_SPIKE[sensor] + size_draw * (LARGEST_SPIKE[sensor] - SMALLEST_SPIKE[sensor])
    downward = sign_draw < 1 / 2 and sensor != VIBRATION
    return float(-size if downward else size)


def apply_faults(readings: Readings, faults: list[Fault]) -> NDArray[np.bool_]:
    """Work the faults into the readings, in place; returns which readings are delivered, shape (reading, machine)."""
    delivered = np.ones(readings.shape[1:], dtype=np.bool_)
    for fault in faults:
        if fault.sensor is None:
            delivered[fault.first : fault.stop, fault.machine] = False
        else:
            _strike(readings[fault.sensor, :, fault.machine], fault)
    return delivered


def _strike(series: NDArray[np.float64], fault: Fault) -> None:
    """Work one sensor's fault into its series, a view of the readings."""
    struck = slice(fault.first, fault.stop)
    match fault.kind:
        case Kind.STUCK:
            series[struck] = series[fault.first]
        case Kind.SPIKE:
            series[struck] = np.round(series[struck] + fault.change, 2)
        case Kind.IMPLAUSIBLE:
            series[struck] = IMPLAUSIBLE_VALUE
        case _:
            series[struck] = np.nan


def injected_faults(simulation: Simulation, gateway: Fleet, batch: int, faults: list[Fault]) -> list[Injected]:
    """The truth about one batch's faults."""
    start = int(simulation.minutes_of(batch)[0])
    step = simulation.interval_minutes
    return [
        Injected(
            str(gateway.compressor_id[fault.machine]),
            fault.kind,
            None if fault.sensor is None else SENSOR_FIELDS[fault.sensor],
            simulation.instant(start + fault.first * step),
            simulation.instant(start + fault.stop * step),
        )
        for fault in faults
    ]
