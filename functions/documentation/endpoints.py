"""The OpenAPI document and a page that shows it."""

from html import escape
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import HTMLResponse

from functions.documentation.openapi import describe

router = APIRouter(tags=["documentation"])


@router.get("/openapi.json", operation_id="get_openapi_document")
def get_openapi_document(request: Request) -> dict[str, Any]:
    """Return the OpenAPI document of this API."""
    return _document(request)


@router.get("/docs", operation_id="show_documentation", response_class=HTMLResponse)
def show_documentation(request: Request) -> str:
    """Show every operation on a page that needs no script and nothing from elsewhere."""
    return _page(_document(request))


def _document(request: Request) -> dict[str, Any]:
    app: FastAPI = request.app
    return describe(app)


def _page(document: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td>{method.upper()}</td><td><code>{escape(path)}</code></td><td>{escape(operation['description'])}</td></tr>"
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    )
    title = escape(document["info"]["title"])
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><h1>{title}</h1>'
        f"<p>{escape(document['info']['description'])}</p>"
        '<p>For programs: <a href="openapi.json">openapi.json</a> (OpenAPI 3.1).</p>'
        f"<table><tr><th>Method</th><th>Address</th><th>What it does</th></tr>{rows}</table></html>"
    )
