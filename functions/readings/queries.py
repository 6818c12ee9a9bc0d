"""SQL of aggregated readings, and of batches of readings that are delivered."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import and_, delete, insert, select
from sqlalchemy.exc import IntegrityError

from shared_code.database.tables import compressor_metadata, reading_deliveries, sensor_readings_agg, station_locations
from shared_code.database.tables.readings import WindowType
from shared_code.database.transactions import Read, Write
from shared_code.errors import ConflictError
from shared_code.identifiers import CompressorId, OrganizationId


def find_timezone(connection: Read, organization_id: OrganizationId, compressor_id: CompressorId) -> str | None:
    """Return the time zone of a machine's station; None where the organization has no such machine."""
    machine, station = compressor_metadata, station_locations
    at = and_(station.c.organization_id == machine.c.organization_id, station.c.station_id == machine.c.station_id)
    query = (
        select(station.c.timezone)
        .join_from(machine, station, at)
        .where(machine.c.organization_id == organization_id, machine.c.compressor_id == compressor_id)
    )
    return connection.execute(query).scalar_one_or_none()


def list_windows(
    connection: Read,
    organization_id: OrganizationId,
    compressor_id: CompressorId,
    *,
    window_type: WindowType,
    fields: Sequence[str],
    after: datetime | None,
    until: datetime | None,
    limit: int,
) -> Sequence[dict[str, Any]]:
    """Return up to `limit` windows in order of their end, from later than `after` to `until` itself.

    They have these fields, and their end in any case.
    """
    window = sensor_readings_agg
    query = (
        select(*(window.c[field] for field in dict.fromkeys((*fields, window.c.agg_timestamp.name))))
        .where(
            window.c.organization_id == organization_id,
            window.c.compressor_id == compressor_id,
            window.c.window_type == window_type,
        )
        .order_by(window.c.agg_timestamp)
        .limit(limit)
    )
    if after is not None:
        query = query.where(window.c.agg_timestamp > after)
    if until is not None:
        query = query.where(window.c.agg_timestamp <= until)
    found = connection.execute(query)
    names = tuple(found.keys())
    # A month of them takes half the time of mappings.
    return [dict(zip(names, row, strict=True)) for row in found.all()]


class Delivery(NamedTuple):
    """A batch of readings as it was first sent."""

    name: str
    content_hash: str
    received_at: datetime


def find_delivery(connection: Write, organization_id: OrganizationId, name: str) -> Delivery | None:
    """Return a batch by its name, None where none such was sent."""
    delivery = reading_deliveries.c
    query = select(delivery.name, delivery.content_hash, delivery.received_at).where(
        delivery.organization_id == organization_id, delivery.name == name
    )
    found = connection.execute(query).one_or_none()
    return Delivery(*found) if found else None


def add_delivery(connection: Write, organization_id: OrganizationId, delivery: Delivery) -> None:
    """Keep that a batch was sent.

    Raises:
        ConflictError: the same was sent in the meantime; the transaction is of no more use.
    """
    try:
        connection.execute(insert(reading_deliveries).values(organization_id=organization_id, **delivery._asdict()))
    except IntegrityError:
        raise ConflictError("the same batch arrives twice at once") from None


def forget_deliveries(connection: Write, organization_id: OrganizationId, *, before: datetime) -> None:
    """Forget batches that were first sent before an instant."""
    delivery = reading_deliveries.c
    connection.execute(
        delete(reading_deliveries).where(delivery.organization_id == organization_id, delivery.received_at < before)
    )


class Machines(NamedTuple):
    """Ids of an organization's machines: those that take readings, and those that take none any more."""

    in_use: frozenset[str]
    retired: frozenset[str]


def list_machines(connection: Read | Write, organization_id: OrganizationId) -> Machines:
    """Return the ids of all machines of the organization."""
    machine = compressor_metadata.c
    query = select(machine.compressor_id, machine.retired_at).where(machine.organization_id == organization_id)
    rows = connection.execute(query).all()
    return Machines(
        frozenset(row.compressor_id for row in rows if row.retired_at is None),
        frozenset(row.compressor_id for row in rows if row.retired_at is not None),
    )
