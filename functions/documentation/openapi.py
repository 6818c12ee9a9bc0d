"""The OpenAPI document: what FastAPI derives, and the shape of problems."""

from typing import Any

from fastapi import FastAPI

from functions.problems import Problem


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document of an application."""
    document = app.openapi()
    schemas: dict[str, Any] = document["components"]["schemas"]
    if Problem.__name__ not in schemas:
        schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= schema.pop("$defs")
        schemas[Problem.__name__] = schema
    return document
