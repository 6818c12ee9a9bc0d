"""What does not change from reading to reading: stations and compressors, as the tables a gateway delivers."""

from dataclasses import asdict

import numpy as np
import pyarrow as pa

from simulator.fleet import MODELS, STATIONS, Model, whole_fleet
from simulator.simulation import Simulation


def stations_table() -> pa.Table:
    """The four stations, one row each."""
    return pa.Table.from_pylist([asdict(station) for station in STATIONS])


def compressors_table(simulation: Simulation) -> pa.Table:
    """Every compressor: model, rated horsepower, installation date, station and coordinates, by number."""
    fleet = whole_fleet(simulation)
    station_ids = [station.station_id for station in STATIONS]
    models: list[Model] = [MODELS[model] for model in fleet.model.tolist()]
    start_day = np.datetime64(simulation.start.date(), "D")
    return pa.Table.from_pydict(
        {
            "compressor_id": pa.array(fleet.compressor_id.tolist(), pa.string()),
            "model": pa.array([model.name for model in models], pa.string()),
            "horsepower": pa.array([model.rated_hp for model in models], pa.int32()),
            "install_date": pa.array(start_day - fleet.age_days.astype("timedelta64[D]"), pa.date32()),
            "station_id": pa.array([station_ids[station] for station in fleet.station.tolist()], pa.string()),
            "latitude": pa.array(fleet.latitude),
            "longitude": pa.array(fleet.longitude),
        }
    )
