"""What people record of their work on machines, and which of it is shown.

Files bring entries as well, into the same table. The job adds those that are not there and touches no other.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID, uuid4

from functions.access import audit
from functions.access.audit import Origin
from functions.access.sessions import Session
from functions.compressors.actions import NO_COMPRESSOR
from functions.compressors.queries import get_machine
from functions.maintenance import queries
from functions.maintenance.queries import Wanted
from functions.readings.actions import require_length
from functions.stations.queries import lock_fleet
from shared_code.database.transactions import Read, Write
from shared_code.errors import InvalidError
from shared_code.identifiers import CompressorId, OrganizationId

EARLIEST: Final = datetime(1900, 1, 1, tzinfo=UTC)


def list_maintenance(
    connection: Read,
    organization_id: OrganizationId,
    *,
    wanted: Wanted,
    before: tuple[datetime, UUID] | None,
    limit: int,
) -> Sequence[Mapping[Any, Any]]:
    """Return up to `limit` entries, the newest first.

    Raises:
        InvalidError: the period has no length.
    """
    require_length(wanted.start, wanted.end)
    return queries.list_maintenance(connection, organization_id, wanted, before=before, limit=limit)


def record_maintenance(
    connection: Write,
    organization_id: OrganizationId,
    *,
    values: Mapping[str, Any],
    clock_tolerance: timedelta,
    by: Session,
    origin: Origin,
    now: datetime,
) -> Mapping[Any, Any]:
    """Record what was done to a machine, a retired one as well, and return the entry.

    Args:
        connection: the transaction.
        organization_id: whose machine.
        values: the entry, by column.
        clock_tolerance: how far the client's clock may be ahead.
        by: who records it.
        origin: where from.
        now: when.

    Raises:
        InvalidError: this organization has no such machine, or the time cannot be.
    """
    at: datetime = values["event_date"]
    if at > now + clock_tolerance:
        raise InvalidError(f"must not lie ahead of now, which is {now:%Y-%m-%dT%H:%M:%SZ}", field="event_date")
    if at < EARLIEST:
        raise InvalidError("must not lie before 1900", field="event_date")
    lock_fleet(connection, organization_id)  # a machine without any past may be deleted
    if get_machine(connection, organization_id, CompressorId(values["compressor_id"])) is None:
        raise InvalidError(NO_COMPRESSOR, field="compressor_id")
    cost = values["cost_usd"]
    recorded = queries.add_event(
        connection,
        organization_id,
        {
            **values,
            "event_id": uuid4(),
            "event_date": at.astimezone(UTC),
            "cost_usd": None if cost is None else Decimal(str(cost)),
            "recorded_by": by.email,
            "recorded_at": now,
        },
    )
    audit.record(
        connection,
        organization_id,
        "maintenance.recorded",
        by=by,
        origin=origin,
        now=now,
        target=recorded["event_id"],
        details={"compressor_id": values["compressor_id"], "event_type": values["event_type"]},
    )
    return recorded
