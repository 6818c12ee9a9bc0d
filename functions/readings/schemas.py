"""Shapes of aggregated readings, and of batches of readings that are delivered."""

import json
from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import AwareDatetime, BaseModel, BeforeValidator, Field

from functions.pagination import MeasuredPage, Position
from functions.readings.ingestion import MAX_READINGS, Format
from functions.selection import Sparse
from shared_code.database.tables.readings import WindowType
from shared_code.readings import COMPRESSOR, OPERATING_HOURS, ORGANIZATION, REQUIRED_FIELDS, SENSORS, TIMESTAMP


def _iso_8601(value: object) -> object:
    if isinstance(value, datetime):
        return value
    try:
        instant = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise ValueError("must be an ISO 8601 time with its zone, such as 2026-01-05T00:00:00Z (in a URL, + is %2B)")
    return instant


Instant = Annotated[AwareDatetime, BeforeValidator(_iso_8601)]
"""An instant; a time without a zone is refused, for nobody can say which instant it means."""


class Window(Sparse):
    """Readings of one machine over one window, which ends at `agg_timestamp` and does not include it.

    Units, unless others are asked for: vibration mm/s RMS, temperature deg F (its rate deg F/h), pressure PSI, power
    HP, gas flow Mcf/day. A value is null where the window has no usable reading of that sensor.
    """

    compressor_id: str
    window_type: WindowType
    agg_timestamp: AwareDatetime
    vibration_mean: float | None
    vibration_std: float | None
    vibration_max: float | None
    vibration_min: float | None
    discharge_temp_mean: float | None
    discharge_temp_std: float | None
    discharge_temp_max: float | None
    discharge_temp_rate_of_change: float | None
    suction_pressure_mean: float | None
    suction_pressure_std: float | None
    suction_pressure_min: float | None
    discharge_pressure_mean: float | None
    discharge_pressure_std: float | None
    discharge_pressure_max: float | None
    pressure_delta_mean: float | None
    horsepower_mean: float | None
    horsepower_std: float | None
    gas_flow_mean: float | None
    reading_count: int
    missing_readings: int
    suspect_readings: int


class Readings(MeasuredPage[Window]):
    """A page of a machine's windows; `timezone` is that of its station, by whose clock nothing here is written."""

    timezone: str


class WindowPosition(Position):
    """Windows are listed by their end."""

    agg_timestamp: AwareDatetime


class RowNote(BaseModel):
    """What is the matter with one reading: its place in the batch, from 0, and the field, where it is one."""

    index: int
    field: str | None
    reason: str


class Receipt(BaseModel):
    """What became of a batch: `received` is `accepted` + `refused`, and `refusals` names each refused reading once."""

    received: int
    accepted: Annotated[int, Field(description="How many wait for the job's next run.")]
    refused: int
    flagged: Annotated[int, Field(description="How many of those accepted hold a value in doubt.")]
    refusals: list[RowNote]
    warnings: Annotated[list[RowNote], Field(description="Doubtful values of accepted readings. The job flags them.")]
    ignored_fields: Annotated[list[str], Field(description="Fields that readings do not have; they were not kept.")]
    file: Annotated[str | None, Field(description="The landing file; null where nothing was accepted.")]


_READING: Final[dict[str, Any]] = {
    COMPRESSOR: "COMP-003",
    TIMESTAMP: "2026-01-05T00:00:00Z",
    "vibration_mms": 3.1,
    "discharge_temp_f": 201.5,
    "suction_pressure_psi": 60.2,
    "discharge_pressure_psi": 1049.0,
    "horsepower_consumption": 1402.0,
    "gas_flow_mcf": 10000.0,
    OPERATING_HOURS: 20144.5,
}


def _reading_schema() -> dict[str, Any]:
    number = {"type": ["number", "null"]}
    return {
        "type": "object",
        "description": "One machine's sensors at one instant; null where there is no value.",
        "required": list(REQUIRED_FIELDS),
        "properties": {
            COMPRESSOR: {"type": "string", "minLength": 1, "maxLength": 50},
            TIMESTAMP: {"type": "string", "format": "date-time", "description": "With its zone."},
            **{sensor.field: number | {"description": f"In {sensor.unit}."} for sensor in SENSORS},
            OPERATING_HOURS: number | {"description": "The machine's own running-hours counter, h."},
            ORGANIZATION: {"type": "string", "format": "uuid", "description": "May be left out: the API key says it."},
        },
    }


def _batch_body() -> dict[str, Any]:
    """Describe the body in each of its forms."""
    many = {"type": "array", "minItems": 1, "maxItems": MAX_READINGS, "items": _reading_schema()}
    wrapped = {
        "type": "object",
        "required": ["readings"],
        "additionalProperties": False,
        "properties": {"readings": many},
    }
    texts = {name: "" if value is None else str(value) for name, value in _READING.items()}
    lines = "\n".join([",".join(texts), ",".join(texts.values())])
    return {
        "required": True,
        "content": {
            Format.JSON.value: {
                "schema": {"anyOf": [many, wrapped]},
                "examples": {
                    "an_array": {"summary": "An array of readings", "value": [_READING]},
                    "an_object": {"summary": "The same in an object", "value": {"readings": [_READING]}},
                },
            },
            Format.NDJSON.value: {
                "schema": {"type": "string", "description": "One reading a line, as JSON."},
                "examples": {"one_line": {"summary": "One reading", "value": f"{json.dumps(_READING)}\n"}},
            },
            Format.CSV.value: {
                "schema": {"type": "string", "description": "UTF-8 with commas; the first line names the columns."},
                "examples": {"one_line": {"summary": "One reading", "value": f"{lines}\n"}},
            },
            Format.PARQUET.value: {
                "schema": {"type": "string", "format": "binary"},
                "examples": {
                    "a_file": {
                        "summary": "The bytes of a file",
                        "description": "Columns as in CSV: the machine is text, the timestamp has a zone, the"
                        " others are float64.",
                    }
                },
            },
        },
    }


BATCH_BODY: Final = _batch_body()
