"""The schema, built and taken down by its migrations on an empty database."""

import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import DataError

from shared_code.database import migrate, transactions
from shared_code.database.embedded import EmbeddedServer
from shared_code.database.engines import Database, Role
from tests.shared_code.database.rows import STAGING, TENANT_TABLES, an_organization_with_rows

ROOT = Path(__file__).resolve().parents[3]

TABLES = {
    "organizations",
    "users",
    "billing_events",
    "station_locations",
    "compressor_metadata",
    "sensor_readings_agg",
    "maintenance_events",
    "alert_history",
    "data_quality_metrics",
    "ml_predictions",
    "sessions",
    "api_keys",
    "reading_deliveries",
    "invitations",
    "audit_log",
    "idempotent_requests",
    "latest_readings",
    "machine_contacts",
    "organization_versions",
    "workflow_runs",
    "workflow_settings",
    "notification_channels",
    "notification_deliveries",
    "delivery_attempts",
    "notifications",
    "alert_rule_settings",
    "payment_failures",
    "subscriptions",
}
VIEWS = {"v_latest_readings", "v_active_alerts", "v_fleet_health_summary"}
BEFORE_ANYBODY_IS_KNOWN = {"sign_in_attempts", "rate_limits", "stripe_events"}
FOR_THE_JOB_ALONE = {"etl_runs", *STAGING}

# How each table is asked, organization first: by machine, by time, by what a list can be filtered with.
QUERY_PATHS = [
    ("users", "email"),
    ("sessions", "id"),
    ("sessions", "user_id"),
    ("api_keys", "created_at", "id"),
    ("invitations", "created_at", "id"),
    ("audit_log", "occurred_at", "id"),
    ("audit_log", "target", "occurred_at"),
    ("billing_events", "received_at"),
    ("idempotent_requests", "key_hash"),
    ("idempotent_requests", "expires_at"),
    ("reading_deliveries", "name"),
    ("reading_deliveries", "received_at"),
    ("station_locations", "station_id"),
    ("compressor_metadata", "compressor_id"),
    ("compressor_metadata", "station_id"),
    ("compressor_metadata", "model"),
    ("sensor_readings_agg", "compressor_id", "window_type", "agg_timestamp"),
    ("sensor_readings_agg", "window_type", "agg_timestamp"),
    ("latest_readings", "compressor_id", "window_type"),
    ("maintenance_events", "compressor_id", "event_date"),
    ("maintenance_events", "event_date"),
    ("alert_history", "alert_id"),
    ("alert_history", "compressor_id", "alert_timestamp"),
    ("alert_history", "resolved", "alert_timestamp"),
    ("alert_history", "compressor_id", "rule", "onset_at"),
    ("machine_contacts", "compressor_id"),
    ("alert_history", "alert_timestamp"),
    ("data_quality_metrics", "compressor_id", "metric_type", "metric_timestamp"),
    ("data_quality_metrics", "metric_timestamp", "compressor_id", "metric_type"),
    ("ml_predictions", "compressor_id", "prediction_timestamp"),
    ("ml_predictions", "prediction_timestamp"),
    ("ml_predictions", "failure_probability"),
    ("workflow_runs", "workflow", "slot"),
    ("workflow_runs", "slot", "workflow"),
    ("workflow_settings",),
    ("notification_channels", "created_at", "channel_id"),
    ("notification_deliveries", "created_at", "delivery_id"),
    ("notification_deliveries", "channel_id", "created_at"),
    ("delivery_attempts", "delivery_id", "attempted_at"),
    ("notifications", "alert_id", "channel_id", "occasion"),
    ("notifications", "delivery_id"),
    ("notifications", "noticed_at"),
    ("alert_rule_settings", "rule"),
    ("payment_failures", "invoice_id", "attempt"),
    ("subscriptions",),
]


@pytest.fixture(scope="module")
def empty(database: Database) -> Generator[Engine]:
    """An empty database beside the run's own, on the same server."""
    server = database.engine(Role.OWNER).execution_options(isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text("CREATE DATABASE migrated"))
    engine = create_engine(server.url.set(database="migrated"))
    yield engine
    engine.dispose()
    with server.connect() as connection:
        connection.execute(text("DROP DATABASE migrated"))


def relations(connection: Connection, kinds: str) -> set[str]:
    asked = text(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind::text = ANY (:kinds)"
    )
    return set(connection.scalars(asked, {"kinds": list(kinds)}))


