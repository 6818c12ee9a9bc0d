"""Stations, machines and the maintenance log: read from landing files, each row checked.

They are small (a row a machine, not a row a reading), so they are read on the driver.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date
from typing import Annotated, Any, Final
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from pyspark.sql import SparkSession

from etl_job import files
from etl_job.decode import Delivery, UnreadableFileError, read_file
from shared_code.database.tables.fleet import MaintenanceSeverity, MaintenanceType
from shared_code.readings import LANDING_COMPRESSORS, LANDING_MAINTENANCE, LANDING_STATIONS, ORGANIZATION

Utc = Annotated[AwareDatetime, AfterValidator(lambda instant: instant.astimezone(UTC))]
Identifier = Annotated[str, Field(min_length=1, max_length=50)]


class FleetRow(BaseModel):
    """A row that says something about an organization's fleet."""

    model_config = ConfigDict(frozen=True, extra="ignore", str_strip_whitespace=True)

    organization_id: UUID
    source_file: Annotated[str, Field(exclude=True)]
    row_number: Annotated[int, Field(exclude=True)]


class Station(FleetRow):
    """A place where compressors stand."""

    station_id: Identifier
    station_name: Annotated[str, Field(min_length=1, max_length=200)]
    latitude: Annotated[float, Field(ge=-90, le=90)]
    longitude: Annotated[float, Field(ge=-180, le=180)]
    elevation_ft: float | None = None
    region: str | None = None
    city: str | None = None
    state: str | None = None
    timezone: Annotated[str, Field(min_length=1, max_length=50)]


class Compressor(FleetRow):
    """A machine."""

    compressor_id: Identifier
    model: Annotated[str, Field(min_length=1, max_length=100)]
    horsepower: Annotated[float, Field(gt=0)]
    install_date: date | None = None
    station_id: Identifier
    latitude: Annotated[float, Field(ge=-90, le=90)] | None = None
    longitude: Annotated[float, Field(ge=-180, le=180)] | None = None


class MaintenanceEvent(FleetRow):
    """Something that was done to a machine."""

    event_id: UUID
    compressor_id: Identifier
    event_date: Utc
    event_type: MaintenanceType
    description: str
    downtime_hours: Annotated[float, Field(ge=0)]
    severity: MaintenanceSeverity
    cost_usd: Annotated[float, Field(ge=0)] | None = None


KINDS: Final[dict[str, type[FleetRow]]] = {
    LANDING_STATIONS: Station,
    LANDING_COMPRESSORS: Compressor,
    LANDING_MAINTENANCE: MaintenanceEvent,
}


@dataclass(frozen=True, slots=True)
class Refused:
    """A row or a file of fleet data that cannot be used, and why."""

    source_file: str
    row_number: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class FleetData:
    """What the landing folder says about fleets."""

    stations: list[Station] = field(default_factory=list[Station])
    compressors: list[Compressor] = field(default_factory=list[Compressor])
    maintenance: list[MaintenanceEvent] = field(default_factory=list[MaintenanceEvent])
    refused: list[Refused] = field(default_factory=list[Refused])


def read(spark: SparkSession, folders: Iterable[str], default_organization: UUID | None) -> FleetData:
    """Read the fleet folders of a landing folder.

    A file that was modified later says the newer thing, and stands later in the lists.
    """
    found = FleetData()
    deliveries = (file for folder in folders for file in files.deliveries(spark, folder))
    for delivery in sorted(deliveries, key=lambda file: (file.delivered_at, file.path)):
        _read_file(found, delivery, default_organization)
    return found


def _read_file(found: FleetData, file: Delivery, default_organization: UUID | None) -> None:
    kind = next(kind for folder, kind in KINDS.items() if f"/{folder}/" in file.path)
    try:
        table, torn = read_file(file)
    except UnreadableFileError as failure:
        found.refused.append(Refused(file.path, None, str(failure)))
        return
    found.refused.extend(Refused(file.path, None, f"wrong number of fields: {line!r}") for line in torn)
    for number, row in enumerate(table.to_pylist()):
        owned = {ORGANIZATION: default_organization, **_given(row), "source_file": file.path, "row_number": number}
        try:
            _keep(found, kind.model_validate(owned))
        except ValidationError as wrong:
            reasons = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in wrong.errors())
            found.refused.append(Refused(file.path, number, reasons))


def _given(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value is not None}


def _keep(found: FleetData, row: FleetRow) -> None:
    match row:
        case Station():
            found.stations.append(row)
        case Compressor():
            found.compressors.append(row)
        case MaintenanceEvent():
            found.maintenance.append(row)
        case _:
            raise TypeError(type(row))
