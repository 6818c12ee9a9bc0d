from collections.abc import Callable
from datetime import datetime, timedelta

import httpx

from shared_code.alarms import Severity
from shared_code.database.engines import Database
from shared_code.database.tables.organizations import Tier
from shared_code.database.tables.readings import WindowType
from tests.factories.fleet import Customer, a_compressor, a_customer, a_station, a_window, an_alert
from tests.seams.api_client import ApiClient

SignIn = Callable[[Customer], ApiClient]


def without_request_id(answer: httpx.Response) -> dict[str, object]:
    body: dict[str, object] = answer.json()
    assert body.pop("requestId") == answer.headers["X-Request-Id"]
    return body


def a_fleet(database: Database, *, tier: Tier = Tier.ENTERPRISE, machines: int = 1) -> Customer:
    customer = a_customer(database, tier=tier)
    a_station(database, customer)
    for number in range(1, machines + 1):
        a_compressor(database, customer, f"COMP-{number:03d}")
    return customer


def test_anonymous_is_401_and_another_organization_sees_nothing(
    api: ApiClient, signed_in: SignIn, database: Database
) -> None:
    a_fleet(database)
    stranger = signed_in(a_customer(database))

    assert api.get("/api/compressors").status_code == 401
    assert api.get("/api/compressors/COMP-001").status_code == 401
    assert stranger.get("/api/compressors").json() == {"items": [], "next": None}
    foreign, missing = stranger.get("/api/compressors/COMP-001"), stranger.get("/api/compressors/NO-SUCH")
    assert foreign.status_code == missing.status_code == 404
    assert without_request_id(foreign) == without_request_id(missing)


def test_two_organizations_own_a_machine_of_the_same_name(signed_in: SignIn, database: Database, now: datetime) -> None:
    ours, theirs = a_fleet(database), a_fleet(database)
    a_window(database, theirs, "COMP-001", end=now, values={"vibration_max": 9.0})
    a_window(database, ours, "COMP-001", end=now)
    an_alert(database, theirs, "COMP-001", Severity.CRITICAL)

    (machine,) = signed_in(ours).get("/api/compressors").json()["items"]

    assert (machine["health"], machine["open_alerts"]) == ("healthy", 0)


def test_a_listed_machine_tells_what_it_is_where_it_stands_and_how_it_is(
    signed_in: SignIn, database: Database, now: datetime
) -> None:
    customer = a_fleet(database)
    a_window(database, customer, "COMP-001", end=now - timedelta(hours=1), values={"vibration_max": 9.0})
    a_window(database, customer, "COMP-001", end=now)
    an_alert(database, customer, "COMP-001", Severity.WARNING)
    an_alert(database, customer, "COMP-001", Severity.CRITICAL, resolved=True)

    assert signed_in(customer).get("/api/compressors").json()["items"] == [
        {
            "compressor_id": "COMP-001",
            "model": "Ajax DPC-360",
            "horsepower": 1340.0,
            "install_date": "2025-01-01",
            "station_id": "STATION-A",
            "station_name": "Name of STATION-A",
            "latitude": None,
            "longitude": None,
            "health": "warning",
            "open_alerts": 1,
            "newest_window_end": "2026-01-12T00:00:00Z",
            "retired_at": None,
            "over_plan_limit": False,
        }
    ]


def test_a_machine_with_117_critical_alerts_and_one_warning_is_critical(
    signed_in: SignIn, database: Database, now: datetime
) -> None:
    """As text, 'warning' is greater than 'critical': the first product took MAX and called this machine 'warning'."""
    customer = a_fleet(database)
    a_window(database, customer, "COMP-001", end=now)
    an_alert(database, customer, "COMP-001", Severity.WARNING)
    for _ in range(117):
        an_alert(database, customer, "COMP-001", Severity.CRITICAL)

    client = signed_in(customer)

    assert client.get("/api/compressors").json()["items"][0]["health"] == "critical"
    detail = client.get("/api/compressors/COMP-001").json()
    assert detail["health"] == "critical"
    assert detail["health_reasons"] == ["117 open critical alerts", "1 open warning alert"]
    assert client.get("/api/fleet").json()["by_health"]["critical"] == 1


