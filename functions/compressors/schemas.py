"""Shapes of machines."""

from datetime import date

from pydantic import AwareDatetime, BaseModel

from functions.compressors.health import Health
from functions.pagination import Position
from functions.readings.schemas import Window
from functions.stations.schemas import Identifier, Station
from shared_code.database.tables.readings import WindowType


class Compressor(BaseModel):
    """A machine in a list; `newest_window_end` is the end of its newest hour with readings."""

    compressor_id: str
    model: str
    horsepower: float
    install_date: date | None
    station_id: str
    station_name: str
    latitude: float | None
    longitude: float | None
    health: Health
    open_alerts: int
    newest_window_end: AwareDatetime | None


class CompressorDetail(Compressor):
    """A machine with its station, why its health is what it is, and its newest window of each type in the plan."""

    health_reasons: list[str]
    station: Station
    latest_windows: dict[WindowType, Window | None]


class CompressorPosition(Position):
    """Machines are listed by id."""

    compressor_id: Identifier