def left_over(connection: Connection) -> dict[str, list[str]]:
    """Return what stands in the schema, Alembic's own table aside."""
    catalogues = {"pg_class": "rel", "pg_type": "typ", "pg_proc": "pro", "pg_constraint": "con"}
    found = {
        catalogue: [
            name
            for name in connection.scalars(
                text(
                    f"SELECT {prefix}name FROM {catalogue} WHERE {prefix}namespace = 'public'::regnamespace ORDER BY 1"  # noqa: S608
                )
            )
            if "alembic_version" not in name
        ]
        for catalogue, prefix in catalogues.items()
    }
    found["pg_policy"] = list(connection.scalars(text("SELECT polname FROM pg_policy ORDER BY 1")))
    return {catalogue: names for catalogue, names in found.items() if names}


def indexes(connection: Connection) -> set[tuple[str, ...]]:
    """Return each index as its table's name and then its columns in order."""
    rows = connection.execute(
        text(
            """
            SELECT i.indrelid::regclass::text, (
                SELECT array_agg(a.attname::text ORDER BY k.place)
                FROM unnest(i.indkey) WITH ORDINALITY AS k (attnum, place)
                JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
            ) FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indrelid
            WHERE c.relnamespace = 'public'::regnamespace AND i.indpred IS NULL AND i.indisvalid
            """
        )
    )
    return {(table, *columns) for table, columns in rows}


def foreign_keys(connection: Connection) -> set[tuple[str, ...]]:
    rows = connection.execute(
        text(
            """
            SELECT f.conrelid::regclass::text, (
                SELECT array_agg(a.attname::text ORDER BY k.place)
                FROM unnest(f.conkey) WITH ORDINALITY AS k (attnum, place)
                JOIN pg_attribute AS a ON a.attrelid = f.conrelid AND a.attnum = k.attnum
            ) FROM pg_constraint AS f WHERE f.contype = 'f' AND f.connamespace = 'public'::regnamespace
            """
        )
    )
    return {(table, *columns) for table, columns in rows}


def unserved(paths: set[tuple[str, ...]], connection: Connection) -> set[tuple[str, ...]]:
    """Return the paths that no index begins with."""
    beginnings = {index[:length] for index in indexes(connection) for length in range(1, len(index) + 1)}
    return paths - beginnings


def test_up_down_and_up_again_leaves_nothing_behind_and_misses_nothing(empty: Engine) -> None:
    with empty.begin() as connection:
        assert migrate.current(connection) is None
        migrate.upgrade(connection)
        first = (migrate.current(connection), migrate.differences(connection), left_over(connection))
        migrate.downgrade(connection)
        assert migrate.current(connection) is None
        assert left_over(connection) == {}
        migrate.upgrade(connection)
        second = (migrate.current(connection), migrate.differences(connection), left_over(connection))

    assert first == second
    assert first[:2] == (migrate.head(), [])


def test_a_migration_that_fails_changes_nothing(database: Database) -> None:
    def fail_after_the_work_is_done() -> None:
        with transactions.owner(database) as connection:
            migrate.downgrade(connection)
            assert left_over(connection) == {}
            connection.execute(text("SELECT 1 / 0"))

    with pytest.raises(DataError, match="division by zero"):
        fail_after_the_work_is_done()

    with transactions.owner(database) as connection:
        assert migrate.differences(connection) == []


def test_going_back_to_one_organization_a_person_keeps_the_one_they_founded(database: Database) -> None:
    joined, founded = (an_organization_with_rows(database) for _ in range(2))
    with database.engine(Role.OWNER).connect() as never_committed:
        never_committed.execute(
            text(
                "UPDATE users SET identity_object = 'two places', founder = organization_id = :founded "
                "WHERE organization_id IN (:joined, :founded)"
            ),
            {"joined": joined, "founded": founded},
        )

        migrate.downgrade(never_committed, "0003")

        left = text("SELECT organization_id FROM users WHERE identity_object = 'two places'")
        assert list(never_committed.scalars(left)) == [founded]


