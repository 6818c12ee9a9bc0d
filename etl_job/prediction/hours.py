"""Machines' hourly partials as lines of hours."""

# Arrow's stubs leave its arrays untyped:
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeArgument=false, reportCallIssue=false
# pyright: reportArgumentType=false

from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from etl_job.prediction.residuals import CONTEXT, Hours
from shared_code.arrays import HOUR_US, Floats, floats, integers

CHANNELS: Final = ("vibration_mms", "discharge_temp_f", "discharge_pressure_psi")
"""The sensor of each of HEALTH."""
USED: Final = (*CHANNELS, "horsepower_consumption", "gas_flow_mcf", "suction_pressure_psi")
LEAST_SHARE: Final = 0.5
"""Of an hour's readings, how many a sensor's mean must rest on."""
COLUMNS: Final = (
    "hour",
    *(f"{sensor}_{part}" for sensor in USED for part in ("n", "mean")),
    *(f"{sensor}_m2" for sensor in CHANNELS),
)


def hours_of(partials: pa.Table, readings_an_hour: int = 6) -> Hours:
    """Return the hours of one machine's partials, in any order."""
    hour = integers(partials.column("hour")) // HOUR_US
    first = int(hour.min())
    length = int(hour.max()) - first + 1
    place = hour - first

    def line(values: Floats, usable: npt.NDArray[np.bool_]) -> Floats:
        laid = np.full(length, np.nan)
        laid[place] = np.where(usable, values, np.nan)
        return laid

    mean: dict[str, Floats] = {}
    variance: dict[str, Floats] = {}
    for sensor in USED:
        n = floats(partials.column(f"{sensor}_n"))
        enough = n >= LEAST_SHARE * readings_an_hour
        mean[sensor] = line(floats(partials.column(f"{sensor}_mean")), enough)
        if sensor in CHANNELS:
            variance[sensor] = line(floats(partials.column(f"{sensor}_m2")) / np.where(enough, n, 1.0), enough)
    power = mean["horsepower_consumption"]
    earlier = np.append(np.nan, power[:-1])
    angle = 2 * np.pi * ((first + np.arange(length)) % 24) / 24
    context = {
        "constant": np.ones(length),
        "power": power,
        "power before": np.where(np.isnan(earlier), power, earlier),
        "flow": mean["gas_flow_mcf"],
        "suction": mean["suction_pressure_psi"],
        "sine": np.sin(angle),
        "cosine": np.cos(angle),
    }
    return Hours(
        first,
        np.column_stack([context[name] for name in CONTEXT]),
        np.column_stack([mean[sensor] for sensor in CHANNELS]),
        np.column_stack([variance[sensor] for sensor in CHANNELS]),
    )
