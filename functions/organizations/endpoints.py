"""The organization's own affairs over HTTP."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from fastapi import APIRouter, status

from functions import pagination
from functions.access.caller import CurrentSession
from functions.application import Now
from functions.connections import ReadConnection, WriteConnection
from functions.organizations import actions, queries
from functions.organizations.schemas import ApiKey, ApiKeyPosition, IssuedApiKey, NewApiKey, RotatedApiKey
from functions.pagination import DEFAULT_LIMIT, Cursor, Limit, Page
from functions.problems import responses

router = APIRouter(prefix="/organization", tags=["organization"])


@router.get("/api-keys", operation_id="list_api_keys", responses=responses(401, 403, 422))
def list_api_keys(
    session: CurrentSession, connection: ReadConnection, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Page[ApiKey]:
    """List the keys of the organization's machines, the oldest first; no secret is among what is shown."""
    after = pagination.decode(cursor, ApiKeyPosition)
    rows = queries.list_api_keys(
        connection, session.organization_id, after=(after.created_at, after.id) if after else None, limit=limit + 1
    )
    return pagination.page(
        rows,
        limit,
        item=lambda row: ApiKey.model_validate(_key(row)),
        position=lambda row: ApiKeyPosition(created_at=row["created_at"], id=row["id"]),
    )


@router.post(
    "/api-keys",
    operation_id="create_api_key",
    status_code=status.HTTP_201_CREATED,
    responses=responses(401, 403, 422),
)
def create_api_key(session: CurrentSession, connection: WriteConnection, now: Now, body: NewApiKey) -> IssuedApiKey:
    """Make a key for a machine. The answer holds its secret, which cannot be shown again."""
    made, secret = actions.create_api_key(
        connection,
        session.organization_id,
        name=body.name,
        scopes=body.scopes,
        lifetime=timedelta(days=body.expires_in_days),
        now=now,
    )
    return IssuedApiKey.model_validate({**_key(made), "key": secret})


@router.post("/api-keys/{key_id}/rotate", operation_id="rotate_api_key", responses=responses(401, 403, 404, 422))
def rotate_api_key(
    session: CurrentSession, connection: WriteConnection, now: Now, key_id: UUID, body: RotatedApiKey
) -> IssuedApiKey:
    """Give a key a new secret. The one before stays good for a while; one from before that ends at once."""
    rotated, secret = actions.rotate_api_key(
        connection,
        session.organization_id,
        key_id=key_id,
        lifetime=timedelta(days=body.expires_in_days),
        overlap=timedelta(hours=body.overlap_hours),
        now=now,
    )
    return IssuedApiKey.model_validate({**_key(rotated), "key": secret})


@router.delete(
    "/api-keys/{key_id}",
    operation_id="revoke_api_key",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=responses(401, 403, 404, 422),
)
def revoke_api_key(session: CurrentSession, connection: WriteConnection, key_id: UUID) -> None:
    """End a key, its secrets old and new, from the next request on."""
    actions.revoke_api_key(connection, session.organization_id, key_id=key_id)


def _key(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {**row, "scopes": row["scopes"].split()}
