"""SQL of aggregated readings."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import RowMapping, select

from shared_code.database.tables import compressor_metadata, sensor_readings_agg
from shared_code.database.tables.readings import WindowType
from shared_code.database.transactions import Read
from shared_code.identifiers import CompressorId, OrganizationId


def compressor_exists(connection: Read, organization_id: OrganizationId, compressor_id: CompressorId) -> bool:
    """Return whether the organization has such a machine."""
    machine = compressor_metadata
    query = select(machine.c.compressor_id).where(
        machine.c.organization_id == organization_id, machine.c.compressor_id == compressor_id
    )
    return connection.execute(query).one_or_none() is not None


def list_windows(
    connection: Read,
    organization_id: OrganizationId,
    compressor_id: CompressorId,
    *,
    window_type: WindowType,
    after: datetime | None,
    until: datetime | None,
    limit: int,
) -> Sequence[RowMapping]:
    """Return up to `limit` windows in order of their end, from later than `after` to `until` itself."""
    window = sensor_readings_agg
    query = (
        select(window)
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
    return connection.execute(query).mappings().all()
