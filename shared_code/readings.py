"""The reading: one row of six sensors from one compressor at one instant, as every program names it."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Sensor:
    """A measured quantity of a compressor: its field name in landing files and tables, and its unit."""

    field: str
    unit: str


SENSORS: Final = (
    Sensor("vibration_mms", "mm/s RMS"),
    Sensor("discharge_temp_f", "deg F"),
    Sensor("suction_pressure_psi", "PSI"),
    Sensor("discharge_pressure_psi", "PSI"),
    Sensor("horsepower_consumption", "HP"),
    Sensor("gas_flow_mcf", "Mcf/day"),
)
DIFFERENTIAL: Final = "pressure_differential"
"""Discharge pressure less suction pressure, PSI; derived."""
TEMPERATURE_RATE: Final = "temp_rate_of_change"
"""How fast the discharge temperature rises, deg F/h; derived."""
SENSOR_FIELDS: Final = tuple(sensor.field for sensor in SENSORS)
UNCHANGED: Final = {field: f"{field}_unchanged" for field in SENSOR_FIELDS}
"""How long each sensor has said the same to the last digit, h; derived."""
DISTANCE: Final = "distance_from_usual"
"""How far a machine is from its usual self, as a multiple of what is an alarm; predictions find it, once an hour."""
STUCK: Final = "stuck"
"""The one flag whose value statistics and alarms use all the same: a sensor held at the end of its range is how the
worst failures look. Values with another flag, and all those of a reading whose clock is in doubt, they leave out."""

ORGANIZATION: Final = "organization_id"
"""Optional in a landing file: rows without it belong to the organization the job is set up for."""
COMPRESSOR: Final = "compressor_id"
TIMESTAMP: Final = "timestamp"
OPERATING_HOURS: Final = "operating_hours"
"""The machine's own running-hours counter, h."""

REQUIRED_FIELDS: Final = (COMPRESSOR, TIMESTAMP, *SENSOR_FIELDS, OPERATING_HOURS)
"""Every column a landing file of readings must have, in the order gateways write them."""

# Where a gateway puts things under the landing folder.
LANDING_READINGS: Final = "readings"
LANDING_API: Final = "api"
"""Under the readings, what came by request: `api/<organization>/<date>/<name>.parquet`, of that organization alone."""
LANDING_STATIONS: Final = "metadata/stations"
LANDING_COMPRESSORS: Final = "metadata/compressors"
LANDING_MAINTENANCE: Final = "maintenance"
