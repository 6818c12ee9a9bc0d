"""The audit log: who did what, when and from where, kept in the transaction that did it. Entries are never changed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from functions.access import queries
from functions.access.keys import Key
from functions.access.sessions import Session
from shared_code.database.tables.access import ALTAVIZ, ActorKind
from shared_code.database.transactions import Write
from shared_code.identifiers import OrganizationId


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request came from: the address that connected, and the id that our logs know the request by."""

    address: str | None
    request_id: str | None


def record(
    connection: Write,
    organization_id: OrganizationId,
    action: str,
    *,
    by: Session | Key | None,
    origin: Origin,
    now: datetime,
    target: object = None,
    details: Mapping[str, object] | None = None,
) -> None:
    """Keep that something was done.

    Args:
        connection: the transaction that does it.
        organization_id: whose log.
        action: what, as thing.happened, such as "member.removed".
        by: the person or the machine; None is this system by itself.
        origin: where the request came from.
        now: when.
        target: the id of what it was done to.
        details: what the entry's reader cannot look up any more, such as what was before. No secrets.
    """
    if by is None:
        kind, identifier, name = ActorKind.SYSTEM, None, ALTAVIZ
    elif isinstance(by, Key):
        kind, identifier, name = ActorKind.API_KEY, by.id, by.name
    else:
        kind, identifier, name = ActorKind.USER, by.sub, by.email
    values = {
        "id": uuid4(),
        "occurred_at": now,
        "action": action,
        "target": None if target is None else str(target),
        "details": dict(details or {}),
        "actor_kind": kind,
        "actor_id": identifier,
        "actor_name": name,
        "address": origin.address,
        "request_id": origin.request_id,
    }
    queries.add_audit_entry(connection, organization_id, values)
