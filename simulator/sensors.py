"""How a healthy compressor's sensors read: load steps, day and night, each machine's own level, and noise."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared_code.readings import SENSOR_FIELDS
from simulator.fleet import MODELS, STATIONS, Fleet
from simulator.randomness import Purpose, generator
from simulator.simulation import BATCH_MINUTES, DAY_MINUTES, Simulation

Readings = NDArray[np.float64]
"""Shape (sensor, reading, machine), sensors in the order of SENSOR_FIELDS and in their units."""

VIBRATION, TEMPERATURE, SUCTION, DISCHARGE, POWER, FLOW = range(len(SENSOR_FIELDS))

# One value per sensor, in its unit. Their sum at the worst stays inside the normal range of every sensor.
LEVEL: Final = np.array([2.8, 200.0, 60.0, 1050.0, 0.0, 10_000.0])
"""The usual value at middle load; that of the power is the model's."""
TRAIT_SPREAD: Final = np.array([0.35, 3.0, 4.0, 25.0, 10.0, 300.0])
LOAD_EFFECT: Final = np.array([0.20, 6.0, -5.0, 45.0, 50.0, 900.0])
"""From middle to full load; suction falls because a loaded machine draws the line down."""
AMBIENT_EFFECT: Final = np.array([0.0, 4.0, 0.0, 0.0, 0.0, 0.0])
NOISE: Final = np.array([0.12, 0.8, 1.0, 7.0, 7.0, 100.0])
STEPS_PER_UNIT: Final = np.array([100.0, 10.0, 10.0, 10.0, 10.0, 1.0])
"""A transmitter's resolution: hundredths of mm/s, tenths of deg F, PSI and HP, whole Mcf/day."""

HEAT_LAG_MINUTES: Final = 40.0
"""Metal warms as a first-order lag behind the load."""
WARMEST_HOUR: Final = 15.0
DAILY_SHARE: Final = 0.7
"""Of the ambient effect; the rest is weather fronts that pass in days."""
COUNTER_STEPS_PER_HOUR: Final = 10_000.0
_EARLIER_STEPS: Final = 2


def baseline(gateway: Fleet) -> NDArray[np.float64]:
    """Each machine's own value at middle load and ambient, shape (sensor, machine)."""
    level = np.repeat(LEVEL[:, None], len(gateway), axis=1)
    level[POWER] = np.array([model.usual_hp for model in MODELS])[gateway.model]
    return level + TRAIT_SPREAD[:, None] * gateway.traits


def healthy_readings(simulation: Simulation, gateway: Fleet, station: int, batch: int) -> Readings:
    """What the station's machines would read in `batch` with nothing wrong, not yet rounded."""
    minutes = simulation.minutes_of(batch)
    load, warmth = load_and_warmth(simulation, gateway, station, batch)
    readings = generator(simulation.seed, Purpose.NOISE, station, batch).standard_normal(
        (len(SENSOR_FIELDS), len(minutes), len(gateway))
    )
    readings *= NOISE[:, None, None]
    readings += baseline(gateway)[:, None, :]
    for sensor in range(len(SENSOR_FIELDS)):
        readings[sensor] += LOAD_EFFECT[sensor] * (warmth if sensor == TEMPERATURE else load)
    readings[TEMPERATURE] += (AMBIENT_EFFECT[TEMPERATURE] * ambient(simulation, station, minutes))[:, None]
    return readings


def load_and_warmth(
    simulation: Simulation, gateway: Fleet, station: int, batch: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Load and its lagged trace in the metal, each in [-1, 1] of shape (reading, machine).

    Dispatch moves every machine to a new load once in each six hours, at a random minute. Steps from before the
    previous batch have died away in the lag, so a batch needs three steps and no state carried from batch to batch.
    """
    minutes = simulation.minutes_of(batch)[:, None]
    _, level = _load_step(simulation, gateway, station, batch - _EARLIER_STEPS)
    load = np.broadcast_to(level, (len(minutes), len(gateway))).copy()
    warmth = load.copy()
    for slot in (batch - 1, batch):
        step_minute, next_level = _load_step(simulation, gateway, station, slot)
        since = minutes - step_minute
        change = np.where(since >= 0, next_level - level, 0.0)
        load += change
        warmth += change * -np.expm1(-np.maximum(since, 0.0) / HEAT_LAG_MINUTES)
        level = next_level
    return load, warmth


def _load_step(
    simulation: Simulation, gateway: Fleet, station: int, slot: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    random = generator(simulation.seed, Purpose.LOAD, station, slot + _EARLIER_STEPS)
    step_minute = (slot + random.random(len(gateway))) * BATCH_MINUTES
    return step_minute, random.uniform(-1.0, 1.0, len(gateway))


def ambient(simulation: Simulation, station: int, minutes: NDArray[np.int64]) -> NDArray[np.float64]:
    """The air at a station in [-1, 1], coldest to hottest, per reading: day and night by the sun, and fronts."""
    start = simulation.start
    utc_hours = start.hour + start.minute / 60 + start.second / 3600 + minutes / 60
    solar_hours = utc_hours + STATIONS[station].longitude / 15
    daily = np.cos((solar_hours - WARMEST_HOUR) * (2 * np.pi / 24))
    return DAILY_SHARE * daily + (1 - DAILY_SHARE) * _front(simulation, station, minutes)


def _front(simulation: Simulation, station: int, minutes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Smooth passage from one day's weather to the next, in [-1, 1]; `minutes` lie within one day."""
    day = int(minutes[0]) // DAY_MINUTES
    today, tomorrow = (
        generator(simulation.seed, Purpose.WEATHER, station, d).uniform(-1.0, 1.0) for d in (day, day + 1)
    )
    passed = (1 - np.cos(np.pi * (minutes / DAY_MINUTES - day))) / 2
    return today + (tomorrow - today) * passed


def rounded(readings: Readings) -> Readings:
    """The readings, in place, at the resolution of their transmitters."""
    scale = STEPS_PER_UNIT[:, None, None]
    readings *= scale
    np.rint(readings, out=readings)
    readings /= scale
    return readings


def operating_hours(simulation: Simulation, gateway: Fleet, batch: int) -> NDArray[np.float64]:
    """Each machine's running-hours counter, h, shape (reading, machine); it counts through gaps of the gateway."""
    elapsed = simulation.minutes_of(batch)[:, None] / 60
    counted = (gateway.age_days * 24 + elapsed) * gateway.utilization
    return np.floor(counted * COUNTER_STEPS_PER_HOUR) / COUNTER_STEPS_PER_HOUR
