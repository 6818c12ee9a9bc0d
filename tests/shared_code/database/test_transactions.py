"""Transactions end the way their blocks end, and one process at a time does a piece of work."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import URL, Engine, create_engine, delete, insert, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from shared_code.database import engines, transactions
from shared_code.database.engines import Database, Role
from shared_code.database.tables import etl_runs, organizations, station_locations, users
from shared_code.errors import SettingsError
from shared_code.identifiers import OrganizationId
from shared_code.settings import DatabaseSettings
from tests.shared_code.database.rows import rows_of

ROOT = Path(__file__).resolve().parents[3]
CANARY = "canary-7f3a"

HOLD_UNTIL_TOLD = """
import sys
from shared_code.database import transactions
from shared_code.database.engines import Database
from shared_code.settings import DatabaseSettings, read
database = Database(read(DatabaseSettings))
with transactions.only_job(database, sys.argv[1]) as taken:
    print(taken, flush=True)
    sys.stdin.read()
"""


def name_of(database: Database, organization_id: OrganizationId) -> str | None:
    with transactions.read(database, organization_id) as connection:
        return connection.scalar(select(organizations.c.name))


def test_what_is_written_stays_when_the_block_ends_well(database: Database, ours: OrganizationId) -> None:
    with transactions.write(database, ours) as connection:
        connection.execute(update(organizations).values(name="Renamed"))

    assert name_of(database, ours) == "Renamed"


@pytest.mark.parametrize("ending", [ValueError, KeyboardInterrupt])
def test_what_is_written_is_undone_when_the_block_fails(
    database: Database, ours: OrganizationId, ending: type[BaseException]
) -> None:
    before = name_of(database, ours)

    def fail() -> None:
        with transactions.write(database, ours) as connection:
            connection.execute(update(organizations).values(name="Undone"))
            raise ending

    with pytest.raises(ending):
        fail()

    assert name_of(database, ours) == before


def test_what_is_written_is_undone_when_a_later_statement_fails(database: Database, ours: OrganizationId) -> None:
    before = name_of(database, ours)

    def fail() -> None:
        with transactions.write(database, ours) as connection:
            connection.execute(update(organizations).values(name="Undone"))
            connection.execute(update(organizations).values(subscription_tier="no such tier"))

    with pytest.raises(IntegrityError, match="ck_organizations_subscription_tier"):
        fail()

    assert name_of(database, ours) == before


def test_a_row_cannot_belong_to_a_station_of_nobody(database: Database, ours: OrganizationId) -> None:
    with (
        pytest.raises(IntegrityError, match="violates foreign key constraint"),
        transactions.write(database, ours) as connection,
    ):
        connection.execute(
            text(
                "INSERT INTO compressor_metadata (organization_id, compressor_id, model, horsepower, station_id) "
                "VALUES (:organization_id, 'COMP-999', 'Ajax DPC-360', 1340, 'NOWHERE')"
            ),
            {"organization_id": ours},
        )


@pytest.mark.parametrize(
    "wrong",
    [
        {"slug": "demo", "name": CANARY},  # taken
        {"subscription_tier": CANARY[:20]},  # not one of them
        {"name": CANARY, "created_at": None},  # missing
        {"name": CANARY * 100},  # too long
    ],
    ids=["taken", "not one of them", "missing", "too long"],
)
def test_an_error_in_sql_does_not_show_whose_data_it_was_about(
    database: Database, ours: OrganizationId, wrong: dict[str, object]
) -> None:
    with pytest.raises(DBAPIError) as refused, transactions.write(database, ours) as connection:
        connection.execute(update(organizations).values(wrong))

    assert "UPDATE organizations" in str(refused.value)
    assert CANARY not in str(refused.value)
    assert str(ours) not in str(refused.value)


def test_an_error_about_many_rows_shows_none_of_them(database: Database, theirs: OrganizationId) -> None:
    row = rows_of(theirs)[station_locations] | {"station_name": CANARY}

    with pytest.raises(IntegrityError) as refused, transactions.job(database) as connection:
        connection.execute(insert(station_locations), [row, row])

    assert CANARY not in str(refused.value)
    assert str(theirs) not in str(refused.value)


def test_an_identity_may_belong_to_two_organizations_and_to_each_once(
    database: Database, ours: OrganizationId, theirs: OrganizationId
) -> None:
    row = rows_of(ours)[users] | {"identity_object": theirs.hex}

    def join() -> None:
        with transactions.write(database, ours) as connection:
            connection.execute(insert(users).values(row | {"id": uuid4()}))

    join()
    with pytest.raises(IntegrityError, match="uq_users_identity") as refused:
        join()
    with transactions.write(database, ours) as connection:
        connection.execute(delete(users).where(users.c.identity_object == theirs.hex))

    assert theirs.hex not in str(refused.value)
    assert str(ours) not in str(refused.value)


def test_an_identity_founds_one_organization(database: Database, ours: OrganizationId, theirs: OrganizationId) -> None:
    founder = rows_of(ours)[users] | {"identity_object": uuid4().hex, "founder": True}
    with transactions.write(database, ours) as connection:
        connection.execute(insert(users).values(founder))

    with (
        pytest.raises(IntegrityError, match="uq_users_founder"),
        transactions.write(database, theirs) as connection,
    ):
        connection.execute(insert(users).values(founder | {"organization_id": theirs}))
    with transactions.write(database, ours) as connection:
        connection.execute(delete(users).where(users.c.id == founder["id"]))


def test_the_job_records_its_runs_and_the_api_only_reads_them(database: Database, ours: OrganizationId) -> None:
    with transactions.job(database) as connection:
        connection.execute(select(etl_runs.c.batch_id))
    with (
        pytest.raises(DBAPIError, match="permission denied"),
        transactions.write(database, ours) as writing,
    ):
        writing.execute(update(etl_runs).values(batch_id="mine"))


def test_times_are_utc(database: Database, ours: OrganizationId) -> None:
    with transactions.read(database, ours) as connection:
        assert connection.scalar(text("SHOW timezone")) == "UTC"


def test_one_at_a_time_does_a_piece_of_work(database: Database) -> None:
    with (
        transactions.only_job(database, "a lake") as first,
        transactions.only_job(database, "a lake") as second,
        transactions.only_job(database, "another lake") as elsewhere,
    ):
        taken = (first, second, elsewhere)
    with transactions.only_job(database, "a lake") as following:
        pass

    assert taken == (True, False, True)
    assert following


def test_who_did_not_get_the_right_does_not_free_it(database: Database) -> None:
    with transactions.only_job(database, "a lake") as first:
        with transactions.only_job(database, "a lake") as second:
            pass
        with transactions.only_job(database, "a lake") as third:
            pass

    assert (first, second, third) == (True, False, False)


def test_the_right_is_free_after_work_that_failed(database: Database) -> None:
    def fail() -> None:
        with transactions.only_job(database, "a lake"):
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - the block's own
        fail()

    with transactions.only_job(database, "a lake") as following:
        assert following


def test_the_right_is_free_after_its_holder_was_killed(database: Database) -> None:
    with subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-c", HOLD_UNTIL_TOLD, "a lake"],
        cwd=ROOT,
        env={**os.environ, "ALTAVIZ_DATABASE_DIR": str(database.settings.data_dir)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        held = holder.stdout.readline()
        with transactions.only_job(database, "a lake") as meanwhile:
            pass
        holder.kill()
        holder.wait()

    deadline = time.monotonic() + 10
    freed = False
    while not freed and time.monotonic() < deadline:
        with transactions.only_job(database, "a lake") as freed:
            pass

    assert (held, meanwhile, freed) == ("True\n", False, True)


def test_threads_that_ask_first_get_the_same_engine(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Engine] = []

    def make_slowly(url: URL, **options: Any) -> Engine:  # noqa: ANN401 - whatever it takes
        time.sleep(0.05)
        made.append(create_engine(url, **options))
        return made[-1]

    monkeypatch.setattr(engines, "create_engine", make_slowly)
    fresh = Database(database.settings)
    asked_together = Barrier(4)

    def ask(_: int) -> Engine:
        asked_together.wait()
        return fresh.engine(Role.APP)

    with ThreadPoolExecutor(4) as threads:
        got = list(threads.map(ask, range(4)))
    fresh.dispose()

    assert len(made) == 1
    assert got == made * 4


def test_a_database_of_another_make_is_refused() -> None:
    with pytest.raises(SettingsError, match="DB_TYPE=azure_sql is not available"):
        Database(DatabaseSettings(db_type="azure_sql"))