@pytest.mark.parametrize(
    "drift",
    [
        "ALTER TABLE maintenance_events DROP COLUMN cost_usd",
        "ALTER TABLE alert_history ADD COLUMN snoozed boolean",
        "ALTER TABLE ml_predictions ALTER COLUMN confidence_score TYPE text",
        "ALTER TABLE station_locations ALTER COLUMN timezone DROP NOT NULL",
        "DROP INDEX ix_alert_history_organization_id_alert_timestamp",
        "ALTER TABLE users DROP CONSTRAINT uq_users_identity",
        "CREATE TABLE forgotten (n integer)",
        "UPDATE alembic_version SET version_num = '0000'",
    ],
)
def test_a_schema_that_drifted_is_told(database: Database, drift: str) -> None:
    with database.engine(Role.OWNER).connect() as never_committed:
        never_committed.execute(text(drift))

        assert len(migrate.differences(never_committed)) == 1


def test_the_tables_and_views_are_those_of_the_domain(database: Database) -> None:
    with transactions.owner(database) as connection:
        tables, views = relations(connection, "rp"), relations(connection, "vm")

    assert tables == TABLES | BEFORE_ANYBODY_IS_KNOWN | FOR_THE_JOB_ALONE | {"alembic_version"}
    assert views == VIEWS


def test_every_key_of_a_tenant_table_holds_the_organization(database: Database) -> None:
    with transactions.owner(database) as connection:
        keys = {
            table: list(columns)
            for table, columns in connection.execute(
                text(
                    """
                    SELECT k.conrelid::regclass::text, (
                        SELECT array_agg(a.attname::text ORDER BY p.place)
                        FROM unnest(k.conkey) WITH ORDINALITY AS p (attnum, place)
                        JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = p.attnum
                    ) FROM pg_constraint AS k WHERE k.contype = 'p' AND k.connamespace = 'public'::regnamespace
                    """
                )
            )
        }

    tenant_tables = {table.name for table in TENANT_TABLES} - {"organizations"}
    assert tenant_tables == TABLES - {"organizations"}
    assert {table for table in tenant_tables if keys[table][0] == "organization_id"} == tenant_tables


def test_what_refers_to_another_row_refers_within_the_organization(database: Database) -> None:
    with transactions.owner(database) as connection:
        keys = foreign_keys(connection)

    assert ("compressor_metadata", "organization_id", "station_id") in keys
    assert {key[1] for key in keys} == {"organization_id"}


def test_every_foreign_key_and_query_path_has_an_index(database: Database) -> None:
    with transactions.owner(database) as connection:
        there = indexes(connection)
        paths = {(table, "organization_id", *columns) for table, *columns in QUERY_PATHS} | foreign_keys(connection)

        assert unserved(paths, connection) == set()
    assert len({index for index in there if index[0] in TABLES}) >= 15


def test_an_index_that_is_dropped_is_missed(database: Database) -> None:
    path = ("alert_history", "organization_id", "alert_timestamp")
    with database.engine(Role.OWNER).connect() as never_committed:
        never_committed.execute(text("DROP INDEX ix_alert_history_organization_id_alert_timestamp"))

        assert unserved({path}, never_committed) == {path}


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "shared_code.database", *arguments],
        cwd=ROOT,
        env={**os.environ, "ALTAVIZ_DATABASE_DIR": str(folder), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_the_command_line_upgrades_checks_and_downgrades(tmp_path: Path) -> None:
    folder = tmp_path / "a folder 100% ours" / "data"
    kept_alive = EmbeddedServer(folder)  # so that not every command starts the server anew
    kept_alive.start()
    try:
        ended = [run(folder, command) for command in ("check", "upgrade", "check", "downgrade")]
    finally:
        kept_alive.stop()

    assert [program.returncode for program in ended] == [1, 0, 0, 0]
    assert ended[0].stderr.startswith(f"revision None, expected {migrate.head()}\n")
    assert ended[1].stdout == f"database at revision {migrate.head()}\n"
    assert ended[2].stdout == f"database at revision {migrate.head()}, as expected\n"
    assert ended[3].stdout == "database at revision None\n"
    assert not any("Traceback" in program.stderr for program in ended)


def test_the_command_line_says_what_is_wrong_in_one_sentence(tmp_path: Path) -> None:
    ended = run(tmp_path, "check", DB_TYPE="canary", DB_PORT="canary")

    assert ended.returncode == 1
    assert ended.stderr.startswith("error: DatabaseSettings: db_type: ")
    assert "port: " in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert "canary" not in ended.stderr
    assert list(tmp_path.iterdir()) == []
