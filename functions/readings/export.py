"""Windows as a CSV file that a spreadsheet takes for data and for nothing else."""

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from functions.units import UnitSystem, units_of
from shared_code.identifiers import CompressorId

STATION_TIMEZONE: Final = "station_timezone"
INSTANT_COLUMN: Final = "agg_timestamp"
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "'")


class FileFormat(StrEnum):
    """How a file is written."""

    CSV = "csv"
    PARQUET = "parquet"


MEDIA_TYPES: Final[Mapping[FileFormat, str]] = {
    FileFormat.CSV: "text/csv; charset=utf-8; header=present",
    FileFormat.PARQUET: "application/vnd.apache.parquet",
}


def file_name(compressor_id: CompressorId, window: str, written: FileFormat) -> str:
    """Return a name that is safe in a header and on every disk."""
    return f"{re.sub(r'[^A-Za-z0-9_-]', '_', compressor_id)}_{window}.{written}"


def write_csv(rows: Sequence[Mapping[str, Any]], fields: Sequence[str], system: UnitSystem, timezone: str) -> bytes:
    """Return windows as CSV (RFC 4180): units and UTC stand in the heads of columns, the station's zone in the last.

    Numbers are written so that they read back as they were; what is no number is empty.
    """
    units = units_of(fields, system) | {INSTANT_COLUMN: "UTC"}
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*(f"{field} [{units[field]}]" if field in units else field for field in fields), STATION_TIMEZONE])
    zone = _cell(timezone)
    writer.writerows([*(_cell(row[field]) for field in fields), zone] for row in rows)
    return text.getvalue().encode()


def _cell(value: object) -> object:
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA) else str(value)
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else None
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return value
