"""The OpenAPI document is valid, complete, and its examples are what it describes."""

from collections.abc import Callable
from typing import Any, cast

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from openapi_spec_validator import OpenAPIV31SpecValidator

from shared_code.database.engines import Database
from tests.factories.fleet import Customer, a_compressor, a_customer, a_station
from tests.seams.api_client import ApiClient
from tests.seams.operations import of_nothing
from tests.test_function_app import EXPECTED

Document = dict[str, Any]
NEED_STRIPE = {"receive_stripe_event", "start_checkout"}
"""Which is not here; tests/functions/billing has one."""


@pytest.fixture(scope="module")
def kept() -> dict[str, Document]:
    return {}


@pytest.fixture
def document(api: ApiClient, kept: dict[str, Document]) -> Document:
    if not kept:
        kept["document"] = api.get("/api/openapi.json").json()
    return kept["document"]


def operations(document: Document) -> dict[str, tuple[str, str, Document]]:
    return {
        operation["operationId"]: (method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def test_it_is_valid_openapi_3_1(document: Document) -> None:
    assert document["openapi"].startswith("3.1.")
    assert list(OpenAPIV31SpecValidator(cast("Any", document)).iter_errors()) == []


def test_operations_keep_their_ids_methods_and_addresses(document: Document) -> None:
    """Clients are generated from these: a change here is a change of the API."""
    assert {name: found[:2] for name, found in operations(document).items()} == EXPECTED


def test_each_operation_says_what_it_does_and_what_each_answer_means(document: Document) -> None:
    for name, (_, _, operation) in operations(document).items():
        assert operation["summary"], name
        assert operation["description"], name
        assert operation["tags"], name
        for status, answer in operation["responses"].items():
            assert answer["description"] not in {"", "Successful Response"}, (name, status)
        for parameter in operation.get("parameters", []):
            assert parameter.get("description") or parameter["in"] == "path", (name, parameter["name"])


def test_each_operation_names_the_refusals_it_can_give(document: Document) -> None:
    for name, (_, path, operation) in operations(document).items():
        statuses = set(operation["responses"])
        wanted = {"422"} if operation.get("parameters") or "requestBody" in operation else set[str]()
        wanted |= {"400", "413"} if "requestBody" in operation else set()
        wanted |= {"404"} if "{" in path else set()
        wanted |= {"401", "403"} if "x-least-role" in operation or "x-key-scope" in operation else set()
        wanted |= set() if path.startswith("/api/health") or name == "receive_stripe_event" else {"429"}
        assert wanted <= statuses, (name, wanted - statuses)


def test_every_request_and_answer_with_a_body_has_an_example_that_it_describes(document: Document) -> None:
    wrong: list[str] = []
    shown = 0
    for name, (_, _, operation) in operations(document).items():
        bodies = [("request", operation.get("requestBody", {}).get("content", {}))]
        bodies += [(status, answer.get("content", {})) for status, answer in operation["responses"].items()]
        for which, content in bodies:
            for kind, media in content.items():
                if not media.get("schema"):
                    continue
                examples = [media["example"]] if "example" in media else []
                examples += [each["value"] for each in media.get("examples", {}).values() if "value" in each]
                if not examples and "examples" not in media:
                    wrong.append(f"{name} {which} {kind}: none")
                shown += len(examples)
                schema = media["schema"] | {"components": document["components"]}
                validator: Any = Draft202012Validator(schema, format_checker=FormatChecker())
                wrong += [
                    f"{name} {which}: {error.json_path} {error.message}"
                    for example in examples
                    for error in validator.iter_errors(example)
                ]

    assert wrong == []
    assert shown > 100


def test_examples_of_requests_are_taken(
    signed_in: Callable[[Customer], ApiClient], database: Database, document: Document
) -> None:
    """They are no fantasy: what is refused is refused for what there is and who asks, never for its form."""
    for name, (method, path, operation) in operations(document).items():
        example = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("example")
        if example is None:
            continue
        customer = a_customer(database)
        a_compressor(database, customer, station_id=a_station(database, customer))
        answer = signed_in(customer).request(method, of_nothing(path, operation), json=example)
        for_what_there_is = {503} if name in NEED_STRIPE else {200, 201, 403, 404, 409}
        assert answer.status_code in for_what_there_is, (name, answer.text)
