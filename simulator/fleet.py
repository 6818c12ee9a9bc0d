"""The machines and where they stand: stations, models, and every compressor's unchanging traits."""

from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared_code.readings import SENSORS
from simulator.randomness import Purpose, generator
from simulator.simulation import Simulation


@dataclass(frozen=True, slots=True)
class Station:
    """A compressor station; elevation in feet, coordinates in degrees."""

    station_id: str
    station_name: str
    latitude: float
    longitude: float
    elevation_ft: float
    region: str
    city: str
    state: str = "TX"
    timezone: str = "America/Chicago"


STATIONS: Final = (
    Station("STATION-A", "Eagle Ford Station A", 28.9144, -98.5242, 450.0, "Eagle Ford", "Karnes City"),
    Station("STATION-B", "Permian Basin Station B", 31.9973, -102.0779, 2800.0, "Permian Basin", "Midland"),
    Station("STATION-C", "Haynesville Station C", 32.5007, -93.7465, 350.0, "Haynesville", "Carthage"),
    Station("STATION-D", "Barnett Shale Station D", 32.7555, -97.3308, 650.0, "Barnett Shale", "Fort Worth"),
)


@dataclass(frozen=True, slots=True)
class Model:
    """A compressor model: its rated power and the power it usually draws in gas service, HP."""

    name: str
    rated_hp: int
    usual_hp: float


MODELS: Final = (
    Model("Ajax DPC-360", 1340, 1275.0),
    Model("Ariel JGK/4", 1480, 1375.0),
    Model("Caterpillar G3516", 1775, 1490.0),
    Model("Waukesha 7042GSI", 1340, 1275.0),
)

MACHINES_PER_STATION: Final = 3
"""Machines are dealt to the stations in blocks of three, and round again where the fleet is larger."""
YOUNGEST_DAYS, OLDEST_DAYS = 2 * 365, 15 * 365
LEAST_UTILIZATION, MOST_UTILIZATION = 0.90, 0.98
"""Running hours per hour; under one by more than rounding, so that a counter never outruns the clock."""
SITE_DEGREES: Final = 0.02
"""How far a machine stands from its station's coordinates at most, about two kilometres."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """Compressors as columns, one entry per machine; `traits` has a row per sensor in [-1, 1]."""

    number: NDArray[np.int64]
    compressor_id: NDArray[np.str_]
    station: NDArray[np.int64]
    model: NDArray[np.int64]
    age_days: NDArray[np.int64]
    utilization: NDArray[np.float64]
    latitude: NDArray[np.float64]
    longitude: NDArray[np.float64]
    traits: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.number)

    def select(self, which: NDArray[np.intp]) -> "Fleet":
        """The machines at the positions `which`, in that order."""
        return Fleet(*(getattr(self, column.name)[..., which] for column in fields(self)))


@lru_cache(maxsize=2)
def whole_fleet(simulation: Simulation) -> Fleet:
    """Every machine of the simulation in order of number; a larger fleet begins with the same machines."""
    number = np.arange(1, simulation.compressors + 1)
    station = (number - 1) // MACHINES_PER_STATION % len(STATIONS)
    # One row per machine, drawn row after row: the first machines do not depend on how many follow.
    drawn = generator(simulation.seed, Purpose.FLEET).random((len(number), 4 + len(SENSORS)))
    return Fleet(
        number=number,
        compressor_id=np.array([f"COMP-{n:03d}" for n in number]),
        station=station,
        model=(number - 1) % len(MODELS),
        age_days=(YOUNGEST_DAYS + drawn[:, 0] * (OLDEST_DAYS - YOUNGEST_DAYS)).astype(np.int64),
        utilization=LEAST_UTILIZATION + drawn[:, 1] * (MOST_UTILIZATION - LEAST_UTILIZATION),
        latitude=_near(np.array([s.latitude for s in STATIONS])[station], drawn[:, 2]),
        longitude=_near(np.array([s.longitude for s in STATIONS])[station], drawn[:, 3]),
        traits=2 * drawn[:, 4:].T - 1,
    )


@lru_cache(maxsize=2 * len(STATIONS))
def machines_at(simulation: Simulation, station: int) -> Fleet:
    """The machines whose readings one station's gateway delivers, in order of their id's text."""
    fleet = whole_fleet(simulation)
    here = np.flatnonzero(fleet.station == station)
    return fleet.select(here[np.argsort(fleet.compressor_id[here], kind="stable")])


def _near(degrees: NDArray[np.float64], share: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.round(degrees + (2 * share - 1) * SITE_DEGREES, 4)
