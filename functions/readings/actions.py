"""Who may read which windows of which machine, and how readings that arrive are taken in."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from functions.access import audit
from functions.access.audit import Origin
from functions.access.keys import Key
from functions.plans import require_window
from functions.readings import ingestion, queries
from functions.readings.ingestion import Format, Judged
from functions.readings.landing import Landing
from functions.readings.queries import Delivery, Machines
from shared_code.database import transactions
from shared_code.database.engines import Database
from shared_code.database.tables.organizations import Tier
from shared_code.database.tables.readings import WindowType
from shared_code.database.transactions import Read
from shared_code.errors import ConflictError, InvalidError, NotFoundError
from shared_code.identifiers import CompressorId, OrganizationId
from shared_code.readings import LANDING_API, LANDING_READINGS
from shared_code.settings import JobSettings
from shared_code.thresholds import thresholds

REMEMBERED: Final = timedelta(days=7)
"""How long a repeat of a batch is known for one."""


MAX_EXPORTED: Final = 50_000
"""How many windows a file may hold: five years of hours. The Functions host sends no answer before it is whole."""


class Windows(NamedTuple):
    """Windows of a machine, and the time zone of its station."""

    rows: Sequence[Mapping[Any, Any]]
    timezone: str


class Asked(NamedTuple):
    """Which windows somebody wants: of a machine and type, with these fields, that end in a period open at its start.

    Either end of the period may be missing.
    """

    compressor_id: CompressorId
    window_type: WindowType
    fields: Sequence[str]
    period: tuple[datetime | None, datetime | None]


def export_windows(connection: Read, organization_id: OrganizationId, *, asked: Asked, tier: Tier) -> Windows:
    """Return all windows that are asked for, as `read_windows` does.

    Raises:
        ForbiddenError: the plan does not include the window type.
        InvalidError: the period has no length, or more windows than a file may hold.
        NotFoundError: this organization has no such machine.
    """
    limit = MAX_EXPORTED + 1
    found = read_windows(connection, organization_id, asked=asked, tier=tier, resume_after=None, limit=limit)
    if len(found.rows) > MAX_EXPORTED:
        fits = f"{found.rows[MAX_EXPORTED - 1]['agg_timestamp']:%Y-%m-%dT%H:%M:%SZ}"
        raise InvalidError(
            f"the period has more than the {MAX_EXPORTED} windows that a file may hold; ask for it in parts, of which"
            f" the first may end at {fits} and the next start there",
            field="end",
        )
    return found


def read_windows(
    connection: Read,
    organization_id: OrganizationId,
    *,
    asked: Asked,
    tier: Tier,
    resume_after: datetime | None,
    limit: int,
) -> Windows:
    """Return up to `limit` of the windows that are asked for.

    Raises:
        ForbiddenError: the plan does not include the window type.
        InvalidError: the period has no length.
        NotFoundError: this organization has no such machine.
    """
    require_window(tier, asked.window_type)
    start, end = asked.period
    require_length(start, end)
    timezone = queries.find_timezone(connection, organization_id, asked.compressor_id)
    if timezone is None:
        raise NotFoundError("there is no such compressor")
    rows = queries.list_windows(
        connection,
        organization_id,
        asked.compressor_id,
        window_type=asked.window_type,
        fields=asked.fields,
        after=max((instant for instant in (start, resume_after) if instant), default=None),
        until=end,
        limit=limit,
    )
    return Windows(rows, timezone)


def require_length(start: datetime | None, end: datetime | None) -> None:
    """Let pass only a period, open at either side, in which something may lie.

    Raises:
        InvalidError: it ends where it starts, or earlier.
    """
    if start is not None and end is not None and start >= end:
        raise InvalidError("must be earlier than end", field="start")


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch of readings as it was sent, and under which Idempotency-Key, if any."""

    written: Format
    body: bytes
    idempotency_key: str | None

    @property
    def content_hash(self) -> str:
        """Tells one batch from another."""
        return hashlib.sha256(self.written.encode() + b"\0" + self.body).hexdigest()

    @property
    def name(self) -> str:
        """The same for a batch and its repeats: of the key, or of the batch itself."""
        if self.idempotency_key is None:
            return f"body-{self.content_hash}"
        return f"key-{hashlib.sha256(self.idempotency_key.encode()).hexdigest()}"


