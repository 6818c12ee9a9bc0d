"""SQL of the maintenance log."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, insert, or_, select

from shared_code.database.tables import maintenance_events
from shared_code.database.transactions import Read, Write
from shared_code.identifiers import CompressorId, OrganizationId


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries to list: from `start` on, earlier than `end`; None is no limit."""

    compressor_id: CompressorId | None
    start: datetime | None
    end: datetime | None


def list_maintenance(
    connection: Read,
    organization_id: OrganizationId,
    wanted: Wanted,
    *,
    before: tuple[datetime, UUID] | None,
    limit: int,
) -> Sequence[RowMapping]:
    """Return up to `limit` entries, the newest first, those that come after the position `before`."""
    event = maintenance_events.c
    query = (
        select(maintenance_events)
        .where(event.organization_id == organization_id)
        .order_by(event.event_date.desc(), event.event_id.desc())
        .limit(limit)
    )
    if wanted.compressor_id is not None:
        query = query.where(event.compressor_id == wanted.compressor_id)
    if wanted.start is not None:
        query = query.where(event.event_date >= wanted.start)
    if wanted.end is not None:
        query = query.where(event.event_date < wanted.end)
    if before is not None:
        at, event_id = before
        # Said twice, because an index finds its place by the first and not by the second.
        query = query.where(event.event_date <= at, or_(event.event_date < at, event.event_id < event_id))
    return connection.execute(query).mappings().all()


def add_event(connection: Write, organization_id: OrganizationId, values: Mapping[str, Any]) -> RowMapping:
    """Add an entry about a machine that is known to exist, and return it."""
    statement = insert(maintenance_events).values({**values, "organization_id": organization_id})
    return connection.execute(statement.returning(maintenance_events)).mappings().one()
