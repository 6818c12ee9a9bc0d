"""Workflows over HTTP: by people for their organization, by whoever holds the installation's key for all."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import select

from functions.access import sessions
from functions.access.keys import Scope
from functions.api import create_app
from functions.settings import Settings, WorkflowSettings
from shared_code.alarms import Severity
from shared_code.database import transactions
from shared_code.database.engines import Database
from shared_code.database.tables import alert_history
from shared_code.database.tables.organizations import UserRole
from shared_code.database.tables.workflows import Workflow
from tests.factories.fleet import (
    Customer,
    a_colleague,
    a_compressor,
    a_contact,
    a_customer,
    a_key,
    a_session,
    a_station,
    an_alert,
)
from tests.functions.conftest import KEY, NOW
from tests.seams.api_client import ApiClient

SignIn = Callable[[Customer], ApiClient]
RUN, RUNS, SETTINGS = "/api/workflows/run", "/api/workflows/runs", "/api/workflows/settings"
INSTALLATION_KEY = "the key of this installation, of tests alone"
HOUR = timedelta(hours=1)
ALL = {"workflow": "all"}


@pytest.fixture
def customer(database: Database) -> Customer:
    """A customer with a warning that is due to be escalated."""
    return a_customer_with_a_warning(database)


def a_customer_with_a_warning(database: Database) -> Customer:
    customer = a_customer(database)
    a_compressor(database, customer, station_id=a_station(database, customer))
    an_alert(database, customer, "COMP-001", Severity.WARNING, at=NOW - 5 * HOUR)
    return customer


@pytest.fixture
def keyed(database: Database, settings: Settings) -> ApiClient:
    """A client that sends the installation's key, where there is one."""
    workflows = WorkflowSettings(workflows_api_key=SecretStr(INSTALLATION_KEY))
    app = create_app(replace(settings, workflows=workflows), lambda: database, clock=lambda: NOW)
    return ApiClient(app, {"x-api-key": INSTALLATION_KEY})


def severities(database: Database, customer: Customer) -> list[str]:
    own = alert_history.c.organization_id == customer.organization_id
    with transactions.owner(database) as connection:
        return list(connection.scalars(select(alert_history.c.severity).where(own)))


def changed(**counts: int) -> dict[str, int]:
    return {workflow.value: 0 for workflow in Workflow} | counts


def test_a_person_runs_all_for_their_own_organization(
    client: ApiClient, database: Database, customer: Customer
) -> None:
    stranger = a_customer_with_a_warning(database)

    ran = client.post(RUN, json=ALL)
    again = client.post(RUN, json=ALL)

    assert (ran.status_code, ran.json()) == (200, {"dry_run": False, "changed": changed(alert_escalation=1)})
    assert again.json()["changed"] == changed()
    assert (severities(database, customer), severities(database, stranger)) == (["critical"], ["warning"])


def test_one_workflow_is_run_by_its_name(client: ApiClient, database: Database, customer: Customer) -> None:
    assert client.post(RUN, json={"workflow": "data_freshness_check"}).json()["changed"] == {"data_freshness_check": 0}
    assert client.post(RUN, json={"workflow": "alert_escalation"}).json()["changed"] == {"alert_escalation": 1}
    assert severities(database, customer) == ["critical"]


def test_a_dry_run_counts_and_changes_nothing(client: ApiClient, database: Database, customer: Customer) -> None:
    rehearsed = client.post(RUN, json=ALL | {"dry_run": True})

    assert rehearsed.json() == {"dry_run": True, "changed": changed(alert_escalation=1)}
    assert severities(database, customer) == ["warning"]
    assert client.get(RUNS).json()["items"] == []
    assert client.post(RUN, json=ALL).json()["changed"] == changed(alert_escalation=1)


def test_anonymous_viewers_and_machines_run_nothing(
    api: ApiClient, signed_in: SignIn, database: Database, customer: Customer
) -> None:
    machines = [api.with_token(a_key(database, customer, scope, now=NOW)) for scope in Scope]
    viewer, operator = (
        signed_in(a_colleague(database, customer, role)) for role in (UserRole.VIEWER, UserRole.OPERATOR)
    )

    assert api.post(RUN, json=ALL).status_code == 401
    assert [each.post(RUN, json=ALL).status_code for each in (*machines, viewer)] == [403] * 3
    assert severities(database, customer) == ["warning"]
    assert operator.post(RUN, json=ALL).status_code == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "workflow"),
        ({"workflow": "everything"}, "workflow"),
        (ALL | {"dry_run": 1}, "dry_run"),
        (ALL | {"x": 1}, "x"),
    ],
    ids=str,
)
def test_a_wrong_request_is_422_and_names_the_field(
    client: ApiClient, keyed: ApiClient, body: dict[str, Any], field: str
) -> None:
    for each in (client, keyed):
        answer = each.post(RUN, json=body)
        assert answer.status_code == 422
        assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_the_installations_key_runs_all_for_everybody(keyed: ApiClient, database: Database) -> None:
    customers = [a_customer_with_a_warning(database) for _ in range(2)]

    rehearsed = keyed.post(RUN, json=ALL | {"dry_run": True}).json()
    assert [severities(database, customer) for customer in customers] == [["warning"]] * 2
    ran = keyed.post(RUN, json=ALL)

    assert ran.status_code == 200
    assert ran.json()["changed"] == rehearsed["changed"]
    assert ran.json()["changed"]["alert_escalation"] >= 2
    assert [severities(database, customer) for customer in customers] == [["critical"]] * 2
    assert keyed.post(RUN, json=ALL).json()["changed"] == changed()


