"""The OpenAPI document: what FastAPI derives, the shape of problems, who may do what, and examples."""

from copy import deepcopy
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI

from functions.access import keys
from functions.access.roles import ANYBODY, RULES
from functions.documentation.examples import AN_ID, Schema, example
from functions.limits.middleware import UNCOUNTED
from functions.problems import MEDIA_TYPE, Problem, responses
from functions.revalidation import REVALIDATED

KEY_SCHEME: Final = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": f"{keys.PREFIX}...",
    "description": "A machine's key, made at /api/organization/api-keys.",
}
NEEDS_NO_DATABASE: Final = frozenset({"check_alive", "get_openapi_document", "list_plans", "show_documentation"})
PLAIN: Final = "Successful Response"
"""What FastAPI says of an answer that nobody described."""
SAID: Final = {
    HTTPStatus.BAD_REQUEST: "The body cannot be read at all.",
    HTTPStatus.UNAUTHORIZED: "No session or key came with it, or one that does not stand.",
    HTTPStatus.FORBIDDEN: "Not allowed to the caller's role, key or plan; the detail says what it takes.",
    HTTPStatus.NOT_FOUND: "The organization has no such thing; whether another has one is not said.",
    HTTPStatus.CONFLICT: "The thing is not in the state that this needs, or exists already.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is larger than this takes.",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The body is in none of the forms that this takes.",
    HTTPStatus.UNPROCESSABLE_ENTITY: "The request is not valid; `errors` names the fields to mend.",
    HTTPStatus.TOO_MANY_REQUESTS: "More requests than the address or the organization may send in a minute.",
    HTTPStatus.SERVICE_UNAVAILABLE: "Something that this needs does not answer; try again later.",
}
RETRY_AFTER: Final = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}}}


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document of an application."""
    document = deepcopy(app.openapi())
    schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    components = document["components"]
    components["schemas"] |= {**schema.pop("$defs"), Problem.__name__: schema}
    components["securitySchemes"]["api_key"] = KEY_SCHEME
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            _say_who_may(operation)
            if method == "get" and RULES[operation["operationId"]] != ANYBODY:
                _say_that_it_can_be_held(operation)
            _say_what_may_go_wrong(operation, path)
            _show_examples(operation, path, components["schemas"])
    return document


def _say_that_it_can_be_held(operation: dict[str, Any]) -> None:
    operation.setdefault("parameters", []).append(
        {
            "name": "If-None-Match",
            "in": "header",
            "required": False,
            "schema": {"type": "string"},
            "description": "`ETag` of an answer that the client holds; where it is still good, the answer is a 304.",
        }
    )
    operation["responses"]["200"]["headers"] = {
        "ETag": {"description": "Tells this answer from any other to the same request.", "schema": {"type": "string"}},
        "Cache-Control": {"schema": {"const": REVALIDATED}},
    }
    operation["responses"]["304"] = {"description": "The client holds the answer."}


def _say_who_may(operation: dict[str, Any]) -> None:
    rule = RULES[operation["operationId"]]
    takers: list[str] = []
    if rule.role is not None:
        operation["x-least-role"] = rule.role
        takers.append(f"the role {rule.role} or higher")
    if rule.scope is not None:
        operation["x-key-scope"] = rule.scope
        takers.append(f"an API key with the scope {rule.scope}")
        if rule.role is None:
            operation["security"].clear()
        operation["security"].append({"api_key": []})
    if rule.installation:
        operation["x-installation-key"] = True
        takers.append("the installation's key, as `x-api-key`")
    if takers:
        operation["description"] += f"\n\nTakes {', or '.join(takers)}."


def _say_what_may_go_wrong(operation: dict[str, Any], path: str) -> None:
    """Add what any operation of its kind may answer, whatever it does."""
    answers = operation["responses"]
    more: list[int] = []
    if "requestBody" in operation:
        more += [HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE]
    if operation.get("parameters") or "requestBody" in operation:
        more.append(HTTPStatus.UNPROCESSABLE_ENTITY)
    if path not in UNCOUNTED:
        more.append(HTTPStatus.TOO_MANY_REQUESTS)
    if operation["operationId"] not in NEEDS_NO_DATABASE:
        more.append(HTTPStatus.SERVICE_UNAVAILABLE)
    for status, answer in responses(*more).items():
        answers.setdefault(str(int(status)), answer)
    for status, answer in answers.items():
        if int(status) >= HTTPStatus.BAD_REQUEST:
            answer["description"] = SAID[HTTPStatus(int(status))]
        if int(status) in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
            answer["headers"] = RETRY_AFTER
    operation["responses"] = dict(sorted(answers.items()))


def _show_examples(operation: dict[str, Any], path: str, components: dict[str, Schema]) -> None:
    for media in operation.get("requestBody", {}).get("content", {}).values():
        if "example" not in media and "examples" not in media:
            media["example"] = example(media["schema"], components)
    for status, answer in operation["responses"].items():
        for kind, media in answer.get("content", {}).items():
            if kind == MEDIA_TYPE:
                media["example"] = _problem(int(status), path)
            elif media.get("schema"):
                media["example"] = example(media["schema"], components)
        if answer["description"] == PLAIN:
            answer["description"] = _first_sentence(operation["description"], answer)


def _first_sentence(description: str, answer: dict[str, Any]) -> str:
    return "Done." if "content" not in answer else description.partition(". ")[0].partition("\n")[0].rstrip(".") + "."


def _problem(status: int, path: str) -> dict[str, Any]:
    problem: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": SAID[HTTPStatus(status)],
        "instance": path,
        "requestId": AN_ID,
    }
    if status == HTTPStatus.UNPROCESSABLE_ENTITY:
        problem["errors"] = [{"field": "name", "message": "Field required"}]
    return problem
