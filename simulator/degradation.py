"""Machines that wear out: who, when, and how their sensors show it until they fail and are repaired."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from simulator.fleet import Fleet, whole_fleet
from simulator.randomness import Purpose, generator
from simulator.sensors import DISCHARGE, SUCTION, TEMPERATURE, VIBRATION, Readings, baseline
from simulator.simulation import BATCH_MINUTES, DAY_MINUTES, InvalidSimulation, Simulation
from simulator.truth import Injected, Kind

DEMONSTRATED: Final = {3: 3, 7: 5}
"""Number of the machine, and the day from the start on which it begins to degrade, in every simulation."""
DAYS_TO_FAILURE: Final = 3
DAYS_FAILED: Final = 2
"""A failed machine runs on at its failed level until the crew has the parts."""

MONTH_DAYS: Final = 30
SHARE_PER_MONTH: Final = 0.03
"""Of the fleet; about what one failure in three machine-years comes to."""
DEMONSTRATION_MACHINES: Final = 10
DEMONSTRATION_DAYS: Final = 10
"""The first ten machines are spared chance failures in the first ten days, which show the two demonstrated ones."""

FAILED_VIBRATION: Final = 15.0
TEMPERATURE_RISE: Final = 80.0
DISCHARGE_SWING: Final = 320.0
SUCTION_SWING: Final = 8.0
SWING_PERIOD_MINUTES: Final = 240.0

LONGEST_DAYS: Final = 10
WEAKEST: Final = 0.4
"""Where so many failures are wanted: how long they take to come at most, and what share of a symptom is least seen."""
SYMPTOMS: Final = (VIBRATION, TEMPERATURE, DISCHARGE)


@dataclass(frozen=True, slots=True)
class Degradations:
    """When each machine of a fleet degrades in one month: minutes since the start, infinite for those that do not."""

    onset: NDArray[np.float64]
    minutes: NDArray[np.float64]
    """From onset to failure."""
    strength: NDArray[np.float64]
    """How much of each of SYMPTOMS a machine shows, up to 1, shape (symptom, machine)."""

    @classmethod
    def usual(cls, onset: NDArray[np.float64]) -> Self:
        """Degradations of three days with every symptom in full."""
        minutes = np.full(len(onset), float(DAYS_TO_FAILURE * DAY_MINUTES))
        return cls(onset, minutes, np.ones((len(SYMPTOMS), len(onset))))

    def of(self, machines: NDArray[Any]) -> "Degradations":
        """Return those of machines at these positions."""
        return Degradations(self.onset[machines], self.minutes[machines], self.strength[:, machines])

    @property
    def failure(self) -> NDArray[np.float64]:
        """When each machine fails."""
        return self.onset + self.minutes

    @property
    def repair(self) -> NDArray[np.float64]:
        """When each machine is healthy again."""
        return self.failure + DAYS_FAILED * DAY_MINUTES

    def progress(self, minutes: NDArray[np.int64]) -> NDArray[np.float64]:
        """How far each machine is from healthy (0) to failed (1), shape (reading, machine)."""
        since = minutes[:, None] - self.onset
        grown = np.clip(since / self.minutes, 0.0, 1.0)
        return np.where(minutes[:, None] < self.repair, grown, 0.0)


@lru_cache(maxsize=2)
def degradations_in(simulation: Simulation, month: int) -> Degradations:
    """Who of the whole fleet degrades in a month of the simulation; each is repaired before the month ends."""
    if simulation.failures is not None:
        return _dealt(simulation, month)
    number = whole_fleet(simulation).number
    drawn = generator(simulation.seed, Purpose.DEGRADATION, month).random((len(number), 2))
    latest_day = MONTH_DAYS - DAYS_TO_FAILURE - DAYS_FAILED
    onset_hour = np.floor(drawn[:, 1] * latest_day * 24)
    onset = np.where(drawn[:, 0] < SHARE_PER_MONTH, month * MONTH_DAYS * DAY_MINUTES + onset_hour * 60, np.inf)
    onset[(number <= DEMONSTRATION_MACHINES) & (onset < DEMONSTRATION_DAYS * DAY_MINUTES)] = np.inf
    if month == 0:
        for machine, day in DEMONSTRATED.items():
            onset[number == machine] = day * DAY_MINUTES
    return Degradations.usual(onset)


def _dealt(simulation: Simulation, month: int) -> Degradations:
    """Deal the wanted number of failures to machines and months, each of its own length and strength."""
    months, machines = simulation.days // MONTH_DAYS, simulation.compressors
    if not months:
        raise InvalidSimulation(f"failures are dealt to whole months: days must be {MONTH_DAYS} or more")
    random = generator(simulation.seed, Purpose.FAILURES)
    free = np.ones((months, machines), dtype=np.bool_)
    free[0, :DEMONSTRATION_MACHINES] = False
    shown = [(machine - 1, day) for machine, day in DEMONSTRATED.items() if machine <= machines]
    wanted = (simulation.failures or 0) - len(shown)
    if not 0 <= wanted <= free.sum():
        raise InvalidSimulation(
            f"failures must be {len(shown)} to {len(shown) + free.sum()} for {machines} compressors and {months} whole "
            f"months, not {simulation.failures}"
        )
    struck = random.choice(np.flatnonzero(free), wanted, replace=False)
    drawn = random.random((wanted, 2 + len(SYMPTOMS)))
    ours = struck // machines == month
    of, drawn = struck[ours] % machines, drawn[ours]
    found = Degradations.usual(np.full(machines, np.inf))
    hours = np.floor(24 * (DAYS_TO_FAILURE + drawn[:, 0] * (LONGEST_DAYS - DAYS_TO_FAILURE)))
    latest = (MONTH_DAYS - DAYS_FAILED) * 24 - hours
    found.minutes[of] = hours * 60
    found.onset[of] = month * MONTH_DAYS * DAY_MINUTES + np.floor(drawn[:, 1] * latest) * 60
    found.strength[:, of] = WEAKEST + (1 - WEAKEST) * drawn[:, 2:].T
    if month == 0:
        for machine, day in shown:
            found.onset[machine] = day * DAY_MINUTES
    return found


def degradations_at(simulation: Simulation, gateway: Fleet, batch: int) -> Degradations:
    """Who of a gateway's machines degrades in the month a batch falls in."""
    month = batch * BATCH_MINUTES // (MONTH_DAYS * DAY_MINUTES)
    return degradations_in(simulation, month).of(gateway.number - 1)


