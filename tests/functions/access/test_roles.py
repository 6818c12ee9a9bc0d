from collections.abc import Callable

import pytest
from fastapi import APIRouter

from functions.access import guards
from functions.access.caller import CurrentSession, PresentedSession
from functions.access.roles import RANKS, RULES, Rule
from shared_code.database.engines import Database
from shared_code.database.tables.organizations import UserRole
from tests.factories.fleet import Customer, a_customer
from tests.seams.api_client import ApiClient
from tests.seams.operations import described, of_nothing

SignIn = Callable[[Customer], ApiClient]


def test_the_table_names_the_operations_there_are(api: ApiClient) -> None:
    assert {operation["operationId"] for _, _, operation in described(api)} == set(RULES)


def test_the_document_says_who_may_do_what(api: ApiClient) -> None:
    by_name = {operation["operationId"]: operation for _, _, operation in described(api)}

    said = {
        name: Rule(each.get("x-least-role"), each.get("x-key-scope"), each.get("x-installation-key", False))
        for name, each in by_name.items()
    }

    assert said == RULES
    for name, rule in RULES.items():
        assert rule.role is None or f"the role {rule.role} or higher" in by_name[name]["description"]
        assert rule.scope is None or f"an API key with the scope {rule.scope}" in by_name[name]["description"]


@pytest.mark.parametrize("role", UserRole)
def test_each_role_may_do_what_its_rank_allows_and_no_more(
    api: ApiClient, signed_in: SignIn, database: Database, role: UserRole
) -> None:
    allowed: dict[str, bool] = {}
    expected: dict[str, bool] = {}
    for method, path, operation in described(api):
        least = RULES[operation["operationId"]].role
        if least is None:
            continue
        client = signed_in(a_customer(database, role=role))
        answer = client.request(method, of_nothing(path, operation))
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
        ("get_fleet", nobody_asks, "does not ask who asks"),
        ("check_alive", session_asks, "anybody may"),
        ("only_owners", token_asks, "does not ask who asks"),
    ],
)
def test_an_application_whose_operations_disagree_with_the_table_does_not_start(
    monkeypatch: pytest.MonkeyPatch, name: str, endpoint: Callable[..., None], complaint: str
) -> None:
    monkeypatch.setattr(guards, "RULES", {**RULES, "only_owners": Rule(UserRole.OWNER)})
    router = APIRouter()
    router.get("/x", operation_id=name)(endpoint)

    with pytest.raises(ValueError, match=f"{name}: .*{complaint}"):
        guards.refuse_unguarded(router)
