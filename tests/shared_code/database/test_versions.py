"""An organization's version tells of every transaction that may have changed what it is shown, and of no other."""

from threading import Thread
from uuid import uuid4

import pytest
from sqlalchemy import select, update

from shared_code.database import transactions
from shared_code.database.engines import Database
from shared_code.database.tables import organization_versions, organizations
from shared_code.identifiers import OrganizationId


def version(database: Database, organization_id: OrganizationId) -> int:
    with transactions.read(database, organization_id) as connection:
        return connection.scalar(select(organization_versions.c.version)) or 0


def test_a_transaction_that_may_write_lets_it_grow_by_one(database: Database) -> None:
    ours = OrganizationId(uuid4())
    for expected in (1, 2, 3):
        with transactions.write(database, ours):
            pass
        assert version(database, ours) == expected


def test_what_is_undone_or_only_read_does_not(database: Database, ours: OrganizationId) -> None:
    def fail() -> None:
        with transactions.write(database, ours):
            raise ValueError("undone")

    before = version(database, ours)
    with pytest.raises(ValueError, match="undone"):
        fail()
    with transactions.read(database, ours):
        pass
    with transactions.write(database, ours) as connection:
        transactions.only_read(connection)
    with transactions.write(database, ours) as connection:
        connection.rollback()

    assert version(database, ours) == before


def test_all_organizations_that_were_entered_are_told(
    database: Database, ours: OrganizationId, theirs: OrganizationId
) -> None:
    before = version(database, ours), version(database, theirs)
    with transactions.sign_in(database, issuer="urn:test", tenant="test", object_id=ours.hex) as connection:
        transactions.enter(connection, theirs)
        transactions.enter(connection, ours)

    assert (version(database, ours), version(database, theirs)) == (before[0] + 1, before[1] + 1)


def test_changes_at_once_are_counted_one_by_one(database: Database) -> None:
    ours = OrganizationId(uuid4())

    def change() -> None:
        for _ in range(5):
            with transactions.write(database, ours) as connection:
                connection.execute(update(organizations).values(name="Renamed"))

    threads = [Thread(target=change) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert version(database, ours) == 20
