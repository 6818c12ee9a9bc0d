"""The organization's own affairs over HTTP."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response, status

from functions import pagination
from functions.access import cookies
from functions.access.caller import (
    CurrentCaller,
    CurrentOrigin,
    CurrentSession,
    ReadConnection,
    SessionWriteConnection,
)
from functions.access.schemas import SignedIn
from functions.access.writes import WriteConnection, WriteRoute
from functions.application import CurrentApplication, Now
from functions.organizations import actions, queries
from functions.organizations.schemas import (
    ApiKey,
    AuditEntry,
    CreatedPosition,
    Invitation,
    InvitationStatus,
    InvitationToken,
    IssuedApiKey,
    NewApiKey,
    NewInvitation,
    NewName,
    NewRole,
    Organization,
    OrganizationMember,
    RotatedApiKey,
    SentInvitation,
)
from functions.pagination import DEFAULT_LIMIT, Cursor, Limit, Page
from functions.problems import responses
from shared_code.identifiers import UserId

router = APIRouter(tags=["organization"], route_class=WriteRoute)


@router.get("/organization/api-keys", operation_id="list_api_keys", responses=responses(401, 403, 422))
def list_api_keys(
    session: CurrentSession, connection: ReadConnection, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Page[ApiKey]:
    """List the keys of the organization's machines, the oldest first; no secret is among what is shown."""
    rows = queries.list_api_keys(connection, session.organization_id, after=_after(cursor), limit=limit + 1)
    return pagination.page(rows, limit, item=lambda row: ApiKey.model_validate(_key(row)), position=_position)


@router.post(
    "/organization/api-keys",
    operation_id="create_api_key",
    status_code=status.HTTP_201_CREATED,
    responses=responses(401, 403, 422),
)
def create_api_key(
    session: CurrentSession, connection: WriteConnection, origin: CurrentOrigin, now: Now, body: NewApiKey
) -> IssuedApiKey:
    """Make a key for a machine. The answer holds its secret, which cannot be shown again."""
    made, secret = actions.create_api_key(
        connection,
        session.organization_id,
        name=body.name,
        scopes=body.scopes,
        lifetime=timedelta(days=body.expires_in_days),
        by=session,
        origin=origin,
        now=now,
    )
    return IssuedApiKey.model_validate({**_key(made), "key": secret})


@router.post(
    "/organization/api-keys/{key_id}/rotate", operation_id="rotate_api_key", responses=responses(401, 403, 404, 422)
)
def rotate_api_key(
    session: CurrentSession,
    connection: WriteConnection,
    origin: CurrentOrigin,
    now: Now,
    key_id: UUID,
    body: RotatedApiKey,
) -> IssuedApiKey:
    """Give a key a new secret. The one before stays good for a while; one from before that ends at once."""
    rotated, secret = actions.rotate_api_key(
        connection,
        session.organization_id,
        key_id=key_id,
        lifetime=timedelta(days=body.expires_in_days),
        overlap=timedelta(hours=body.overlap_hours),
        by=session,
        origin=origin,
        now=now,
    )
    return IssuedApiKey.model_validate({**_key(rotated), "key": secret})


@router.delete(
    "/organization/api-keys/{key_id}",
    operation_id="revoke_api_key",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=responses(401, 403, 404, 422),
)
def revoke_api_key(
    session: CurrentSession, connection: WriteConnection, origin: CurrentOrigin, now: Now, key_id: UUID
) -> None:
    """End a key, its secrets old and new, from the next request on."""
    actions.revoke_api_key(connection, session.organization_id, key_id=key_id, by=session, origin=origin, now=now)


