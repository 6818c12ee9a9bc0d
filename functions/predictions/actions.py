"""What is told of predictions; plans that do not include them are told so."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from functions.compressors.actions import NO_COMPRESSOR
from functions.compressors.queries import find_compressor
from functions.plans import plans, require_predictions
from functions.predictions import quality, queries
from functions.predictions.quality import FORETOLD_WITHIN, Bound, Told
from functions.readings.actions import require_length
from shared_code.database.tables.organizations import Tier
from shared_code.database.transactions import Read
from shared_code.errors import InvalidError, NotFoundError
from shared_code.identifiers import CompressorId, OrganizationId

USUAL: Final = timedelta(days=90)


def list_predictions(
    connection: Read,
    organization_id: OrganizationId,
    *,
    tier: Tier,
    alarm: bool | None,
    after: CompressorId | None,
    limit: int,
) -> Sequence[Mapping[Any, Any]]:
    """Return the newest prediction of up to `limit` machines.

    Raises:
        ForbiddenError: the plan does not include predictions.
    """
    require_predictions(tier)
    return queries.list_latest(connection, organization_id, alarm=alarm, after=after, limit=limit)


def describe_prediction(
    connection: Read, organization_id: OrganizationId, *, compressor_id: CompressorId, tier: Tier
) -> Mapping[Any, Any]:
    """Return a machine's newest prediction.

    Raises:
        ForbiddenError: the plan does not include predictions.
        NotFoundError: there is no such machine, or nothing has been foretold of it.
    """
    require_predictions(tier)
    if find_compressor(connection, organization_id, compressor_id) is None:
        raise NotFoundError(NO_COMPRESSOR)
    found = queries.find_latest(connection, organization_id, compressor_id)
    if found is None:
        raise NotFoundError("nothing has been foretold of this machine yet")
    return found


def assess_predictions(
    connection: Read,
    organization_id: OrganizationId,
    *,
    start: datetime | None,
    end: datetime | None,
    tier: Tier,
    now: datetime,
) -> Mapping[str, Any]:
    """Return how well an organization's failures of a period were foretold; without one, of the last 90 days.

    Raises:
        ForbiddenError: the plan does not include predictions.
        InvalidError: the period has no length, or nothing is kept of it.
    """
    require_predictions(tier)
    require_length(start, end)
    kept_since = now - timedelta(days=plans()[tier].retention_days)
    end = min(end or now, now)
    start = max(start or end - USUAL, kept_since)
    if start >= end:
        raise InvalidError("nothing is kept of this period", field="start")
    earlier = start - FORETOLD_WITHIN
    alarms = queries.list_alarms(connection, organization_id, earlier, end)
    broke = quality.breakdowns(queries.list_breakdowns(connection, organization_id, start, end))
    failed = {CompressorId(event.compressor_id) for event in broke if event.failed}
    bounds = queries.list_bounds(connection, organization_id, failed, earlier, end)
    figures = quality.assessed(
        [Told(row["compressor_id"], row["alert_timestamp"]) for row in alarms],
        broke,
        [Bound(row["compressor_id"], row["prediction_timestamp"], timedelta(days=row["rul_days"])) for row in bounds],
        judged_hours=queries.count_judged_hours(connection, organization_id, start, end),
        start=start,
        now=end,
    )
    return {"start": start, "end": end, **figures}
