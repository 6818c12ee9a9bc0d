"""A database that is ready to use."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import delete, func, select, update

from shared_code.database import migrate, transactions
from shared_code.database.demo import DEMO_ORGANIZATION, RIVAL_ORGANIZATION
from shared_code.database.engines import Database
from shared_code.database.home import open_database
from shared_code.database.tables import organizations, users
from shared_code.settings import DatabaseSettings, read

ROOT = Path(__file__).resolve().parents[3]
NOW = datetime(2026, 1, 12, tzinfo=UTC)
LATER = datetime(2026, 2, 1, tzinfo=UTC)


def test_programs_that_open_a_new_database_together_both_find_it_ready(tmp_path: Path) -> None:
    settings = read(DatabaseSettings, data_dir=tmp_path / "new" / "data")

    def find(_: int) -> tuple[Database, int | None]:
        database = open_database(settings, now=NOW)
        with transactions.read(database, DEMO_ORGANIZATION) as connection:
            return database, connection.scalar(select(func.count()).select_from(users))

    with ThreadPoolExecutor(2) as programs:
        found = list(programs.map(find, range(2)))
    with transactions.owner(found[0][0]) as connection:
        differences = migrate.differences(connection)
    for database, _ in found:
        database.dispose()

    assert [users_seen for _, users_seen in found] == [1, 1]
    assert differences == []


def test_opening_again_adds_what_is_missing_and_changes_nothing_that_is_there(database: Database) -> None:
    with transactions.owner(database) as connection:
        connection.execute(update(organizations).where(organizations.c.id == DEMO_ORGANIZATION).values(name="Renamed"))
        connection.execute(delete(users).where(users.c.organization_id == RIVAL_ORGANIZATION))

    again = open_database(database.settings, now=LATER)
    with transactions.owner(again) as connection:
        demo = connection.execute(
            select(organizations.c.name, organizations.c.created_at).where(organizations.c.id == DEMO_ORGANIZATION)
        ).one()
        rival = connection.scalar(select(users.c.email).where(users.c.organization_id == RIVAL_ORGANIZATION))
        connection.execute(
            update(organizations).where(organizations.c.id == DEMO_ORGANIZATION).values(name="Demo Gas Gathering")
        )
    again.dispose()

    assert tuple(demo) == ("Renamed", NOW)
    assert rival == "rival@altaviz.dev"


def test_a_remote_database_is_left_as_it_is() -> None:
    database = open_database(DatabaseSettings(host="database.invalid"), now=NOW)

    database.dispose()


def test_where_no_migration_runs_alembic_is_not_loaded() -> None:
    asked = "import sys, shared_code.database.home; print('sqlalchemy' in sys.modules, 'alembic' in sys.modules)"

    loaded = subprocess.run([sys.executable, "-c", asked], cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603

    assert loaded.stdout == "True False\n"
