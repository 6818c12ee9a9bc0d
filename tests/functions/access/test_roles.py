from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi import FastAPI

from functions.access import guards, roles
from functions.access.caller import CurrentSession, PresentedSession
from functions.access.roles import LEAST_ROLE, RANKS
from shared_code.database.engines import Database
from shared_code.database.tables.organizations import UserRole
from tests.factories.fleet import Customer, a_customer
from tests.seams.api_client import ApiClient

SignIn = Callable[[Customer], ApiClient]
NOBODY = "00000000-0000-4000-8000-00000000dead"


def operations(api: ApiClient) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in api.get("/api/openapi.json").json()["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def filled_in(path: str, operation: dict[str, Any]) -> str:
    for parameter in operation.get("parameters", []):
        if parameter["in"] == "path":
            value = NOBODY if parameter["schema"].get("format") == "uuid" else "NO-SUCH"
            path = path.replace(f"{{{parameter['name']}}}", value)
    return path


def test_the_table_names_the_operations_there_are(api: ApiClient) -> None:
    assert {operation["operationId"] for _, _, operation in operations(api)} == set(LEAST_ROLE)


def test_the_document_says_which_role_an_operation_takes(api: ApiClient) -> None:
    said = {operation["operationId"]: operation.get("x-least-role") for _, _, operation in operations(api)}

    assert said == dict(LEAST_ROLE)
    assert all(
        f"role {least} or higher" in operation["description"]
        for _, _, operation in operations(api)
        if (least := LEAST_ROLE[operation["operationId"]])
    )


@pytest.mark.parametrize("role", UserRole)
def test_each_role_may_do_what_its_rank_allows_and_no_more(
    api: ApiClient, signed_in: SignIn, database: Database, role: UserRole
) -> None:
    allowed: dict[str, bool] = {}
    expected: dict[str, bool] = {}
    for method, path, operation in operations(api):
        least = LEAST_ROLE[operation["operationId"]]
        if least is None:
            continue
        client = signed_in(a_customer(database, role=role))
        answer = client.request(method, filled_in(path, operation))
        refused = answer.status_code == 403 and answer.json()["detail"].startswith("this takes the role")
        assert answer.status_code != 401
        allowed[operation["operationId"]] = not refused
        expected[operation["operationId"]] = RANKS.index(role) >= RANKS.index(least)

    assert allowed == expected


def nobody_asks() -> None: ...


def session_asks(_: CurrentSession) -> None: ...


def token_asks(_: PresentedSession) -> None: ...


@pytest.mark.parametrize(
    ("name", "endpoint", "complaint"),
    [
        ("brand_new", session_asks, "has no row"),
        ("get_fleet", nobody_asks, "asks for no session"),
        ("check_alive", session_asks, "none is needed"),
        ("only_owners", token_asks, "asks for no session"),
    ],
)
def test_an_application_whose_operations_disagree_with_the_table_does_not_start(
    monkeypatch: pytest.MonkeyPatch, name: str, endpoint: Callable[..., None], complaint: str
) -> None:
    monkeypatch.setattr(roles, "LEAST_ROLE", {**LEAST_ROLE, "only_owners": UserRole.OWNER})
    monkeypatch.setattr(guards, "LEAST_ROLE", roles.LEAST_ROLE)
    app = FastAPI()
    app.get("/x", operation_id=name)(endpoint)

    with pytest.raises(ValueError, match=f"{name}: .*{complaint}"):
        guards.refuse_unguarded(app)