def take_in(
    *,
    database: Database,
    landing: Landing,
    settings: JobSettings,
    batch: Batch,
    by: Key,
    origin: Origin,
    now: datetime,
) -> Mapping[str, Any]:
    """Put the readings of a batch that can go on where the job finds them, as one file; return what became of each.

    A repeat is judged as of the first time, ends in the same file, and is told what that file says: also when the
    first one was cut off before its answer, and when both are at work at once. Of a batch in which nothing could go
    on there is no file, and a repeat is judged by the machines there are then.

    Raises:
        InvalidError: the batch as a whole cannot be read, or its key came with another batch before.
        UnavailableError: the landing takes nothing at the moment.
    """
    rows = ingestion.parse(batch.written, batch.body)
    try:
        delivery, machines = _announce(database, batch, by, origin, now)
    except ConflictError:  # the same batch, at once: the other has announced it, and now we find it
        delivery, machines = _announce(database, batch, by, origin, now)
    if delivery.content_hash != batch.content_hash:
        raise InvalidError(
            "this key came with another body before; a new batch takes a new key", field="Idempotency-Key"
        )
    rules = ingestion.Rules(
        organization_id=by.organization_id,
        in_use=machines.in_use,
        retired=machines.retired,
        earliest=settings.horizon(delivery.received_at),
        latest=delivery.received_at + settings.clock_tolerance,
        thresholds=thresholds(),
    )
    judged = ingestion.judge(rows, rules)
    if not judged.accepted:
        return _receipt(judged, None)
    from functions.readings import parquet  # noqa: PLC0415 - Arrow takes time that other requests need not spend

    path = _path(by.organization_id, delivery)
    receipt = _receipt(judged, path)
    content = parquet.write(judged.columns, by.organization_id, json.dumps(receipt).encode())
    if landing.create(path, content):
        return receipt
    return json.loads(parquet.receipt_of(landing.read(path)))


def _announce(database: Database, batch: Batch, by: Key, origin: Origin, now: datetime) -> tuple[Delivery, Machines]:
    """Return the batch as it was first sent, which may be now, and the organization's machines.

    Raises:
        ConflictError: it is being sent for the first time twice.
    """
    organization_id = by.organization_id
    with transactions.write(database, organization_id) as connection:
        delivery = queries.find_delivery(connection, organization_id, batch.name)
        if delivery is None:
            delivery = Delivery(batch.name, batch.content_hash, now)
            queries.forget_deliveries(connection, organization_id, before=now - REMEMBERED)
            queries.add_delivery(connection, organization_id, delivery)
            audit.record(
                connection,
                organization_id,
                "readings.delivered",
                by=by,
                origin=origin,
                now=now,
                target=_path(organization_id, delivery),
            )
        return delivery, queries.list_machines(connection, organization_id)


def _path(organization_id: OrganizationId, delivery: Delivery) -> str:
    day = f"{delivery.received_at:%Y-%m-%d}"
    return f"{LANDING_READINGS}/{LANDING_API}/{organization_id}/{day}/{delivery.name}.parquet"


def _receipt(judged: Judged, path: str | None) -> dict[str, Any]:
    return {
        "received": judged.received,
        "accepted": judged.accepted,
        "refused": len(judged.refusals),
        "flagged": len({note.index for note in judged.warnings}),
        "refusals": [asdict(note) for note in judged.refusals],
        "warnings": [asdict(note) for note in judged.warnings],
        "ignored_fields": sorted(judged.ignored_fields),
        "file": path,
    }
