from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from shared_code.database.engines import Database
from shared_code.database.tables.organizations import Tier
from shared_code.database.tables.readings import WindowType
from tests.factories.fleet import Customer, a_compressor, a_customer, a_station, a_window
from tests.seams.api_client import ApiClient

SignIn = Callable[[Customer], ApiClient]
PATH = "/api/compressors/COMP-001/readings"


@pytest.fixture
def customer(database: Database, now: datetime) -> Customer:
    """A machine with windows that end at 20, 21, 22, 23 and 24 o'clock, and one of each longer type."""
    customer = a_customer(database)
    a_station(database, customer)
    a_compressor(database, customer)
    for hours in range(5):
        a_window(database, customer, "COMP-001", end=now - timedelta(hours=hours))
    for window in (WindowType.FOUR_HOURS, WindowType.DAY):
        a_window(database, customer, "COMP-001", end=now, window_type=window)
    return customer


def ends(client: ApiClient, **parameters: str) -> list[str]:
    return [item["agg_timestamp"][11:13] for item in client.get(PATH, params=parameters).json()["items"]]


def test_anonymous_is_401_and_another_organization_gets_the_404_of_a_missing_machine(
    api: ApiClient, signed_in: SignIn, customer: Customer, database: Database
) -> None:
    stranger = signed_in(a_customer(database))
    assert api.get(PATH).status_code == 401
    foreign, missing = stranger.get(PATH).json(), stranger.get("/api/compressors/NO-SUCH/readings").json()
    assert foreign.pop("requestId") != missing.pop("requestId")
    assert foreign == missing
    assert foreign["status"] == 404
    assert signed_in(customer).get(PATH).status_code == 200


def test_windows_come_oldest_first_with_every_column(signed_in: SignIn, customer: Customer) -> None:
    items = signed_in(customer).get(PATH).json()["items"]

    assert [item["agg_timestamp"] for item in items] == [
        "2026-01-11T20:00:00Z",
        "2026-01-11T21:00:00Z",
        "2026-01-11T22:00:00Z",
        "2026-01-11T23:00:00Z",
        "2026-01-12T00:00:00Z",
    ]
    assert items[0]["window_type"] == "1hr"
    assert items[0]["vibration_max"] == 3.5
    assert len(items[0]) == 24
    assert "organization_id" not in items[0]


@pytest.mark.parametrize(("window", "count"), [("1hr", 5), ("4hr", 1), ("24hr", 1)])
def test_a_window_type_is_chosen(signed_in: SignIn, customer: Customer, window: str, count: int) -> None:
    assert len(ends(signed_in(customer), window=window)) == count


def test_a_period_holds_its_end_and_not_its_start(signed_in: SignIn, customer: Customer) -> None:
    client = signed_in(customer)

    assert ends(client, start="2026-01-11T21:00:00Z", end="2026-01-11T23:00:00Z") == ["22", "23"]
    assert ends(client, start="2026-01-11T23:00:00+02:00", end="2026-01-12T01:00:00+02:00") == ["22", "23"]
    assert ends(client, start="2026-01-11T23:00:00Z") == ["00"]
    assert ends(client, end="2026-01-11T20:00:00Z") == ["20"]
    assert len(ends(client, start="0001-01-01T00:00:00+14:00", end="9999-12-31T23:59:59-14:00")) == 5


def test_pages_hold_every_window_once(signed_in: SignIn, customer: Customer) -> None:
    client = signed_in(customer)
    seen: list[str] = []
    cursor: str | None = None
    for _ in range(2):
        parameters = {"limit": "2", "start": "2026-01-11T20:00:00Z"} | ({"cursor": cursor} if cursor else {})
        page = client.get(PATH, params=parameters).json()
        seen += [item["agg_timestamp"][11:13] for item in page["items"]]
        cursor = page["next"]
    assert (seen, cursor) == (["21", "22", "23", "00"], None)


@pytest.mark.parametrize("window", ["4hr", "24hr"])
def test_the_free_plan_is_told_which_plans_include_a_window(signed_in: SignIn, database: Database, window: str) -> None:
    answer = signed_in(a_customer(database, tier=Tier.FREE)).get(PATH, params={"window": window})

    assert answer.status_code == 403
    expected = f"the Free plan does not include the {window} window; Pro and Enterprise do"
    assert answer.json()["detail"] == expected


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"window": "2hr"}, "window"),
        ({"window": ""}, "window"),
        ({"start": "2026-01-11T00:00:00"}, "start"),
        ({"start": "2026-01-11"}, "start"),
        ({"end": "1768176000"}, "end"),
        ({"end": "yesterday-evil"}, "end"),
        ({"start": "2026-01-11T00:00:00 00:00"}, "start"),
        ({"start": "2026-01-11T00:00:00Z", "end": "2026-01-11T00:00:00Z"}, "start"),
        ({"start": "2026-01-12T00:00:00Z", "end": "2026-01-11T00:00:00Z"}, "start"),
        ({"limit": "0"}, "limit"),
        ({"limit": "1001"}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"cursor": "nonsense-evil"}, "cursor"),
        ({"cursor": "x" * 501}, "cursor"),
        ({"cursor": "eyJjb21wcmVzc29yX2lkIjoiQ09NUC0wMDEifQ"}, "cursor"),
        ({"cursor": "eyJhZ2dfdGltZXN0YW1wIjoiMjAyNi0wMS0xMVQwMDowMDowMCJ9"}, "cursor"),
    ],
)
def test_a_wrong_parameter_is_422_and_named_and_not_said_back(
    signed_in: SignIn, customer: Customer, parameters: dict[str, str], field: str
) -> None:
    answer = signed_in(customer).get(PATH, params=parameters)

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert "evil" not in answer.text


def test_a_naive_time_is_told_how_to_be_mended(signed_in: SignIn, customer: Customer) -> None:
    errors = signed_in(customer).get(PATH, params={"start": "2026-01-11T00:00:00"}).json()["errors"]

    assert "with its zone, such as 2026-01-05T00:00:00Z" in errors[0]["message"]


def test_a_value_that_is_no_number_is_null(
    signed_in: SignIn, database: Database, customer: Customer, now: datetime
) -> None:
    end = now + timedelta(hours=1)
    a_window(database, customer, "COMP-001", end=end, values={"vibration_std": float("nan"), "gas_flow_mean": None})

    item = signed_in(customer).get(PATH, params={"start": "2026-01-12T00:00:00Z"}).json()["items"][0]

    assert (item["vibration_std"], item["gas_flow_mean"]) == (None, None)
