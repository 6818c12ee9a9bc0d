from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest

from simulator.simulation import InvalidSimulation, Simulation


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"days": 0}, "days"),
        ({"days": 3651}, "days"),
        ({"compressors": 0}, "compressors"),
        ({"compressors": 100_001}, "compressors"),
        ({"interval_minutes": 7}, "interval-minutes"),
        ({"interval_minutes": 120}, "interval-minutes"),
        ({"seed": -1}, "seed"),
        ({"start": datetime(1989, 12, 31, tzinfo=UTC)}, "start"),
        ({"start": datetime(2026, 1, 1, microsecond=1, tzinfo=UTC)}, "start"),
        ({"start": datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=1)))}, "start"),
        ({"compressors": 100_000, "interval_minutes": 1}, "longer interval"),
    ],
)
def test_an_argument_out_of_bounds_is_refused_by_name(arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidSimulation, match=named):
        Simulation(**arguments)


def test_batches_cover_the_period_without_overlap() -> None:
    simulation = Simulation(days=2, interval_minutes=15)
    minutes = np.concatenate([simulation.minutes_of(batch) for batch in range(simulation.batches)])
    assert minutes.tolist() == list(range(0, 2 * 1440, 15))
    assert simulation.scheduled_readings == len(minutes) * simulation.compressors
