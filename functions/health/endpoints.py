"""Probes over HTTP."""

from typing import Literal

from fastapi import APIRouter, HTTPException, status
from pydantic import BaseModel

from functions.application import CurrentApplication
from functions.health import queries
from functions.problems import responses

router = APIRouter(prefix="/health", tags=["health"])


class Alive(BaseModel):
    """The program answers."""

    status: Literal["ok"] = "ok"


@router.get("", operation_id="check_alive")
def check_alive() -> Alive:
    """Say that this program lives; nothing it depends on is asked."""
    return Alive()


@router.get("/ready", operation_id="check_ready", responses=responses(503))
def check_ready(application: CurrentApplication) -> Alive:
    """Say whether requests can be served: the database answers."""
    if not queries.database_answers(application.database):
        raise HTTPException(status.HTTP_503_SERVICE_UNAVAILABLE, "the database does not answer")
    return Alive()
