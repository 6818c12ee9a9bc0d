"""The fleet as a whole, put together from counts."""

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any

from functions.compressors.queries import count_by_station_and_health
from shared_code.database.transactions import Read
from shared_code.identifiers import OrganizationId

Row = Mapping[Any, Any]


def summarize_fleet(connection: Read, organization_id: OrganizationId) -> Mapping[str, Any]:
    """Return how many machines are how, overall and by station, with open alerts and the newest window's end."""
    rows = count_by_station_and_health(connection, organization_id)
    ends = [row["newest_window_end"] for row in rows if row["newest_window_end"]]
    return {
        **_machines(rows),
        "by_station": [
            {"station_id": station_id, "station_name": name, **_machines(list(of_station))}
            for (station_id, name), of_station in groupby(
                rows, key=lambda row: (row["station_id"], row["station_name"])
            )
        ],
        "active_alerts": {
            severity: sum(row[f"{severity}_alerts"] for row in rows) for severity in ("warning", "critical")
        },
        "newest_window_end": max(ends, default=None),
    }


def _machines(rows: Iterable[Row]) -> dict[str, Any]:
    by_health: Counter[str] = Counter()
    for row in rows:
        by_health[row["health"]] += row["compressors"]
    return {"compressors": by_health.total(), "by_health": by_health}
