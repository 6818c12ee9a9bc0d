"""The test that looks for leaks can fail: it does as soon as any one table's policy is gone."""

import pytest
from sqlalchemy import Connection, Table, select, text

from shared_code.database.engines import Database, Role
from shared_code.identifiers import OrganizationId
from tests.shared_code.database.rows import TENANT_TABLES, organization_column

HARMS = {
    "dropped": "DROP POLICY organization ON {}",
    "wide open": "ALTER POLICY organization ON {} USING (true)",
    "switched off": "ALTER TABLE {} DISABLE ROW LEVEL SECURITY",
}


def leaks(connection: Connection, ours: OrganizationId) -> list[str]:
    """Return the tables that do not show an organization its own rows and no other's; looks as the API would."""
    connection.execute(text(f"SET LOCAL ROLE {Role.APP}"))
    connection.execute(text("SELECT set_config('app.organization_id', :ours, true)"), {"ours": str(ours)})
    found: list[str] = []
    for table in TENANT_TABLES:
        whose = set(connection.scalars(select(table.c[organization_column(table)])))
        if whose != {ours}:
            found.append(table.name)
    connection.execute(text("RESET ROLE"))
    return found


@pytest.mark.usefixtures("theirs")
def test_as_it_is_nothing_leaks(database: Database, ours: OrganizationId) -> None:
    with database.engine(Role.OWNER).connect() as connection:
        assert leaks(connection, ours) == []


@pytest.mark.usefixtures("theirs")
@pytest.mark.parametrize("harm", HARMS.values(), ids=HARMS.keys())
@pytest.mark.parametrize("table", TENANT_TABLES, ids=str)
def test_without_any_one_policy_the_leak_test_fails(
    database: Database, ours: OrganizationId, table: Table, harm: str
) -> None:
    with database.engine(Role.OWNER).connect() as never_committed:
        never_committed.execute(text(harm.format(table.name)))

        assert leaks(never_committed, ours) == [table.name]
