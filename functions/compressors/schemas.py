"""Shapes of machines."""

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Field

from functions.bodies import Body, Day, Latitude, Longitude, NewId, Text
from functions.compressors.health import Health
from functions.pagination import Position
from functions.readings.schemas import Window
from functions.selection import Sparse
from functions.stations.schemas import Identifier, Station
from functions.units import UnitSystem, measured, units_of
from shared_code.database.tables.readings import WindowType

Horsepower = Annotated[float, Field(strict=True, gt=0, le=10_000, description="Rated power, HP.")]
"""Up to what a power reading may plausibly be."""


class NewCompressor(Body):
    """A machine to be created; without coordinates it stands where its station is."""

    compressor_id: Annotated[NewId, Field(examples=["COMP-011"])]
    model: Annotated[Text, Field(examples=["Ariel JGK/4"])]
    horsepower: Annotated[Horsepower, Field(examples=[1480])]
    station_id: Annotated[Identifier, Field(examples=["STATION-A"])]
    install_date: Annotated[Day | None, Field(description="From 1900 to today.", examples=["2019-06-30"])] = None
    latitude: Latitude | None = None
    longitude: Longitude | None = None


class CompressorChanges(Body):
    """What to change of a machine. What is not sent stays: a default here only says that a field may be missing."""

    model: Text = Field(default_factory=str)
    horsepower: Horsepower = Field(default_factory=float)
    station_id: Identifier = Field(default_factory=str)
    install_date: Day | None = None
    latitude: Latitude | None = None
    longitude: Longitude | None = None
    retired: Literal[False] = Field(default=False, description="Send false to bring a retired machine back.")


class Compressor(Sparse):
    """A machine in a list; `newest_window_end` is the end of its newest hour with readings.

    Its power is in HP unless other units are asked for. `over_plan_limit` marks machines that the plan has no room for:
    the last ones in order of id. They are served as all others are.
    """

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
    retired_at: AwareDatetime | None
    over_plan_limit: bool


class CompressorDetail(Compressor):
    """A machine with its station, why its health is what it is, and its newest window of each type in the plan.

    `units` says the unit of each field that is measured, here and in the windows.
    """

    health_reasons: list[str]
    station: Station
    latest_windows: dict[WindowType, Window | None]
    units: dict[str, str]


def detail_values(described: Mapping[str, Any], units: UnitSystem) -> dict[str, Any]:
    """Return what is shown of a machine, of what is said about it, in the units asked for."""
    windows: Mapping[WindowType, Mapping[Any, Any] | None] = described["latest_windows"]
    return {
        **measured(described, units),
        "latest_windows": {kind: row and dict(measured(row, units)) for kind, row in windows.items()},
        "units": units_of([*Compressor.model_fields, *Window.model_fields], units),
    }


class CompressorPosition(Position):
    """Machines are listed by id."""

    compressor_id: Identifier
