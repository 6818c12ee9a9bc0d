from typing import NoReturn

import pytest
from pydantic import SecretStr

from functions.api import create_app
from functions.settings import Settings
from shared_code.database.engines import Database
from shared_code.settings import DatabaseSettings
from tests.seams.api_client import ApiClient


def test_a_live_program_with_a_database_is_ready(api: ApiClient) -> None:
    assert [api.get(path).json() for path in ("/api/health", "/api/health/ready")] == [{"status": "ok"}] * 2


def test_liveness_asks_no_database(settings: Settings) -> None:
    def no_database() -> NoReturn:
        pytest.fail("the database was opened")

    assert ApiClient(create_app(settings, no_database)).get("/api/health").status_code == 200


def test_without_a_database_it_is_not_ready_and_says_no_more(settings: Settings) -> None:
    unreachable = DatabaseSettings(
        host="127.0.0.1", port=1, user="altaviz_app", password=SecretStr("canary"), sslmode="disable"
    )
    database = Database(unreachable)

    answer = ApiClient(create_app(settings, lambda: database)).get("/api/health/ready")

    assert (answer.status_code, answer.json()["detail"]) == (503, "the database does not answer")
    assert answer.headers["Content-Type"] == "application/problem+json"
    database.dispose()