def test_detail_shows_station_reasons_and_the_newest_window_of_each_type(
    signed_in: SignIn, database: Database, now: datetime
) -> None:
    customer = a_fleet(database)
    for kind in (WindowType.HOUR, WindowType.DAY):
        a_window(database, customer, "COMP-001", end=now - timedelta(hours=1), window_type=kind)
        a_window(database, customer, "COMP-001", end=now, window_type=kind, values={"vibration_max": 6.5})

    detail = signed_in(customer).get("/api/compressors/COMP-001").json()

    assert detail["station"]["city"] == "Karnes City"
    assert detail["health"] == "warning"
    assert detail["health_reasons"] == ["highest vibration in the latest hour 6.5 mm/s RMS; warning above 6"]
    windows = detail["latest_windows"]
    assert {kind: window and window["agg_timestamp"] for kind, window in windows.items()} == {
        "1hr": "2026-01-12T00:00:00Z",
        "4hr": None,
        "24hr": "2026-01-12T00:00:00Z",
    }


def test_the_free_plan_sees_hourly_windows_alone(signed_in: SignIn, database: Database, now: datetime) -> None:
    customer = a_fleet(database, tier=Tier.FREE)
    for kind in WindowType:
        a_window(database, customer, "COMP-001", end=now, window_type=kind)

    assert list(signed_in(customer).get("/api/compressors/COMP-001").json()["latest_windows"]) == ["1hr"]


def test_filters_by_station_and_health(signed_in: SignIn, database: Database, now: datetime) -> None:
    customer = a_fleet(database, machines=3)
    a_station(database, customer, "STATION-B")
    a_compressor(database, customer, "COMP-004", station_id="STATION-B")
    a_window(database, customer, "COMP-001", end=now)
    a_window(database, customer, "COMP-002", end=now, values={"suction_pressure_min": 19.0})
    a_window(database, customer, "COMP-004", end=now, values={"gas_flow_mean": 5000.0})
    client = signed_in(customer)

    def ids(**parameters: str) -> list[str]:
        return [item["compressor_id"] for item in client.get("/api/compressors", params=parameters).json()["items"]]

    assert ids() == ["COMP-001", "COMP-002", "COMP-003", "COMP-004"]
    assert ids(station_id="STATION-B") == ["COMP-004"]
    assert ids(station_id="STATION-Z") == []
    assert ids(health="healthy") == ["COMP-001"]
    assert ids(health="unknown") == ["COMP-003"]
    assert ids(health="warning") == ["COMP-004"]
    assert ids(health="critical") == ["COMP-002"]
    assert ids(health="critical", station_id="STATION-B") == []


def test_pages_hold_every_machine_once_in_order(signed_in: SignIn, database: Database) -> None:
    client = signed_in(a_fleet(database, machines=5))
    seen: list[str] = []
    cursor: str | None = None
    for expected in (2, 2, 1):
        page = client.get("/api/compressors", params={"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
        assert len(page["items"]) == expected
        seen += [item["compressor_id"] for item in page["items"]]
        cursor = page["next"]
    assert cursor is None
    assert seen == [f"COMP-{number:03d}" for number in range(1, 6)]


def test_a_full_last_page_has_no_next(signed_in: SignIn, database: Database) -> None:
    page = signed_in(a_fleet(database, machines=2)).get("/api/compressors", params={"limit": 2}).json()

    assert (len(page["items"]), page["next"]) == (2, None)


def test_a_cursor_carries_a_position_and_not_an_organization(signed_in: SignIn, database: Database) -> None:
    ours, theirs = a_fleet(database, machines=3), a_fleet(database, machines=3)
    cursor = signed_in(ours).get("/api/compressors", params={"limit": 1}).json()["next"]

    page = signed_in(theirs).get("/api/compressors", params={"cursor": cursor}).json()

    assert [item["compressor_id"] for item in page["items"]] == ["COMP-002", "COMP-003"]


def test_sixty_requests_at_once_are_all_served(signed_in: SignIn, database: Database) -> None:
    """More than there are threads or connections: who waits must not hold what others need to finish."""
    client = signed_in(a_fleet(database))

    answers = client.together([("GET", "/api/compressors")] * 60)

    assert {answer.status_code for answer in answers} == {200}
