"""The OpenAPI document: what FastAPI derives, the shape of problems, and the role that each operation takes."""

from copy import deepcopy
from typing import Any

from fastapi import FastAPI

from functions.access.roles import LEAST_ROLE
from functions.problems import Problem


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document of an application."""
    document = deepcopy(app.openapi())
    schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    document["components"]["schemas"] |= {**schema.pop("$defs"), Problem.__name__: schema}
    for methods in document["paths"].values():
        for operation in methods.values():
            least = LEAST_ROLE[operation["operationId"]]
            if least is not None:
                operation["x-least-role"] = least
                operation["description"] += f"\n\nTakes the role {least} or higher."
    return document
