"""Shapes of stations."""

from typing import Annotated

from pydantic import BaseModel, StringConstraints

from functions.pagination import Position

Identifier = Annotated[str, StringConstraints(min_length=1, max_length=50, pattern=r"^[^\x00-\x1f\x7f]*$")]
"""A name that a customer gave to a station or a machine; control characters are none of it."""


class Station(BaseModel):
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


class StationPosition(Position):
    """Stations are listed by id."""

    station_id: Identifier
