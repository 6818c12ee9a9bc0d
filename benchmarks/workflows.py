"""Measures what timers do for 10,000 organizations with a million alerts: `python -m benchmarks.workflows`.

Each has ten machines at three stations, a channel, a hundred alerts of which 40 are due for one workflow or another,
and a hundred windows of which half are older than its plan keeps. A line of JSON says of each workflow, and of noticing
what there is to tell, how many rows it changed, how long that took, and how long it takes the next time, when nothing
is due.
"""

import json
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from sqlalchemy import text

from functions.notifications import queries as notifications
from functions.settings import WorkflowSettings
from functions.workflows import actions
from shared_code.database import transactions
from shared_code.database.engines import Database
from shared_code.database.home import open_database
from shared_code.database.tables.workflows import Workflow
from shared_code.settings import DatabaseSettings, read

ORGANIZATIONS: Final = 10_000
MACHINES: Final = 10
ALERTS: Final = 100
"""Of each organization."""
NOW: Final = datetime(2026, 1, 12, 12, tzinfo=UTC)

_SCHEDULES: Final = ("auto_resolve", "freshness", "escalation", "cleanup", "retention")
_FLEET: Final = (
    """
    INSERT INTO organizations (id, name, slug, subscription_tier, subscription_status, created_at, updated_at)
    SELECT md5(n::text)::uuid, 'Organization ' || n, 'o' || n, 'pro', 'active', :now, :now
    FROM generate_series(1, :organizations) AS n
    """,
    """
    INSERT INTO station_locations (organization_id, station_id, station_name, latitude, longitude, timezone)
    SELECT id, 'S' || s, 'Station ' || s, 30, -98, 'America/Chicago'
    FROM organizations, generate_series(0, 2) AS s WHERE slug LIKE 'o%'
    """,
    """
    INSERT INTO compressor_metadata (organization_id, compressor_id, model, horsepower, station_id)
    SELECT id, 'COMP-' || m, 'Ajax DPC-360', 1340, 'S' || m % 3
    FROM organizations, generate_series(0, :machines - 1) AS m WHERE slug LIKE 'o%'
    """,
    # The machines of station S0 are all silent in one organization of ten, and COMP-1 in every one.
    """
    INSERT INTO machine_contacts
    SELECT organization_id, compressor_id, CAST(:now AS timestamptz) - CASE
        WHEN compressor_id = 'COMP-1' OR station_id = 'S0' AND hashtext(organization_id::text) % 10 = 0
        THEN interval '5 hours' ELSE interval '10 minutes' END
    FROM compressor_metadata
    """,
)
# Of a hundred: 20 warnings to escalate, 10 that are over, 10 that nobody touched for a week, 60 resolved.
_ALERTS: Final = """
    INSERT INTO alert_history (organization_id, alert_id, compressor_id, rule, onset_at, alert_timestamp, group_at,
                               latest_at, alert_type, severity, message, latched, acknowledged, resolved, resolved_at,
                               cleared_at)
    SELECT id, gen_random_uuid(), 'COMP-' || n % :machines, 'rule_' || n, at, at, at, at, 'threshold_warning',
           CASE WHEN n < 20 THEN 'warning' ELSE 'critical' END, 'Vibration is high.', false, false, n >= 40,
           CASE WHEN n >= 40 THEN at END, CASE WHEN n BETWEEN 20 AND 29 OR n >= 40 THEN at END
    FROM organizations, generate_series(0, :alerts - 1) AS n,
         LATERAL (SELECT CAST(:now AS timestamptz) - CASE
             WHEN n < 30 THEN interval '5 hours' WHEN n < 40 THEN interval '9 days' ELSE n * interval '1 day' END AS at
         ) AS t
    WHERE slug LIKE 'o%'
"""
_WINDOWS: Final = """
    INSERT INTO sensor_readings_agg (organization_id, compressor_id, window_type, agg_timestamp, reading_count,
                                     missing_readings, suspect_readings)
    SELECT organization_id, compressor_id, '24hr', CAST(:now AS timestamptz) - d * interval '20 days', 144, 0, 0
    FROM compressor_metadata, generate_series(0, 9) AS d
"""
_CHANNELS: Final = """
    INSERT INTO notification_channels (organization_id, channel_id, kind, name, address, least_severity, after_minutes,
                                       tells_resolved, quiet_for_critical, enabled, created_at, created_by)
    SELECT id, gen_random_uuid(), 'slack', 'On-call', 'https://hooks.customer.example/', 'warning', 0, true, false,
           true, :now, 'somebody@customer.example'
    FROM organizations WHERE slug LIKE 'o%'
"""
FILLED: Final = (
    "organizations, station_locations, compressor_metadata, machine_contacts, alert_history, sensor_readings_agg,"
    " latest_readings, notification_channels"
)
"""As autovacuum does, which leaves alone what is empty."""
_LATEST: Final = """
    INSERT INTO latest_readings SELECT * FROM sensor_readings_agg WHERE agg_timestamp = :now
"""


def main() -> None:
    """Run each workflow once with much to do, and once more at the same instant, in a slot of its own."""
    with tempfile.TemporaryDirectory(prefix="altaviz-workflows-") as folder:
        database = open_database(read(DatabaseSettings, data_dir=Path(folder, "postgresql")), now=NOW)
        try:
            _fill(database)
            measured: dict[str, object] = {"organizations": ORGANIZATIONS, "alerts": ORGANIZATIONS * ALERTS}
            due, nothing = _notice(database, minutes=0), _notice(database, minutes=1)
            measured["notice"] = due | {f"then_{name}": value for name, value in nothing.items()}
            for workflow in Workflow:
                due, nothing = _run(database, workflow, minutes=0), _run(database, workflow, minutes=1)
                measured[workflow] = due | {f"then_{name}": value for name, value in nothing.items()}
            print(json.dumps(measured))
        finally:
            database.dispose()


def _run(database: Database, workflow: Workflow, *, minutes: int) -> dict[str, float]:
    every_minute = {f"workflow_{name}_schedule": "0 * * * * *" for name in _SCHEDULES}
    settings = WorkflowSettings.model_validate(every_minute)
    now = NOW + timedelta(minutes=minutes)
    began = time.perf_counter()
    changed = actions.run_slot(database, workflow, settings=settings, clock=lambda: now)
    return {"changed": changed, "seconds": round(time.perf_counter() - began, 2)}


def _notice(database: Database, *, minutes: int) -> dict[str, float]:
    now = NOW + timedelta(minutes=minutes)
    began = time.perf_counter()
    with transactions.everywhere(database) as connection:
        changed = notifications.notice(connection, now=now)
        notifications.close(connection, now=now)
    return {"changed": changed, "seconds": round(time.perf_counter() - began, 2)}


def _fill(database: Database) -> None:
    values = {"now": NOW, "organizations": ORGANIZATIONS, "machines": MACHINES, "alerts": ALERTS}
    with transactions.owner(database) as connection:
        for statement in (*_FLEET, _ALERTS, _WINDOWS, _LATEST, _CHANNELS):
            connection.execute(text(statement), values)
    with transactions.owner(database) as connection:
        connection.execute(text(f"ANALYZE {FILLED}"))


if __name__ == "__main__":
    main()
