"""A large organization: 1,000 machines with six weeks of hours, written by the database itself."""

from datetime import datetime
from typing import Final

from sqlalchemy import text

from shared_code.database import transactions
from shared_code.database.engines import Database
from shared_code.database.tables import sensor_readings_agg
from shared_code.identifiers import OrganizationId

MACHINES: Final = 1_000
HOURS: Final = 1_000
"""Six weeks: more than the month that is measured, and with MACHINES a million windows."""

_STATIONS: Final = """
    INSERT INTO station_locations (organization_id, station_id, station_name, latitude, longitude, timezone)
    SELECT :organization_id, 'STATION-' || lpad(n::text, 2, '0'), 'Station ' || n, 30, -98, 'America/Chicago'
    FROM generate_series(0, 49) AS n
"""
_COMPRESSORS: Final = """
    INSERT INTO compressor_metadata (organization_id, compressor_id, model, horsepower, station_id)
    SELECT :organization_id, 'COMP-' || lpad(n::text, 4, '0'), 'Ajax DPC-360', 1340,
           'STATION-' || lpad((n % 50)::text, 2, '0')
    FROM generate_series(0, :machines - 1) AS n
"""
_WINDOWS: Final = """
    INSERT INTO sensor_readings_agg
    SELECT :organization_id, 'COMP-' || lpad(m::text, 4, '0'), '1hr',
           CAST(:end AS timestamptz) - (:hours - 1 - h) * interval '1 hour',
           3 + m % 7 * 0.1, 0.2, 3.5 + m % 7 * 0.5, 2.5, 200, 2, 205, 1, 60, 1, 58, 1050, 10, 1070, 990, 1400, 20,
           10000, 6, 0, 0
    FROM generate_series(0, :machines - 1) AS m, generate_series(0, :hours - 1) AS h
"""
_LATEST: Final = """
    INSERT INTO latest_readings
    SELECT * FROM sensor_readings_agg WHERE organization_id = :organization_id AND agg_timestamp = :end
"""
_ALERTS: Final = """
    INSERT INTO alert_history (organization_id, alert_id, compressor_id, rule, onset_at, alert_timestamp, group_at,
                               latest_at, alert_type, severity, message, latched, acknowledged, resolved)
    SELECT :organization_id, md5(n::text)::uuid, 'COMP-' || lpad((n % :machines)::text, 4, '0'), 'rule_' || n,
           at, at, at, at, 'threshold_warning', 'warning', 'high', false, false, n % 20 <> 0
    FROM generate_series(0, 9999) AS n, LATERAL (SELECT CAST(:end AS timestamptz) - n * interval '1 minute' AS at) AS t
"""
_METRICS: Final = """
    INSERT INTO data_quality_metrics
    SELECT :organization_id, 'COMP-' || lpad(m::text, 4, '0'), kind, CAST(:end AS timestamptz) - d * interval '1 day',
           0.99, 0.98, (m + d) % 50 <> 0, '{}'
    FROM generate_series(0, :machines - 1) AS m, generate_series(0, 27) AS d,
         unnest(ARRAY['accuracy', 'completeness', 'consistency', 'freshness']) AS kind
"""
_MAINTENANCE: Final = """
    INSERT INTO maintenance_events (organization_id, event_id, compressor_id, event_date, event_type, description,
                                    downtime_hours, severity)
    SELECT :organization_id, gen_random_uuid(), 'COMP-' || lpad((n % :machines)::text, 4, '0'),
           CAST(:end AS timestamptz) - n * interval '1 hour', 'inspection', 'looked at', 0.5, 'low'
    FROM generate_series(0, 9999) AS n
"""
_PREDICTIONS: Final = """
    INSERT INTO ml_predictions (organization_id, compressor_id, prediction_timestamp, model_version, rul_days,
                                failure_probability, confidence_score, features_used, health, threshold)
    SELECT :organization_id, 'COMP-' || lpad(m::text, 4, '0'), CAST(:end AS timestamptz) - n * interval '2 days', '1',
           CASE WHEN n % 20 = 0 THEN 3 END, 0.01, 0.9, '{}', CASE WHEN n % 20 = 0 THEN 5 ELSE 1 END, 4
    FROM generate_series(0, :machines - 1) AS m, generate_series(0, 99) AS n
"""
_AUDIT: Final = """
    INSERT INTO audit_log (organization_id, id, occurred_at, action, details, actor_kind, actor_name)
    SELECT :organization_id, gen_random_uuid(), CAST(:end AS timestamptz) - n * interval '1 minute', 'session.began',
           '{}', 'system', 'Altaviz'
    FROM generate_series(0, 19999) AS n
"""
_CHANNEL: Final = """
    INSERT INTO notification_channels (organization_id, channel_id, kind, name, address, least_severity, after_minutes,
                                       tells_resolved, quiet_for_critical, enabled, created_at, created_by)
    SELECT :organization_id, md5('0')::uuid, 'slack', 'On-call', 'https://hooks.customer.example/', 'warning', 0, true,
           false, true, :end, 'somebody@customer.example'
"""
_DELIVERIES: Final = """
    INSERT INTO notification_deliveries (organization_id, delivery_id, channel_id, message, state, attempts, created_at)
    SELECT :organization_id, md5(n::text)::uuid, md5('0')::uuid, '{"type": "alerts", "alerts": []}',
           CASE WHEN n % 50 = 0 THEN 'failed' ELSE 'delivered' END, 1,
           CAST(:end AS timestamptz) - n * interval '1 minute'
    FROM generate_series(0, 19999) AS n
"""
_ATTEMPTS: Final = """
    INSERT INTO delivery_attempts (organization_id, delivery_id, attempted_at, seconds, status)
    SELECT organization_id, delivery_id, created_at, 0.1, 204 FROM notification_deliveries
"""
TABLES: Final = (
    "station_locations",
    "compressor_metadata",
    "sensor_readings_agg",
    "latest_readings",
    "alert_history",
    "data_quality_metrics",
    "maintenance_events",
    "ml_predictions",
    "audit_log",
    "notification_deliveries",
    "delivery_attempts",
)

STATEMENTS: Final = (
    _STATIONS,
    _COMPRESSORS,
    _WINDOWS,
    _LATEST,
    _ALERTS,
    _METRICS,
    _MAINTENANCE,
    _PREDICTIONS,
    _AUDIT,
    _CHANNEL,
    _DELIVERIES,
    _ATTEMPTS,
)


def fill(database: Database, organization_id: OrganizationId, *, end: datetime) -> None:
    """Give an organization that has nothing a large fleet whose newest hour ends at `end`.

    The windows are loaded as a restore would: in order of their key, and without their second index, which is made
    again in one go. The database should be nobody else's.
    """
    values = {"organization_id": organization_id, "machines": MACHINES, "hours": HOURS, "end": end}
    with transactions.owner(database) as connection:
        by_time = next(iter(sensor_readings_agg.indexes))
        by_time.drop(connection)
        for statement in STATEMENTS:
            connection.execute(text(statement), values)
        by_time.create(connection)
        connection.execute(text(f"ANALYZE {', '.join(TABLES)}"))
