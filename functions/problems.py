"""Errors as RFC 9457 problems: the one place where a failure becomes an HTTP answer."""

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Scope

from shared_code.errors import (
    AltavizError,
    ConflictError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    TooManyRequestsError,
    UnauthorizedError,
    UnavailableError,
)

MEDIA_TYPE: Final = "application/problem+json"
PREFIX: Final = "/api"
UNAVAILABLE_SECONDS: Final = 5
"""When to try again what depends on something that does not answer."""

logger = logging.getLogger(__name__)

_STATUS: Final[Mapping[type[AltavizError], HTTPStatus]] = {
    NotFoundError: HTTPStatus.NOT_FOUND,
    ConflictError: HTTPStatus.CONFLICT,
    ForbiddenError: HTTPStatus.FORBIDDEN,
    UnauthorizedError: HTTPStatus.UNAUTHORIZED,
    InvalidError: HTTPStatus.UNPROCESSABLE_ENTITY,
    TooManyRequestsError: HTTPStatus.TOO_MANY_REQUESTS,
    UnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
}


class FieldError(BaseModel):
    """What is wrong with one field of the request."""

    field: str
    message: str


class Problem(BaseModel):
    """An error (RFC 9457); `instance` is the operation's path as documented, without what the client filled in."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    requestId: str  # noqa: N815 - the name that clients see
    errors: list[FieldError] | None = None


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe, for the OpenAPI document, the problems that an operation may answer with."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {"schema": schema}}}
        for status in statuses
    }


def problem(
    scope: Scope,
    status: int,
    detail: str,
    *,
    errors: Sequence[FieldError] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """Return an error as an answer to the request that `scope` describes."""
    body = Problem(
        type="about:blank",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        instance=_instance(scope),
        requestId=scope["state"]["request_id"],
        errors=list(errors) if errors else None,
    )
    content = body.model_dump(exclude_none=True)
    return JSONResponse(content, status, dict(headers or {}), MEDIA_TYPE)


def register(app: FastAPI) -> None:
    """Turn every failure that the application foresees into a problem."""
    app.add_exception_handler(AltavizError, _foreseen)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)


def _instance(scope: Scope) -> str:
    """Return the same text for every machine, so that a foreign one cannot be told from a missing one."""
    template = getattr(scope.get("route"), "path_format", None)
    return f"{PREFIX}{template}" if template else scope["path"]


async def _foreseen(request: Request, error: Exception) -> JSONResponse:
    status = next((status for kind, status in _STATUS.items() if isinstance(error, kind)), None)
    if status is None:
        raise error
    if isinstance(error, UnavailableError):
        cause = type(error.__cause__).__name__  # its words may hold a secret
        logger.error("request %s: %s (%s)", request.scope["state"]["request_id"], error, cause)
    field = error.field if isinstance(error, InvalidError) else None
    errors = [FieldError(field=field, message=str(error))] if field else None
    return problem(request.scope, status, str(error), errors=errors, headers=_headers(error))


def _headers(error: Exception) -> Mapping[str, str]:
    if isinstance(error, UnauthorizedError):
        return {"WWW-Authenticate": "Bearer"}
    if isinstance(error, UnavailableError):
        return {"Retry-After": str(UNAVAILABLE_SECONDS)}
    return {"Retry-After": str(error.retry_after)} if isinstance(error, TooManyRequestsError) else {}


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    """Name the fields and what they should be; never say back what was sent."""
    found: Sequence[Mapping[str, Any]] = error.errors() if isinstance(error, RequestValidationError) else []
    errors = [FieldError(field=_field(each["loc"]), message=each["msg"]) for each in found]
    detail = "the request is not valid; `errors` names the fields to mend"
    return problem(request.scope, HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors=errors)


def _field(location: Sequence[str | int]) -> str:
    """Return a field's name without the word that says which part of the request it is in."""
    return ".".join(map(str, location[1:])) or str(location[0])


async def _http(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPException):
        raise error
    details = {
        HTTPStatus.NOT_FOUND: "there is nothing at this address",
        HTTPStatus.METHOD_NOT_ALLOWED: "this address does not take that method; `Allow` names those it takes",
    }
    detail = details.get(HTTPStatus(error.status_code), error.detail)
    return problem(request.scope, error.status_code, detail, headers=error.headers)
