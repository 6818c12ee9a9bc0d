"""The views, described for queries; their SQL stands in the migrations.

They run with the rights of whoever asks, so row-level security holds through them.
"""

from sqlalchemy import Column, Integer, MetaData, String, Table, Unicode, Uuid

from shared_code.database.tables.alerts import alert_history
from shared_code.database.tables.metadata import DOUBLE
from shared_code.database.tables.readings import sensor_readings_agg

views = MetaData()

v_latest_readings = Table(
    "v_latest_readings",
    views,
    *(Column(column.name, column.type, nullable=column.nullable) for column in sensor_readings_agg.columns),
)
"""Each machine's newest window of each type."""

v_active_alerts = Table(
    "v_active_alerts",
    views,
    *(Column(column.name, column.type, nullable=column.nullable) for column in alert_history.columns),
    Column("severity_rank", Integer, nullable=False),  # 1 warning, 2 critical: never compare the words
    Column("station_id", String(50), nullable=False),
    Column("model", Unicode(100), nullable=False),
)
"""Alerts that are neither resolved nor suppressed, shelved ones included: shelving silences, it mends nothing."""

v_fleet_health_summary = Table(
    "v_fleet_health_summary",
    views,
    Column("organization_id", Uuid(), nullable=False),
    Column("compressor_id", String(50), nullable=False),
    Column("station_id", String(50), nullable=False),
    Column("active_alerts", Integer, nullable=False),
    Column("warning_alerts", Integer, nullable=False),
    Column("critical_alerts", Integer, nullable=False),
    Column("worst_severity_rank", Integer, nullable=False),  # 0 none, 1 warning, 2 critical
    Column("max_failure_probability", DOUBLE),
)
"""One row for each machine that is not retired: its open alerts counted by severity, and the newest prediction."""