@pytest.mark.parametrize("wrong", ["x", INSTALLATION_KEY[:-1], INSTALLATION_KEY + "x", "\xff"])
def test_a_wrong_key_is_401_whatever_session_comes_with_it(
    keyed: ApiClient, database: Database, customer: Customer, wrong: str
) -> None:
    session = sessions.sign(a_session(database, customer, now=NOW), KEY)
    headers = {b"x-api-key": wrong.encode("latin-1"), b"authorization": f"Bearer {session}".encode()}

    refused = ApiClient(keyed.app).post(RUN, json=ALL, headers=headers)

    assert refused.status_code == 401
    assert severities(database, customer) == ["warning"]


def test_where_no_key_is_set_it_is_503_and_never_open(
    api: ApiClient, client: ApiClient, database: Database, customer: Customer
) -> None:
    for each in (api, client):
        refused = each.post(RUN, json=ALL, headers=each.headers | {"x-api-key": "x"})
        assert (refused.status_code, "WORKFLOWS_API_KEY is not set" in refused.json()["detail"]) == (503, True)
    assert severities(database, customer) == ["warning"]


def test_the_key_opens_nothing_else(keyed: ApiClient) -> None:
    for path in ("/api/fleet", "/api/alerts", RUNS, SETTINGS):
        assert keyed.get(path).status_code == 401


def test_under_one_idempotency_key_it_is_run_once(client: ApiClient, database: Database, customer: Customer) -> None:
    headers = client.headers | {"Idempotency-Key": "one"}

    first, second = (client.post(RUN, json=ALL, headers=headers) for _ in range(2))

    assert first.json() == second.json()
    assert second.headers["Idempotency-Replayed"] == "true"
    assert len(client.get(RUNS).json()["items"]) == len(Workflow)
    assert severities(database, customer) == ["critical"]


def test_twenty_at_once_change_once(client: ApiClient, database: Database, customer: Customer) -> None:
    answers = client.together([("POST", RUN)] * 20, json=ALL)

    assert {answer.status_code for answer in answers} == {200}
    assert sum(answer.json()["changed"]["alert_escalation"] for answer in answers) == 1
    assert severities(database, customer) == ["critical"]


def test_runs_are_listed_newest_first_in_pages_with_who_started_them(
    client: ApiClient, keyed: ApiClient, signed_in: SignIn, database: Database, customer: Customer
) -> None:
    client.post(RUN, json=ALL)
    every = client.get(RUNS).json()["items"]
    seen: list[dict[str, Any]] = []
    asked: dict[str, str | int] = {"limit": 2}
    while True:
        page = client.get(RUNS, params=asked).json()
        seen += page["items"]
        if page["next"] is None:
            break
        asked["cursor"] = page["next"]

    assert seen == every
    assert [run["workflow"] for run in every] == sorted(Workflow, reverse=True)
    (escalation,) = client.get(RUNS, params={"workflow": "alert_escalation"}).json()["items"]
    assert escalation == {
        "run_id": escalation["run_id"],
        "workflow": "alert_escalation",
        "slot": "2026-01-12T00:00:00Z",
        "started_at": "2026-01-12T00:00:00Z",
        "finished_at": "2026-01-12T00:00:00Z",
        "changed": 1,
        "started_by": "person",
        "started_by_name": customer.member.email,
    }
    stranger = a_customer(database)
    assert signed_in(stranger).get(RUNS).json()["items"] == []
    keyed.post(RUN, json=ALL)
    assert {run["started_by"] for run in signed_in(stranger).get(RUNS).json()["items"]} == {"key"}


def test_an_organization_has_its_own_hours(
    client: ApiClient, signed_in: SignIn, database: Database, customer: Customer
) -> None:
    usual = {"escalation_hours": 4, "staleness_hours": 3, "cleanup_days": 7}
    unset = dict.fromkeys(usual)
    assert client.get(SETTINGS).json() == unset | {"in_effect": usual}

    wished = client.request("PATCH", SETTINGS, json={"escalation_hours": 6, "staleness_hours": 1})

    mine = {"escalation_hours": 6, "staleness_hours": 1, "cleanup_days": None}
    assert (
        wished.json()
        == client.get(SETTINGS).json()
        == mine | {"in_effect": usual | {"escalation_hours": 6, "staleness_hours": 1}}
    )
    a_contact(database, customer, "COMP-001", at=NOW - HOUR)
    assert client.post(RUN, json=ALL).json()["changed"] == changed(data_freshness_check=1)
    other = a_customer_with_a_warning(database)
    assert signed_in(other).post(RUN, json=ALL).json()["changed"] == changed(alert_escalation=1)
    back = client.request("PATCH", SETTINGS, json={"escalation_hours": None}).json()
    assert (back["escalation_hours"], back["staleness_hours"], back["in_effect"]["escalation_hours"]) == (None, 1, 4)
    assert client.request("PATCH", SETTINGS, json={}).json() == back


@pytest.mark.parametrize("role", [UserRole.VIEWER, UserRole.OPERATOR])
def test_settings_are_for_admins(signed_in: SignIn, database: Database, customer: Customer, role: UserRole) -> None:
    person = signed_in(a_colleague(database, customer, role))

    assert person.get(SETTINGS).status_code == 403
    assert person.request("PATCH", SETTINGS, json={"cleanup_days": 1}).status_code == 403


@pytest.mark.parametrize(
    "body",
    [{"escalation_hours": 0}, {"staleness_hours": 721}, {"cleanup_days": 366}, {"cleanup_days": 1.5}, {"hours": 1}],
    ids=str,
)
def test_wrong_settings_are_422_and_change_nothing(client: ApiClient, body: dict[str, Any]) -> None:
    before = client.get(SETTINGS).json()

    answer = client.request("PATCH", SETTINGS, json=body)

    assert (answer.status_code, [error["field"] for error in answer.json()["errors"]]) == (422, list(body))
    assert client.get(SETTINGS).json() == before
