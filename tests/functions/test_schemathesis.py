"""Every operation against its own description, with requests that nobody thought of: all of schemathesis's checks."""

# What schemathesis's types leave open.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeArgument=false, reportArgumentType=false
# pyright: reportUnknownLambdaType=false

import os
from collections.abc import Generator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from pydantic import SecretStr
from schemathesis import Case, GenerationMode
from schemathesis.checks import CHECKS, not_a_server_error
from schemathesis.schemas import APIOperation

from functions.access import sessions
from functions.access.keys import Scope
from functions.access.roles import GATEWAYS, RULES
from functions.api import create_app
from functions.settings import AccessSettings, EdgeSettings, Settings, WorkflowSettings
from shared_code.database.engines import Database
from tests.factories.fleet import a_compressor, a_customer, a_key, a_session, a_station
from tests.functions.conftest import KEY, NOW
from tests.seams.api_client import ApiClient
from tests.seams.stripe import a_stripe, prices

EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "8"))
"""Of each operation, right and wrong; more by `make bench`."""
SERVES_THE_DOCUMENT = "get_openapi_document"

# What the checks cannot know.
EXCUSED: dict[str, tuple[str, ...]] = {
    # Each reading is judged by itself: a batch with wrong ones is taken, and text that is no CSV is refused.
    "ingest_readings": ("negative_data_rejection", "positive_data_acceptance"),
    # There is no provider here, and it says so; tests/functions/access/test_entra.py has one.
    "begin_entra_sign_in": ("not_a_server_error",),
    # Nobody here signs; tests/functions/billing/test_webhook.py does.
    "receive_stripe_event": ("positive_data_acceptance",),
}
A_STATION, A_MACHINE = "STATION-A", "COMP-001"
GIVEN: dict[str, dict[str, Any]] = {
    "/shelve": {"until": (NOW + timedelta(days=1)).isoformat()},
    "/channels": {"kind": "webhook", "address": "https://hooks.customer.example/"},
    "/maintenance": {"compressor_id": A_MACHINE, "event_date": NOW.isoformat()},
}


def delays(changes: dict[str, Any]) -> dict[str, Any]:
    """Return changes of a rule without those that have to go together."""
    return {
        name: value for name, value in changes.items() if name not in {"warning_limit", "critical_limit", "deadband"}
    }


def made_possible(case: Case) -> None:
    """Put what refers to something, or is given by the API, in the place of what no schema can tell from it."""
    query, headers = case.query or {}, case.headers or {}
    for name in ("cursor", "fields", "start"):
        query.pop(name, None)
    if case.operation.path.endswith("/performance"):
        query.pop("end", None)  # nothing is known of most times
    for name in [name for name in headers if name.lower() == "idempotency-key"]:
        headers[name] = str(uuid4())
    if isinstance(case.body, dict):
        body: dict[str, Any] = case.body
        body |= {name: value for name, value in (("timezone", "UTC"), ("station_id", A_STATION)) if name in body}
        body |= {"install_date": "2019-06-30"} if body.get("install_date") else {}
        if case.operation.path.endswith("/stations"):
            body["station_id"] = f"S-{uuid4()}"
        body |= next((more for end, more in GIVEN.items() if case.operation.path.endswith(end)), {})
        if case.operation.path.endswith("/backtest"):
            case.body = {"rule": "vibration_high", "changes": delays(body["changes"])}
        if case.operation.path.endswith("/rules/{rule}"):
            case.path_parameters["rule"] = "vibration_high"
            case.body = delays(body)
        if case.operation.path.endswith("/maintenance"):
            body |= {"cost_usd": round(body["cost_usd"], 2)} if body.get("cost_usd") else {}


@dataclass(frozen=True)
class Served:
    """An application and its operations by name, read once."""

    api: ApiClient
    operations: dict[str, APIOperation[Any, Any, Any, Any]]


@pytest.fixture(scope="module")
def served(database: Database) -> Generator[Served]:
    access = AccessSettings(dev_credentials_enabled=True, dev_credentials_allow_list=frozenset({"demo@altaviz.dev"}))
    edge = EdgeSettings(altaviz_requests_per_minute=100_000)
    workflows = WorkflowSettings(workflows_api_key=SecretStr("the installation's key, which nobody sends"))
    with a_stripe(NOW) as stripe, prices():
        told = Settings(access, database.settings, KEY, edge=edge, workflows=workflows, billing=stripe.settings)
        app = create_app(told, lambda: database, clock=lambda: NOW)
        listed: Any = schemathesis.openapi.from_asgi("/api/openapi.json", app).get_all_operations()
        found = [each.ok() for each in listed]
        yield Served(ApiClient(app), {operation.definition.raw["operationId"]: operation for operation in found})


@pytest.mark.parametrize("mode", GenerationMode, ids=lambda mode: mode.name.lower())
@pytest.mark.parametrize("name", [name for name in RULES if name != SERVES_THE_DOCUMENT])
def test_every_operation_answers_as_it_is_described(
    served: Served, database: Database, name: str, mode: GenerationMode
) -> None:
    operation = served.operations[name]
    if mode is GenerationMode.NEGATIVE and not {"parameters", "requestBody"} & set(operation.definition.raw):
        return  # there is nothing to get wrong
    customer = a_customer(database)
    a_compressor(database, customer, A_MACHINE, station_id=a_station(database, customer, A_STATION))
    session = a_session(database, customer, now=NOW)
    headers = {"Authorization": f"Bearer {sessions.sign(session, KEY)}"}
    if RULES[name] == GATEWAYS:
        headers = {"Authorization": f"Bearer {a_key(database, customer, Scope.INGEST, now=NOW)}"}
    checks = [not_a_server_error, *(CHECKS.get_one(each) for each in CHECKS.get_all_names())]
    excused = [check for check in checks if check.__name__ in EXCUSED.get(name, ())]

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def holds(case: Case) -> None:
        if mode is GenerationMode.POSITIVE:
            made_possible(case)
        case.call_and_validate(headers=headers, excluded_checks=excused)

    holds()


def test_all_checks_are_made() -> None:
    assert len(CHECKS.get_all_names()) >= 14
