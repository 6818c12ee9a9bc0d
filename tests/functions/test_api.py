"""Rules that hold for every operation, whichever they are."""

from collections.abc import Callable
from dataclasses import replace
from socket import create_server
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from functions.api import create_app
from functions.envelope import SECURITY_HEADERS
from functions.settings import Settings
from shared_code.database.engines import Database
from tests.factories.fleet import Customer, a_customer
from tests.functions.conftest import NOW
from tests.seams.api_client import ApiClient
from tests.seams.operations import described, of_nothing

OPEN = {
    "list_plans",
    "receive_stripe_event",
    "begin_entra_sign_in",
    "complete_entra_sign_in",
    "check_alive",
    "check_ready",
    "get_openapi_document",
    "show_documentation",
    "sign_in_for_development",
    "sign_out",
}


def wants_session(operation: dict[str, Any]) -> bool:
    return {} not in operation.get("security", [{}])


def test_every_operation_but_the_open_ones_wants_a_session(api: ApiClient) -> None:
    anonymous = {
        operation["operationId"]: api.request(method, of_nothing(path, operation)).status_code
        for method, path, operation in described(api)
    }

    # Who comes back from the provider without an answer is refused too, but was not asked for a session.
    assert {name for name, status in anonymous.items() if status != 401} == OPEN - {"complete_entra_sign_in"}
    assert {operation["operationId"] for _, _, operation in described(api) if not wants_session(operation)} == OPEN


def test_a_session_is_asked_for_before_input_is_looked_at(api: ApiClient) -> None:
    assert api.get("/api/compressors?limit=0&cursor=nonsense").status_code == 401


def test_every_operation_is_described_with_its_problems(api: ApiClient) -> None:
    document = api.get("/api/openapi.json").json()
    assert {"Problem", "FieldError"} <= set(document["components"]["schemas"])
    assert "HTTPValidationError" not in document["components"]["schemas"]
    for _, path, operation in described(api):
        assert path.startswith("/api/")
        assert operation["description"]
        problems = {status: answer["content"] for status, answer in operation["responses"].items() if status >= "400"}
        assert all(set(content) == {"application/problem+json"} for content in problems.values())
        if wants_session(operation):
            people = ("bearer", "cookie") if "x-least-role" in operation else ()
            machines = ("api_key",) if "x-key-scope" in operation else ()
            everybody = ("installation_key",) if "x-installation-key" in operation else ()
            assert operation["security"] == [{way: []} for way in everybody + people + machines]
            assert "401" in problems
        if "{" in path:
            assert "404" in problems


def test_the_page_names_every_operation_and_loads_nothing(api: ApiClient) -> None:
    page = api.get("/api/docs")

    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "<script" not in page.text
    assert all(path in page.text for _, path, _ in described(api))


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/health", 200),
        ("GET", "/api/fleet", 401),
        ("GET", "/api/nowhere", 404),
        ("GET", "/", 404),
        ("GET", "/api/fleet/", 404),
        ("DELETE", "/api/fleet", 405),
        ("OPTIONS", "/api/fleet", 405),
        ("POST", "/api/auth/dev", 422),
    ],
)
def test_every_answer_has_an_id_and_the_security_headers(api: ApiClient, method: str, path: str, status: int) -> None:
    answer = api.request(method, path)

    assert answer.status_code == status
    assert len(answer.headers["X-Request-Id"]) == 36
    assert answer.headers["Cache-Control"] == "no-store"
    assert {name: answer.headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS
    if status >= 400:
        assert_problem(answer)


def assert_problem(answer: httpx.Response) -> None:
    body = answer.json()
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert body.pop("errors", [{}])
    assert set(body) == {"type", "title", "status", "detail", "instance", "requestId"}
    assert (body["status"], body["requestId"]) == (answer.status_code, answer.headers["X-Request-Id"])


def test_a_wrong_method_is_told_the_right_ones(api: ApiClient) -> None:
    assert api.request("DELETE", "/api/fleet").headers["Allow"] == "GET"


def test_a_failure_nobody_foresaw_tells_the_client_its_id_and_the_log_the_rest(
    api: ApiClient,
    signed_in: Callable[[Customer], ApiClient],
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("canary secret")

    monkeypatch.setattr("functions.stations.queries.list_stations", fail)
    answer = signed_in(a_customer(database)).get("/api/stations")

    assert answer.status_code == 500
    assert_problem(answer)
    assert "canary" not in answer.text
    assert answer.headers["X-Request-Id"] in caplog.text
    assert "canary secret" in caplog.text
    assert api.get("/api/health/ready").status_code == 200


@pytest.mark.parametrize("compressor_id", ["%00", "a%0Ab", "x" * 51])
def test_an_id_that_no_machine_can_have_is_422(
    signed_in: Callable[[Customer], ApiClient], database: Database, compressor_id: str
) -> None:
    client = signed_in(a_customer(database))

    for path in (f"/api/compressors/{compressor_id}", f"/api/compressors/{compressor_id}/readings"):
        assert client.get(path).status_code == 422


@pytest.mark.parametrize("compressor_id", ["'; DROP TABLE users; --", "%25", "ü", "COMP-001%20", "%2E%2E", "%FF"])
def test_an_odd_id_is_no_machine(
    signed_in: Callable[[Customer], ApiClient], database: Database, compressor_id: str
) -> None:
    assert signed_in(a_customer(database)).get(f"/api/compressors/{compressor_id}/readings").status_code == 404


def test_without_a_database_what_needs_it_is_a_503_that_may_be_tried_again(
    settings: Settings, database: Database, signed_in: Callable[[Customer], ApiClient], caplog: pytest.LogCaptureFixture
) -> None:
    with create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    away = database.settings.model_copy(update={"host": "127.0.0.1", "port": port, "password": SecretStr("canary")})
    nowhere = Database(away)
    client = signed_in(a_customer(database))
    cut_off = replace(client, app=create_app(settings, lambda: nowhere, clock=lambda: NOW))

    answers = [cut_off.get("/api/fleet"), cut_off.post("/api/auth/refresh"), cut_off.get("/api/auth/entra/callback")]

    assert [answer.status_code for answer in answers] == [503, 503, 401]
    for answer in answers[:2]:
        assert_problem(answer)
        assert int(answer.headers["Retry-After"]) > 0
        assert str(port) not in answer.text
    assert cut_off.get("/api/health").status_code == 200
    assert "the database does not answer" in caplog.text
    assert "canary" not in caplog.text
