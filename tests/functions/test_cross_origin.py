"""What pages of other sites may do: nothing, or where their origin is allowed, call with a bearer token."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import pytest

from functions.api import create_app
from functions.host import FALLBACK, function_app
from functions.settings import Settings
from shared_code.database.engines import Database
from tests.factories.fleet import Customer, a_customer
from tests.seams.api_client import ApiClient
from tests.seams.functions_host import FunctionsHost

SignIn = Callable[[Customer], ApiClient]
WEB = "https://web.example"
PREFLIGHT = {
    "Access-Control-Request-Method": "PATCH",
    "Access-Control-Request-Headers": "authorization,idempotency-key",
}
OTHERS = [
    "https://evil.example",
    "null",
    "http://web.example",
    f"{WEB}:8443",
    f"{WEB}.evil.example",
    "https://WEB.example",
]


@pytest.fixture
def open_api(settings: Settings, database: Database, now: datetime) -> ApiClient:
    edge = settings.edge.model_copy(update={"cors_allowed_origins": (WEB,)})
    return ApiClient(create_app(replace(settings, edge=edge), lambda: database, clock=lambda: now))


def test_without_the_setting_no_other_site_is_told_anything(api: ApiClient) -> None:
    preflight = api.request("OPTIONS", "/api/fleet", headers={"Origin": WEB} | PREFLIGHT)
    asked = api.get("/api/health", headers={"Origin": WEB})

    assert preflight.status_code == 405
    assert not [name for answer in (preflight, asked) for name in answer.headers if name.startswith("access-control")]


def test_an_allowed_origin_may_ask_and_read_what_is_told_in_headers(open_api: ApiClient) -> None:
    preflight = open_api.request("OPTIONS", "/api/stations/S", headers={"Origin": WEB} | PREFLIGHT)
    asked = open_api.get("/api/fleet", headers={"Origin": WEB})

    assert preflight.status_code == 200
    assert preflight.headers["Access-Control-Allow-Origin"] == asked.headers["Access-Control-Allow-Origin"] == WEB
    assert {"PATCH", "DELETE"} <= set(preflight.headers["Access-Control-Allow-Methods"].split(", "))
    assert {"Authorization", "Idempotency-Key"} <= set(preflight.headers["Access-Control-Allow-Headers"].split(", "))
    assert "Origin" in asked.headers["Vary"]
    exposed = set(asked.headers["Access-Control-Expose-Headers"].split(", "))
    assert {"ETag", "Location", "RateLimit", "RateLimit-Policy", "Retry-After", "X-Request-Id"} <= exposed
    assert preflight.headers["X-Frame-Options"] == "DENY"
    assert len(preflight.headers["X-Request-Id"]) == 36


@pytest.mark.parametrize("origin", OTHERS)
def test_any_other_origin_is_told_nothing(open_api: ApiClient, origin: str) -> None:
    preflight = open_api.request("OPTIONS", "/api/fleet", headers={"Origin": origin} | PREFLIGHT)
    asked = open_api.get("/api/health", headers={"Origin": origin})

    assert preflight.status_code == 400
    assert "Access-Control-Allow-Origin" not in preflight.headers
    assert "Access-Control-Allow-Origin" not in asked.headers


def test_a_failure_too_can_be_read(
    open_api: ApiClient, database: Database, signed_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError

    monkeypatch.setattr("functions.stations.queries.list_stations", fail)
    token = signed_in(a_customer(database)).headers["Authorization"]
    answer = open_api.get("/api/stations", headers={"Origin": WEB, "Authorization": token})

    assert answer.status_code == 500
    assert answer.headers["Access-Control-Allow-Origin"] == WEB


def test_the_cookie_does_not_speak_for_an_allowed_origin(
    open_api: ApiClient, database: Database, signed_in: SignIn
) -> None:
    token = signed_in(a_customer(database)).headers["Authorization"].partition(" ")[2]
    cookie = {"Cookie": f"altaviz_session={token}", "Origin": WEB}

    refused = open_api.post("/api/auth/refresh", headers=cookie | {"Sec-Fetch-Site": "same-site"})
    read = open_api.get("/api/fleet", headers=cookie)
    bearer = open_api.post("/api/auth/refresh", headers={"Origin": WEB, "Authorization": f"Bearer {token}"})

    assert (refused.status_code, bearer.status_code) == (403, 200)
    # The browser sent it, and shows the page none of it.
    assert "Access-Control-Allow-Credentials" not in read.headers


def test_the_functions_host_hands_preflights_to_the_fallback(open_api: ApiClient) -> None:
    host = FunctionsHost(function_app(open_api.app))

    preflight = host.call("OPTIONS", "/api/compressors/C", headers={"Origin": WEB} | PREFLIGHT)
    asked = host.call("GET", "/api/fleet", headers={"Origin": WEB})

    assert preflight is not None
    assert asked is not None
    assert (preflight.function, preflight.response.status_code) == (FALLBACK, 200)
    assert preflight.response.headers["Access-Control-Allow-Origin"] == WEB
    assert asked.response.headers["Access-Control-Allow-Origin"] == WEB
    assert {"RateLimit", "Retry-After"} <= set(asked.response.headers["Access-Control-Expose-Headers"].split(", "))
