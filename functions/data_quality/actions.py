"""Which data-quality metrics are shown."""

from collections.abc import Mapping, Sequence
from typing import Any

from functions.data_quality import queries
from functions.data_quality.queries import Place, Wanted
from functions.readings.actions import require_length
from shared_code.database.transactions import Read
from shared_code.identifiers import OrganizationId


def list_metrics(
    connection: Read, organization_id: OrganizationId, *, wanted: Wanted, before: Place | None, limit: int
) -> Sequence[Mapping[Any, Any]]:
    """Return up to `limit` metrics, the newest day first.

    Raises:
        InvalidError: the period has no length.
    """
    require_length(wanted.after, wanted.until)
    return queries.list_metrics(connection, organization_id, wanted, before=before, limit=limit)
