from collections import Counter

import numpy as np

from simulator.fleet import MODELS, STATIONS, machines_at, whole_fleet
from simulator.simulation import Simulation


def test_ten_machines_stand_three_at_each_station_and_one_at_the_last() -> None:
    fleet = whole_fleet(Simulation())
    assert fleet.compressor_id.tolist() == [f"COMP-{n:03d}" for n in range(1, 11)]
    assert fleet.station.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3]


def test_models_come_in_turn() -> None:
    assert whole_fleet(Simulation()).model.tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]
    assert [model.rated_hp for model in MODELS] == [1340, 1480, 1775, 1340]


def test_a_larger_fleet_is_dealt_round_the_stations() -> None:
    counted = Counter[int](whole_fleet(Simulation(compressors=1000)).station.tolist())
    assert len(counted) == len(STATIONS)
    assert max(counted.values()) - min(counted.values()) <= 3


def test_a_larger_fleet_begins_with_the_same_machines() -> None:
    small, large = whole_fleet(Simulation(compressors=10)), whole_fleet(Simulation(compressors=5000))
    assert np.array_equal(small.traits, large.traits[:, :10])
    assert np.array_equal(small.age_days, large.age_days[:10])


def test_every_machine_stands_near_its_station() -> None:
    fleet = whole_fleet(Simulation(compressors=500))
    for station, where in enumerate(STATIONS):
        here = fleet.station == station
        assert np.abs(fleet.latitude[here] - where.latitude).max() <= 0.0201
        assert np.abs(fleet.longitude[here] - where.longitude).max() <= 0.0201


def test_a_gateways_machines_are_in_order_of_their_ids_text() -> None:
    ids = machines_at(Simulation(compressors=5000), 1).compressor_id.tolist()
    assert ids == sorted(ids)
    assert ids.index("COMP-1001") < ids.index("COMP-101")