def _key(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {**row, "scopes": row["scopes"].split()}


@router.get("/organization", operation_id="get_organization", responses=responses(401, 403))
def get_organization(caller: CurrentCaller, connection: ReadConnection) -> Organization:
    """Show the organization and its plan."""
    return Organization.model_validate(dict(queries.get_organization(connection, caller.organization_id)))


@router.patch("/organization", operation_id="rename_organization", responses=responses(401, 403, 422))
def rename_organization(
    session: CurrentSession, connection: WriteConnection, origin: CurrentOrigin, now: Now, body: NewName
) -> Organization:
    """Give the organization another name. Nothing else of it can be set."""
    renamed = actions.rename_organization(
        connection, session.organization_id, name=body.name, by=session, origin=origin, now=now
    )
    return Organization.model_validate(dict(renamed))


@router.get("/organization/members", operation_id="list_members", responses=responses(401, 403, 422))
def list_members(
    session: CurrentSession, connection: ReadConnection, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Page[OrganizationMember]:
    """List who belongs to the organization, the longest first."""
    rows = queries.list_members(connection, session.organization_id, after=_after(cursor), limit=limit + 1)
    return pagination.page(rows, limit, item=_member, position=_position)


@router.patch(
    "/organization/members/{user_id}",
    operation_id="change_member_role",
    responses=responses(401, 403, 404, 409, 422),
)
def change_member_role(
    session: CurrentSession, connection: WriteConnection, origin: CurrentOrigin, now: Now, user_id: UUID, body: NewRole
) -> OrganizationMember:
    """Give a member another role, from their next request on. Owners are made and changed by owners; one stays."""
    changed = actions.change_member_role(
        connection, session.organization_id, user_id=UserId(user_id), role=body.role, by=session, origin=origin, now=now
    )
    return _member(changed)


@router.delete(
    "/organization/members/{user_id}",
    operation_id="remove_member",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=responses(401, 403, 404, 409, 422),
)
def remove_member(
    session: CurrentSession, connection: WriteConnection, origin: CurrentOrigin, now: Now, user_id: UUID
) -> None:
    """Remove a member, who is out from the next request on. Anybody may leave; to remove others takes an admin."""
    actions.remove_member(
        connection, session.organization_id, user_id=UserId(user_id), by=session, origin=origin, now=now
    )


@router.get("/organization/invitations", operation_id="list_invitations", responses=responses(401, 403, 422))
def list_invitations(
    session: CurrentSession, connection: ReadConnection, now: Now, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Page[Invitation]:
    """List the invitations, open and closed, the oldest first."""
    rows = queries.list_invitations(connection, session.organization_id, after=_after(cursor), limit=limit + 1)
    return pagination.page(
        rows, limit, item=lambda row: Invitation.model_validate(_invitation(row, now)), position=_position
    )


@router.post(
    "/organization/invitations",
    operation_id="create_invitation",
    status_code=status.HTTP_201_CREATED,
    responses=responses(401, 403, 422, 503),
)
def create_invitation(
    session: CurrentSession,
    connection: WriteConnection,
    application: CurrentApplication,
    origin: CurrentOrigin,
    now: Now,
    body: NewInvitation,
) -> SentInvitation:
    """Invite somebody by a link that works once, for seven days. Whoever holds it and is signed in can accept."""
    invited, link = actions.create_invitation(
        connection,
        session.organization_id,
        email=body.email,
        role=body.role,
        by=session,
        settings=application.settings,
        origin=origin,
        now=now,
    )
    return SentInvitation.model_validate({**_invitation(invited, now), "link": link})


@router.delete(
    "/organization/invitations/{invitation_id}",
    operation_id="revoke_invitation",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=responses(401, 403, 404, 422),
)
def revoke_invitation(
    session: CurrentSession, connection: WriteConnection, origin: CurrentOrigin, now: Now, invitation_id: UUID
) -> None:
    """Let an open invitation be good no longer."""
    actions.revoke_invitation(
        connection, session.organization_id, invitation_id=invitation_id, by=session, origin=origin, now=now
    )


@router.post("/invitations/accept", operation_id="accept_invitation", responses=responses(401, 403, 404, 409, 422))
def accept_invitation(
    session: CurrentSession,
    connection: SessionWriteConnection,
    request: Request,
    response: Response,
    application: CurrentApplication,
    origin: CurrentOrigin,
    now: Now,
    body: InvitationToken,
) -> SignedIn:
    """Join the organization that invites, and go on there; the caller stays in every other one they belong to."""
    begun = actions.accept_invitation(
        connection, token=body.token, by=session, key=application.settings.session_key, origin=origin, now=now
    )
    return cookies.hand_over(begun, request, response, application)


@router.get("/organization/audit-log", operation_id="list_audit_log", responses=responses(401, 403, 422))
def list_audit_log(
    session: CurrentSession, connection: ReadConnection, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Page[AuditEntry]:
    """List who changed what, when and from where, the newest first. Entries are never changed or deleted."""
    rows = queries.list_audit_log(connection, session.organization_id, before=_after(cursor), limit=limit + 1)
    return pagination.page(
        rows,
        limit,
        item=lambda row: AuditEntry.model_validate(dict(row)),
        position=lambda row: CreatedPosition(created_at=row["occurred_at"], id=row["id"]),
    )


def _after(cursor: str | None) -> tuple[datetime, UUID] | None:
    after = pagination.decode(cursor, CreatedPosition)
    return (after.created_at, after.id) if after else None


def _position(row: Mapping[Any, Any]) -> CreatedPosition:
    return CreatedPosition(created_at=row["created_at"], id=row["id"])


def _member(row: Mapping[Any, Any]) -> OrganizationMember:
    return OrganizationMember.model_validate({**row, "user_id": row["id"]})


def _invitation(row: Mapping[Any, Any], now: datetime) -> dict[str, Any]:
    if row["accepted_at"] is not None:
        stands = InvitationStatus.ACCEPTED
    elif row["revoked_at"] is not None:
        stands = InvitationStatus.REVOKED
    else:
        stands = InvitationStatus.OPEN if now < row["expires_at"] else InvitationStatus.EXPIRED
    return {**row, "status": stands}
