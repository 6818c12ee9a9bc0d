"""Which requests a browser's cookie may speak for, and that no Host header opens a door."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from http.cookies import SimpleCookie

import pytest

from functions.api import create_app
from functions.settings import Settings
from shared_code.database.engines import Database
from tests.factories.fleet import Customer, a_customer
from tests.seams.api_client import ApiClient

SignIn = Callable[[Customer], ApiClient]
WEB = "https://app.altaviz.example"
API = "https://api.altaviz.example"

UNSAFE = [("POST", "/api/auth/refresh"), ("POST", "/api/auth/logout")]
FROM_ELSEWHERE: list[dict[str, str]] = [
    {},
    {"Origin": "null"},
    {"Origin": ""},
    {"Origin": "https://evil.example"},
    {"Origin": "http://app.altaviz.example"},
    {"Origin": f"{WEB}.evil.example"},
    {"Origin": f"{WEB}:8443"},
    {"Origin": f"{WEB}, https://evil.example"},
    {"Origin": API},  # whatever Host says is not what the settings say
    {"Origin": "http://127.0.0.1:7071"},
    {"Referer": WEB},
    {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
    {"Sec-Fetch-Site": "same-site", "Origin": "https://other.altaviz.example"},
    {"Sec-Fetch-Site": "none"},
]
FROM_HERE: list[dict[str, str]] = [
    {"Origin": WEB},
    {"Origin": WEB, "Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "same-origin"},
]
ODD_HOSTS = [
    "evil.example",
    "evil.example/api/health?",
    "evil.example/api/health#",
    "127.0.0.1:7071/api/health?",
    "localhost@evil.example",
    "[",
    "[::1",
    "a:b:c",
    "%00",
    "x" * 5000,
    "",
]


def deployed(database: Database, settings: Settings, now: datetime, *, headers: dict[str, str]) -> ApiClient:
    """Reach an installation that has a public address."""
    access = settings.access.model_copy(update={"altaviz_public_url": WEB})
    app = create_app(replace(settings, access=access), lambda: database, clock=lambda: now)
    return ApiClient(app, headers, API)


@pytest.fixture
def token(signed_in: SignIn, database: Database) -> str:
    return signed_in(a_customer(database)).headers["Authorization"].partition(" ")[2]


@pytest.fixture
def browser(database: Database, settings: Settings, now: datetime, token: str) -> ApiClient:
    return deployed(database, settings, now, headers={"Cookie": f"altaviz_session={token}"})


@pytest.mark.parametrize("call", UNSAFE, ids=str)
@pytest.mark.parametrize("headers", FROM_ELSEWHERE, ids=str)
def test_the_cookie_does_not_speak_for_another_site(
    browser: ApiClient, call: tuple[str, str], headers: dict[str, str]
) -> None:
    answer = browser.request(*call, headers=headers)

    assert answer.status_code == 403
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "Set-Cookie" not in answer.headers
    assert browser.get("/api/auth/session").status_code == 200


@pytest.mark.parametrize("headers", FROM_HERE, ids=str)
def test_the_cookie_speaks_for_our_own_pages(browser: ApiClient, headers: dict[str, str]) -> None:
    assert browser.post("/api/auth/refresh", headers=headers).status_code == 200


@pytest.mark.parametrize("headers", FROM_ELSEWHERE, ids=str)
def test_reading_is_not_asked_where_it_comes_from(browser: ApiClient, headers: dict[str, str]) -> None:
    assert browser.get("/api/fleet", headers=headers).status_code == 200


@pytest.mark.parametrize("headers", FROM_ELSEWHERE, ids=str)
def test_a_bearer_token_is_its_own_proof(browser: ApiClient, token: str, headers: dict[str, str]) -> None:
    answer = browser.post("/api/auth/refresh", headers=headers | {"Authorization": f"Bearer {token}"})

    assert answer.status_code == 200


def test_on_this_machine_any_port_is_our_own(signed_in: SignIn, database: Database) -> None:
    client = signed_in(a_customer(database))
    cookie = {"Cookie": f"altaviz_session={client.headers['Authorization'].partition(' ')[2]}"}
    local = ApiClient(client.app, cookie, "http://localhost:9000")

    refused = local.post("/api/auth/refresh", headers={"Origin": "http://localhost:9001"})
    taken = local.post("/api/auth/refresh", headers={"Origin": "http://localhost:9000"})

    assert (refused.status_code, taken.status_code) == (403, 200)


@pytest.mark.parametrize("host", ODD_HOSTS, ids=lambda host: host[:30])
def test_host_header_poisoning_opens_nothing_and_breaks_nothing(
    browser: ApiClient, token: str, database: Database, settings: Settings, now: datetime, host: str
) -> None:
    headers = {"Host": host}
    nobody = deployed(database, settings, now, headers={})

    assert nobody.get("/api/fleet", headers=headers).status_code == 401
    assert nobody.post("/api/auth/refresh", headers=headers).status_code == 401
    assert nobody.get("/api/fleet", headers=headers | {"Authorization": f"Bearer {token}"}).status_code == 200
    assert browser.post("/api/auth/refresh", headers=headers | {"Origin": f"https://{host}"[:200]}).status_code == 403
    signed_in = nobody.post("/api/auth/dev", json={"email": "demo@altaviz.dev"}, headers=headers)
    assert signed_in.status_code == 200
    assert SimpleCookie(signed_in.headers["Set-Cookie"])["altaviz_session"]["secure"]
