"""Shapes of stations."""

from functools import cache
from typing import Annotated, Final, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, AwareDatetime, Field, StringConstraints

from functions.bodies import ONE_LINE, Body, Latitude, Longitude, LongText, NewId, ShortText, Text
from functions.pagination import Position
from functions.selection import Sparse

Identifier = Annotated[str, StringConstraints(min_length=1, max_length=50, pattern=ONE_LINE)]
"""A name that a customer gave to a station or a machine; control characters are none of it."""

NO_ZONES: Final = frozenset({"localtime", "Factory"})
"""Names that mean something else on every machine, or nothing."""


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(available_timezones() - NO_ZONES)


def _time_zone(name: str) -> str:
    if name not in _time_zones():
        raise ValueError("must be a time zone of the IANA database, such as America/Chicago")
    return name


TimeZone = Annotated[
    str,
    StringConstraints(max_length=50),
    AfterValidator(_time_zone),
    Field(description="As the IANA database names it.", examples=["America/Chicago"]),
]
Elevation = Annotated[float, Field(strict=True, ge=-2000, le=30_000, description="Feet above the sea.")]


class NewStation(Body):
    """A station to be created; coordinates in degrees, elevation in feet."""

    station_id: Annotated[NewId, Field(examples=["STATION-E"])]
    station_name: Annotated[LongText, Field(examples=["Eagle Ford Station E"])]
    latitude: Annotated[Latitude, Field(examples=[28.9144])]
    longitude: Annotated[Longitude, Field(examples=[-98.5242])]
    timezone: TimeZone
    elevation_ft: Annotated[Elevation | None, Field(examples=[450])] = None
    region: Annotated[Text | None, Field(examples=["Eagle Ford"])] = None
    city: Annotated[Text | None, Field(examples=["Karnes City"])] = None
    state: Annotated[ShortText | None, Field(examples=["TX"])] = None


class StationChanges(Body):
    """What to change of a station. What is not sent stays: a default here only says that a field may be missing."""

    station_name: LongText = Field(default_factory=str)
    latitude: Latitude = Field(default_factory=float)
    longitude: Longitude = Field(default_factory=float)
    timezone: TimeZone = Field(default_factory=str)
    elevation_ft: Elevation | None = None
    region: Text | None = None
    city: Text | None = None
    state: ShortText | None = None
    retired: Literal[False] = Field(default=False, description="Send false to bring a retired station back.")


class Station(Sparse):
    """Where machines stand; coordinates in degrees, elevation in feet."""

    station_id: str
    station_name: str
    latitude: float
    longitude: float
    elevation_ft: float | None
    region: str | None
    city: str | None
    state: str | None
    timezone: str
    retired_at: AwareDatetime | None


class StationPosition(Position):
    """Stations are listed by id."""

    station_id: Identifier
