from collections.abc import Callable
from datetime import datetime, timedelta

from shared_code.alarms import Severity
from shared_code.database.engines import Database
from tests.factories.fleet import Customer, a_compressor, a_customer, a_station, a_window, an_alert
from tests.seams.api_client import ApiClient

SignIn = Callable[[Customer], ApiClient]
NOTHING: dict[str, object] = {
    "compressors": 0,
    "by_health": {"healthy": 0, "unknown": 0, "warning": 0, "critical": 0},
    "by_station": [],
    "active_alerts": {"warning": 0, "critical": 0},
    "newest_window_end": None,
}


def test_anonymous_is_401_and_an_organization_without_machines_sees_none(
    api: ApiClient, signed_in: SignIn, database: Database, now: datetime
) -> None:
    full = a_customer(database)
    a_station(database, full)
    a_window(database, full, a_compressor(database, full), end=now)

    assert api.get("/api/fleet").status_code == 401
    assert signed_in(a_customer(database)).get("/api/fleet").json() == NOTHING


def test_the_fleet_is_counted_by_health_and_station(signed_in: SignIn, database: Database, now: datetime) -> None:
    customer = a_customer(database)
    for station in ("STATION-A", "STATION-B"):
        a_station(database, customer, station)
    for number, station in enumerate(["STATION-A", "STATION-A", "STATION-B", "STATION-B"], start=1):
        a_compressor(database, customer, f"COMP-00{number}", station_id=station)
    a_window(database, customer, "COMP-001", end=now)
    a_window(database, customer, "COMP-002", end=now - timedelta(hours=3), values={"vibration_max": 8.5})
    a_window(database, customer, "COMP-003", end=now - timedelta(hours=2))
    for severity in (Severity.WARNING, Severity.WARNING, Severity.CRITICAL):
        an_alert(database, customer, "COMP-002", severity)
    an_alert(database, customer, "COMP-003", Severity.WARNING)
    an_alert(database, customer, "COMP-003", Severity.CRITICAL, resolved=True)

    assert signed_in(customer).get("/api/fleet").json() == {
        "compressors": 4,
        "by_health": {"healthy": 1, "unknown": 1, "warning": 1, "critical": 1},
        "by_station": [
            {
                "station_id": "STATION-A",
                "station_name": "Name of STATION-A",
                "compressors": 2,
                "by_health": {"healthy": 1, "unknown": 0, "warning": 0, "critical": 1},
            },
            {
                "station_id": "STATION-B",
                "station_name": "Name of STATION-B",
                "compressors": 2,
                "by_health": {"healthy": 0, "unknown": 1, "warning": 1, "critical": 0},
            },
        ],
        "active_alerts": {"warning": 3, "critical": 1},
        "newest_window_end": "2026-01-12T00:00:00Z",
    }
