"""Shapes of the fleet."""

from pydantic import AwareDatetime, BaseModel


class HealthCounts(BaseModel):
    """How many machines are how."""

    healthy: int = 0
    unknown: int = 0
    warning: int = 0
    critical: int = 0


class AlertCounts(BaseModel):
    """How many open alerts there are of each severity."""

    warning: int = 0
    critical: int = 0


class StationSummary(BaseModel):
    """The machines at one station."""

    station_id: str
    station_name: str
    compressors: int
    by_health: HealthCounts


class FleetOverview(BaseModel):
    """All machines of an organization; `newest_window_end` is the end of the newest hour with readings."""

    compressors: int
    by_health: HealthCounts
    by_station: list[StationSummary]
    active_alerts: AlertCounts
    newest_window_end: AwareDatetime | None
