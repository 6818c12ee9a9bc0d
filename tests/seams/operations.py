"""The operations of the API, as its own document lists them."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from tests.seams.api_client import ApiClient


def described(api: ApiClient) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield each operation's method, path and description."""
    for path, methods in api.get("/api/openapi.json").json()["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def of_nothing(path: str, operation: dict[str, Any]) -> str:
    """Return an operation's path with ids that nothing has."""
    for parameter in operation.get("parameters", []):
        if parameter["in"] == "path":
            value = str(UUID(int=0)) if parameter["schema"].get("format") == "uuid" else "NO-SUCH"
            path = path.replace(f"{{{parameter['name']}}}", value)
    return path
