"""Random numbers addressed by what they are for, so that any part of a simulation can be made alone and again."""

from enum import IntEnum, auto

import numpy as np


class Purpose(IntEnum):
    """What a stream of random numbers decides; streams of different purposes never touch."""

    FLEET = auto()
    LOAD = auto()
    WEATHER = auto()
    NOISE = auto()
    DEGRADATION = auto()
    FAULTS = auto()
    DELIVERY = auto()
    MAINTENANCE = auto()
    FAILURES = auto()


def generator(seed: int, purpose: Purpose, *place: int) -> np.random.Generator:
    """The random numbers for `purpose` at `place` (station, batch, month; none negative), the same in any process."""
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence((seed, purpose, *place))))
