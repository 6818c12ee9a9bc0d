"""Who may read which windows of which machine."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from functions.billing.plans import require_window
from functions.readings import queries
from shared_code.database.tables.organizations import Tier
from shared_code.database.tables.readings import WindowType
from shared_code.database.transactions import Read
from shared_code.errors import InvalidError, NotFoundError
from shared_code.identifiers import CompressorId, OrganizationId


def read_windows(
    connection: Read,
    organization_id: OrganizationId,
    *,
    compressor_id: CompressorId,
    window_type: WindowType,
    tier: Tier,
    period: tuple[datetime | None, datetime | None],
    resume_after: datetime | None,
    limit: int,
) -> Sequence[Mapping[Any, Any]]:
    """Return up to `limit` windows whose end lies in the period: later than its start, up to its end.

    Raises:
        ForbiddenError: the plan does not include the window type.
        InvalidError: the period has no length.
        NotFoundError: this organization has no such machine.
    """
    require_window(tier, window_type)
    start, end = period
    if start is not None and end is not None and start >= end:
        raise InvalidError("must be earlier than end", field="start")
    if not queries.compressor_exists(connection, organization_id, compressor_id):
        raise NotFoundError("there is no such compressor")
    return queries.list_windows(
        connection,
        organization_id,
        compressor_id,
        window_type=window_type,
        after=max((instant for instant in (start, resume_after) if instant), default=None),
        until=end,
        limit=limit,
    )