def degrade(readings: Readings, gateway: Fleet, degradations: Degradations, minutes: NDArray[np.int64]) -> None:
    """Wear the readings of degrading machines, in place.

    Vibration grows exponentially to 15 mm/s, discharge temperature linearly by 80 deg F, and the discharge pressure
    swings in a sinusoid of four hours whose amplitude grows to 320 PSI; the suction pressure swings mildly with it.
    """
    worn = np.flatnonzero((degradations.onset <= minutes[-1]) & (minutes[0] < degradations.repair))
    if not len(worn):
        return
    wearing = degradations.of(worn)
    progress = wearing.progress(minutes)
    healthy = baseline(gateway)[VIBRATION, worn]
    swing = np.sin((minutes[:, None] - wearing.onset) * (2 * np.pi / SWING_PERIOD_MINUTES)) * progress
    shaking, heat, swinging = wearing.strength
    readings[VIBRATION][:, worn] += healthy * (np.power(FAILED_VIBRATION / healthy, progress * shaking) - 1)
    readings[TEMPERATURE][:, worn] += TEMPERATURE_RISE * progress * heat
    readings[DISCHARGE][:, worn] += DISCHARGE_SWING * swing * swinging
    readings[SUCTION][:, worn] += SUCTION_SWING * swing * swinging


@dataclass(frozen=True, slots=True)
class Breakdown:
    """One machine's way down: minutes since the start at which it degrades, fails and is repaired."""

    machine: int
    """Position in the whole fleet."""
    onset: float
    failure: float
    repair: float


def breakdowns(simulation: Simulation) -> Iterator[Breakdown]:
    """Every degradation that begins within the period, by month and machine; its failure may lie past the end."""
    last_minute = simulation.days * DAY_MINUTES
    for month in range(-(-simulation.days // MONTH_DAYS)):
        degradations = degradations_in(simulation, month)
        for machine in np.flatnonzero(degradations.onset < last_minute).tolist():
            yield Breakdown(
                machine,
                float(degradations.onset[machine]),
                float(degradations.failure[machine]),
                float(degradations.repair[machine]),
            )


def injected_breakdowns(simulation: Simulation) -> Iterator[Injected]:
    """The truth about breakdowns.

    A degradation's end is the instant the machine fails, also where that lies past the period, so that remaining life
    is known throughout; a failure is told where it happens within the period, and ends with the repair or the period.
    """
    ids = whole_fleet(simulation).compressor_id
    for b in breakdowns(simulation):
        name, failure = str(ids[b.machine]), simulation.instant(b.failure)
        yield Injected(name, Kind.DEGRADATION, None, simulation.instant(b.onset), failure)
        if failure < simulation.end:
            yield Injected(name, Kind.FAILURE, None, failure, min(simulation.instant(b.repair), simulation.end))
