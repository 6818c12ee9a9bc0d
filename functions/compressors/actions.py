"""What is said about one machine."""

from collections.abc import Mapping
from typing import Any

from functions.billing.plans import plans
from functions.compressors import queries
from functions.compressors.health import assess
from functions.stations.queries import get_station
from shared_code.database.tables.organizations import Tier
from shared_code.database.tables.readings import WindowType
from shared_code.database.transactions import Read
from shared_code.errors import NotFoundError
from shared_code.identifiers import CompressorId, OrganizationId, StationId


def describe_compressor(
    connection: Read, organization_id: OrganizationId, *, compressor_id: CompressorId, tier: Tier
) -> Mapping[Any, Any]:
    """Return a machine with its station, the reasons of its health, and the newest windows that the plan includes.

    Raises:
        NotFoundError: this organization has no such machine.
    """
    machine = queries.find_compressor(connection, organization_id, compressor_id)
    if machine is None:
        raise NotFoundError("there is no such compressor")
    included = plans()[tier].windows
    windows = queries.latest_windows(
        connection, organization_id, compressor_id, window_types={WindowType.HOUR, *included}
    )
    assessment = assess(
        windows.get(WindowType.HOUR),
        warning_alerts=machine["warning_alerts"],
        critical_alerts=machine["critical_alerts"],
    )
    return {
        **machine,
        "health": assessment.health,
        "health_reasons": assessment.reasons,
        "station": dict(get_station(connection, organization_id, StationId(machine["station_id"]))),
        "latest_windows": {kind: dict(windows[kind]) if kind in windows else None for kind in included},
    }
