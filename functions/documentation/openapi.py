"""The OpenAPI document: what FastAPI derives, the shape of problems, and who may do what."""

from copy import deepcopy
from typing import Any, Final

from fastapi import FastAPI

from functions.access import keys
from functions.access.roles import ANYBODY, RULES
from functions.problems import Problem
from functions.revalidation import REVALIDATED

KEY_SCHEME: Final = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": f"{keys.PREFIX}...",
    "description": "A machine's key, made at /api/organization/api-keys.",
}


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document of an application."""
    document = deepcopy(app.openapi())
    schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    document["components"]["schemas"] |= {**schema.pop("$defs"), Problem.__name__: schema}
    document["components"]["securitySchemes"]["api_key"] = KEY_SCHEME
    for methods in document["paths"].values():
        for method, operation in methods.items():
            _say_who_may(operation)
            if method == "get" and RULES[operation["operationId"]] != ANYBODY:
                _say_that_it_can_be_held(operation)
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
    if takers:
        operation["description"] += f"\n\nTakes {', or '.join(takers)}."
