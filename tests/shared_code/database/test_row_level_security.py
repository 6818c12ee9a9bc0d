"""No organization sees or writes another's rows, and a protection that is taken away does not go unnoticed."""

import asyncio
import gc
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from threading import Timer

import psycopg
import pytest
from sqlalchemy import Connection, Table, and_, delete, func, insert, select, text, update
from sqlalchemy.exc import DBAPIError, InternalError, OperationalError, ProgrammingError

from shared_code.database import transactions
from shared_code.database.engines import Database, Role
from shared_code.database.tables import alert_history, api_keys, organizations, users
from shared_code.identifiers import OrganizationId
from tests.shared_code.database.rows import (
    APPEND_ONLY,
    NEVER_CHANGED,
    STAGING,
    TENANT_TABLES,
    VIEWS,
    organization_column,
    rows_of,
)

ROLES = (Role.APP, Role.ETL, Role.WORKFLOWS)
OVER_ALL_ORGANIZATIONS = {"{altaviz_etl}", "{altaviz_workflows}"}
EVERY_RELATION = (*TENANT_TABLES, *VIEWS)
OF_THE_ORGANIZATION = "({} = (NULLIF(current_setting('app.organization_id'::text, true), ''::text))::uuid)"
OF_THE_IDENTITY = " AND ".join(
    f"((identity_{part})::text = current_setting('app.identity_{part}'::text, true))"
    for part in ("issuer", "tenant", "object")
)
OF_THE_KEY = " OR ".join(
    f"(({column})::text = current_setting('app.api_key_hash'::text, true))"
    for column in ("secret_hash", "previous_secret_hash")
)
BEFORE_THE_ORGANIZATION_IS_KNOWN = {"users": OF_THE_IDENTITY, "api_keys": OF_THE_KEY}

Begin = Callable[[Database, OrganizationId], AbstractContextManager[Connection]]

by_table = pytest.mark.parametrize("table", TENANT_TABLES, ids=str)
by_changeable_table = pytest.mark.parametrize("table", [t for t in TENANT_TABLES if t not in NEVER_CHANGED], ids=str)
by_deletable_table = pytest.mark.parametrize("table", [t for t in TENANT_TABLES if t not in APPEND_ONLY], ids=str)
by_relation = pytest.mark.parametrize("relation", EVERY_RELATION, ids=str)
by_role = pytest.mark.parametrize("role", ROLES)


def weaknesses(connection: Connection) -> list[str]:
    """Return, in words, where the database does not keep organizations apart; empty when it does."""
    found: list[str] = []
    policies: dict[str, set[tuple[object, ...]]] = {}
    for table, *policy in connection.execute(
        text("SELECT tablename, roles::text, permissive, cmd, qual, with_check FROM pg_policies")
    ):
        policies.setdefault(table, set()).add(tuple(policy))
    for table, enabled, forced in connection.execute(
        text(
            """
            SELECT c.relname, c.relrowsecurity, c.relforcerowsecurity FROM pg_class AS c
            WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'f')
              AND c.relname NOT LIKE 'staging\\_%'
              AND (c.relname = 'organizations' OR EXISTS (
                  SELECT FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attname = 'organization_id'))
            """
        )
    ):
        own = OF_THE_ORGANIZATION.format("id" if table == "organizations" else "organization_id")
        needed: set[tuple[object, ...]] = {("{public}", "PERMISSIVE", "ALL", own, own)}
        if table in BEFORE_THE_ORGANIZATION_IS_KNOWN:
            proof = BEFORE_THE_ORGANIZATION_IS_KNOWN[table]
            needed.add(("{altaviz_app}", "PERMISSIVE", "SELECT", f"({proof})", None))
        for_others = {policy for policy in policies.get(table, set()) if policy[0] not in OVER_ALL_ORGANIZATIONS}
        if not enabled:
            found.append(f"{table}: row-level security is off")
        if not forced:
            found.append(f"{table}: its owner escapes row-level security")
        found.extend(f"{table}: lacks {policy}" for policy in needed - for_others)
        found.extend(f"{table}: has {policy}" for policy in for_others - needed)
    found.extend(
        f"{name}: shows what its owner sees"
        for (name,) in connection.execute(
            text(
                """
                SELECT relname FROM pg_class
                WHERE relnamespace = 'public'::regnamespace AND (
                  relkind = 'm' OR relkind = 'v' AND NOT 'security_invoker=true' = ANY (coalesce(reloptions, '{}')))
                """
            )
        )
    )
    found.extend(
        f"{name}: works with its owner's rights"
        for (name,) in connection.execute(
            text("SELECT proname FROM pg_proc WHERE prosecdef AND pronamespace = 'public'::regnamespace")
        )
    )
    found.extend(
        f"{table}: open to {role}"
        for table in STAGING
        for role in (Role.APP, Role.WORKFLOWS)
        if rights(connection, role, table)
    )
    return found


def rights(connection: Connection, role: Role, table: str) -> set[str]:
    """Return what a role may do with a table; a right on a single column counts."""
    asked = {
        right: f"has_any_column_privilege(:role, :table, '{right}')"
        for right in ("SELECT", "INSERT", "UPDATE", "REFERENCES")
    } | {right: f"has_table_privilege(:role, :table, '{right}')" for right in ("DELETE", "TRUNCATE", "TRIGGER")}
    answers = connection.execute(text(f"SELECT {', '.join(asked.values())}"), {"role": role, "table": table}).one()
    return {right for right, held in zip(asked, answers, strict=True) if held}


def count(connection: Connection, relation: Table) -> int:
    return connection.scalar(select(func.count()).select_from(relation)) or 0


def whose(connection: Connection, relation: Table) -> set[object]:
    return set(connection.scalars(select(relation.columns[organization_column(relation)])))


def seen_without_an_organization(connection: Connection) -> dict[str, int]:
    return {relation.name: seen for relation in EVERY_RELATION if (seen := count(connection, relation))}


def carried(connection: Connection) -> dict[str, str]:
    """Return what a connection still holds of the transactions before."""
    settings = (
        "organization_id",
        "identity_issuer",
        "identity_tenant",
        "identity_object",
        "api_key_hash",
        "sign_in_state_hash",
    )
    names = [f"app.{setting}" for setting in settings]
    values = {name: connection.scalar(text("SELECT current_setting(:name, true)"), {"name": name}) for name in names}
    return {name: value for name, value in values.items() if value}


def idle_in_transaction(database: Database) -> int:
    with transactions.owner(database) as connection:
        asked = text(
            "SELECT count(*) FROM pg_stat_activity WHERE usename = :role AND state LIKE 'idle in transaction%'"
        )
        return connection.scalar(asked, {"role": Role.APP}) or 0


def test_every_table_and_view_keeps_organizations_apart(database: Database) -> None:
    with transactions.owner(database) as connection:
        assert weaknesses(connection) == []


@by_table
@pytest.mark.parametrize(
    "harm",
    [
        "DROP POLICY organization ON {}",
        "ALTER POLICY organization ON {} USING (true)",
        "ALTER POLICY organization ON {} WITH CHECK (true)",
        "CREATE POLICY wide ON {} FOR SELECT TO altaviz_app USING (true)",
        "ALTER TABLE {} DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE {} NO FORCE ROW LEVEL SECURITY",
    ],
)
def test_a_protection_taken_from_any_one_table_is_reported(database: Database, table: Table, harm: str) -> None:
    with database.engine(Role.OWNER).connect() as never_committed:
        never_committed.execute(text(harm.format(table.name)))

        reported = weaknesses(never_committed)

    assert reported
    assert all(weakness.startswith(f"{table.name}: ") for weakness in reported)


@pytest.mark.parametrize(
    "harm",
    [
        "CREATE TABLE forgotten (organization_id uuid)",
        "CREATE VIEW forgotten AS SELECT * FROM users",
        "CREATE MATERIALIZED VIEW forgotten AS SELECT * FROM users",
        "CREATE FUNCTION forgotten() RETURNS bigint SECURITY DEFINER RETURN (SELECT count(*) FROM users)",
    ],
)
def test_a_new_thing_without_protection_is_reported(database: Database, harm: str) -> None:
    with database.engine(Role.OWNER).connect() as never_committed:
        never_committed.execute(text(harm))

        reported = weaknesses(never_committed)

    assert {weakness.split(":")[0] for weakness in reported} == {"forgotten"}


@pytest.mark.parametrize("view", VIEWS, ids=str)
def test_a_view_that_takes_its_owners_rights_is_reported(database: Database, view: Table) -> None:
    with database.engine(Role.OWNER).connect() as never_committed:
        never_committed.execute(text(f"ALTER VIEW {view.name} SET (security_invoker = false)"))

        assert weaknesses(never_committed) == [f"{view.name}: shows what its owner sees"]


@pytest.mark.parametrize("table", STAGING)
@pytest.mark.parametrize("right", ["SELECT", "INSERT", "SELECT (organization_id)"])
def test_a_right_of_the_api_on_staging_is_reported(database: Database, table: str, right: str) -> None:
    with database.engine(Role.OWNER).connect() as never_committed:
        never_committed.execute(text(f"GRANT {right} ON {table} TO altaviz_app"))

        assert weaknesses(never_committed) == [f"{table}: open to altaviz_app"]


@by_role
def test_the_programs_roles_cannot_step_around_the_policies(database: Database, role: Role) -> None:
    with transactions.owner(database) as connection:
        powers = connection.execute(
            text("SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname = :role"),
            {"role": role},
        ).one()
        owned = connection.scalar(
            text("SELECT count(*) FROM pg_shdepend WHERE refobjid = CAST(:role AS regrole) AND deptype = 'o'"),
            {"role": role},
        )
        memberships = connection.scalar(
            text("SELECT count(*) FROM pg_auth_members WHERE member = CAST(:role AS regrole)"), {"role": role}
        )

    assert tuple(powers) == (False, False, False, False)
    assert (owned, memberships) == (0, 0)


@by_role
def test_the_programs_roles_make_nothing_that_lasts(database: Database, role: Role) -> None:
    with database.engine(role).connect() as connection, pytest.raises(ProgrammingError, match="permission denied"):
        connection.execute(text("CREATE TABLE mine (n integer)"))


def test_the_job_has_no_right_on_people_and_bills(database: Database) -> None:
    with transactions.owner(database) as connection:
        assert rights(connection, Role.ETL, "users") == set()
        assert rights(connection, Role.ETL, "billing_events") == set()
        assert rights(connection, Role.ETL, "organizations") == {"SELECT"}
        readable = {
            column.name
            for column in organizations.columns
            if connection.scalar(
                text("SELECT has_column_privilege(:role, 'organizations', :column, 'SELECT')"),
                {"role": Role.ETL, "column": column.name},
            )
        }

    assert readable == {"id"}


WORKFLOWS_MAY = {
    "organizations": {"SELECT"},
    "station_locations": {"SELECT"},
    "compressor_metadata": {"SELECT"},
    "machine_contacts": {"SELECT"},
    "latest_readings": {"SELECT"},
    "alert_history": {"SELECT", "INSERT", "UPDATE", "DELETE"},
    "audit_log": {"SELECT", "INSERT"},
    "sensor_readings_agg": {"SELECT", "DELETE"},
    "data_quality_metrics": {"SELECT", "DELETE"},
    "ml_predictions": {"SELECT", "DELETE"},
    "organization_versions": {"SELECT", "INSERT", "UPDATE"},
    "workflow_runs": {"SELECT", "INSERT", "UPDATE", "DELETE"},
    "workflow_settings": {"SELECT"},
    "users": {"SELECT"},
    "notification_channels": {"SELECT", "UPDATE"},
    "notification_deliveries": {"SELECT", "INSERT", "UPDATE", "DELETE"},
    "delivery_attempts": {"SELECT", "INSERT"},
    "notifications": {"SELECT", "INSERT", "UPDATE", "DELETE"},
    "billing_events": {"SELECT", "INSERT"},
    "subscriptions": {"SELECT"},
    "payment_failures": {"SELECT", "UPDATE"},
}


def test_workflows_may_do_what_they_need_and_no_more(database: Database) -> None:
    with transactions.owner(database) as connection:
        may = {table.name: rights(connection, Role.WORKFLOWS, table.name) for table in TENANT_TABLES}

    assert {table: held for table, held in may.items() if held} == WORKFLOWS_MAY


@pytest.mark.usefixtures("ours")
@pytest.mark.parametrize(
    "statement",
    [
        "SELECT slug FROM organizations",
        "UPDATE organizations SET subscription_tier = 'enterprise'",
        "SELECT payload FROM billing_events",
        "UPDATE stripe_events SET payload = '{}'",
        "DELETE FROM stripe_events",
        "SELECT details FROM audit_log",
        "UPDATE audit_log SET action = 'nothing'",
        "UPDATE alert_history SET shelved_until = NULL",
        "UPDATE alert_history SET resolved_by = 'Altaviz'",
        "UPDATE alert_history SET organization_id = organization_id",
        "UPDATE compressor_metadata SET retired_at = now()",
    ],
)
def test_workflows_are_refused_what_people_did(database: Database, statement: str) -> None:
    with pytest.raises(ProgrammingError, match="permission denied"), transactions.everywhere(database) as connection:
        connection.execute(text(statement))


@pytest.mark.parametrize("role", [Role.APP, Role.ETL])
def test_what_stripe_sends_is_for_what_runs_by_itself_alone(database: Database, role: Role) -> None:
    with transactions.owner(database) as connection:
        assert rights(connection, role, "stripe_events") == set()
        assert rights(connection, Role.WORKFLOWS, "stripe_events") == {"SELECT", "INSERT", "UPDATE"}


@pytest.mark.usefixtures("theirs")
def test_workflows_change_no_alert_that_is_resolved_and_delete_none_that_stands(
    database: Database, ours: OrganizationId
) -> None:
    own = and_(alert_history.c.organization_id == ours, alert_history.c.rule == "vibration_high")
    with transactions.everywhere(database) as connection:
        standing = connection.execute(delete(alert_history).where(own)).rowcount
        resolved = connection.execute(update(alert_history).where(own).values(resolved=True)).rowcount
        again = connection.execute(update(alert_history).where(own).values(severity="warning")).rowcount
        deleted = connection.execute(delete(alert_history).where(own)).rowcount
        connection.rollback()

    assert (standing, resolved, again, deleted) == (0, 1, 0, 1)


@pytest.mark.parametrize("inherits", ["FALSE", "TRUE"])
def test_one_login_of_both_roles_sees_all_in_the_workflows_transactions_alone(
    database: Database, ours: OrganizationId, theirs: OrganizationId, inherits: str
) -> None:
    login = f"program_{inherits.lower()}"
    with transactions.owner(database) as connection:
        connection.execute(text(f"CREATE ROLE {login} LOGIN"))
        for role in (Role.APP, Role.WORKFLOWS):
            connection.execute(text(f"GRANT {role} TO {login} WITH INHERIT {inherits}, SET TRUE"))
    socket = database.engine(Role.OWNER).url.query["host"]
    place = {"host": socket, "name": "postgres", "user": login, "sslmode": "disable"}
    remote = Database(database.settings.model_copy(update=place))
    try:
        with transactions.read(remote, ours) as connection:
            assert whose(connection, alert_history) == {ours}
        with transactions.everywhere(remote) as connection:
            assert whose(connection, alert_history) >= {ours, theirs}
        with transactions.key_holder(remote, "no key") as connection:
            assert seen_without_an_organization(connection) == {}
    finally:
        remote.dispose()


def test_the_job_is_refused_people(database: Database) -> None:
    with pytest.raises(ProgrammingError, match="permission denied"), transactions.job(database) as connection:
        count(connection, users)


@pytest.mark.parametrize("table", NEVER_CHANGED, ids=str)
def test_what_is_never_changed_cannot_be(database: Database, table: Table) -> None:
    with transactions.owner(database) as connection:
        assert "UPDATE" not in rights(connection, Role.APP, table.name)


@pytest.mark.parametrize("table", APPEND_ONLY, ids=str)
def test_what_is_append_only_can_be_added_to_and_read(database: Database, table: Table) -> None:
    with transactions.owner(database) as connection:
        assert rights(connection, Role.APP, table.name) == {"SELECT", "INSERT"}
        assert rights(connection, Role.ETL, table.name) == set()


def test_nobody_may_truncate(database: Database) -> None:
    with transactions.owner(database) as connection:
        may = [
            (role, table.name)
            for role in ROLES
            for table in TENANT_TABLES
            if rights(connection, role, table.name) & {"TRUNCATE", "TRIGGER", "REFERENCES"}
        ]

    assert may == []


@pytest.mark.usefixtures("ours", "theirs")
def test_without_an_organization_nothing_is_visible(database: Database, single: Database) -> None:
    with transactions.owner(database) as connection:
        there = {relation.name for relation in EVERY_RELATION if count(connection, relation) > 1}
    with single.engine(Role.APP).connect() as connection:
        seen = seen_without_an_organization(connection)

    assert there == {table.name for table in EVERY_RELATION}
    assert seen == {}


@pytest.mark.usefixtures("theirs")
@by_relation
def test_a_transaction_sees_its_own_organizations_rows_alone(
    database: Database, ours: OrganizationId, relation: Table
) -> None:
    with transactions.read(database, ours) as reading:
        read = whose(reading, relation)
    with transactions.write(database, ours) as writing:
        written = whose(writing, relation)

    assert read == written == {ours}


@by_table
def test_a_row_cannot_be_put_into_another_organization(
    database: Database, ours: OrganizationId, theirs: OrganizationId, table: Table
) -> None:
    with (
        pytest.raises(ProgrammingError, match="new row violates row-level security policy"),
        transactions.write(database, ours) as connection,
    ):
        connection.execute(insert(table).values(rows_of(theirs)[table]))


@by_changeable_table
def test_a_row_cannot_be_moved_into_another_organization(
    database: Database, ours: OrganizationId, theirs: OrganizationId, table: Table
) -> None:
    with (
        pytest.raises(ProgrammingError, match="new row violates row-level security policy"),
        transactions.write(database, ours) as connection,
    ):
        connection.execute(update(table).values({organization_column(table): theirs}))


@by_changeable_table
def test_anothers_rows_cannot_be_changed(
    database: Database, ours: OrganizationId, theirs: OrganizationId, table: Table
) -> None:
    owner = table.columns[organization_column(table)]
    with transactions.write(database, ours) as connection:
        changed = connection.execute(update(table).where(owner == theirs).values({owner.name: ours}))

    assert changed.rowcount == 0
    with transactions.read(database, theirs) as connection:
        assert whose(connection, table) == {theirs}


@by_deletable_table
def test_anothers_rows_cannot_be_deleted(
    database: Database, ours: OrganizationId, theirs: OrganizationId, table: Table
) -> None:
    owner = table.columns[organization_column(table)]
    with transactions.write(database, ours) as connection:
        deleted = connection.execute(delete(table).where(owner == theirs))

    assert deleted.rowcount == 0
    with transactions.read(database, theirs) as connection:
        assert whose(connection, table) == {theirs}


@by_table
def test_a_read_only_transaction_cannot_write(database: Database, ours: OrganizationId, table: Table) -> None:
    with (
        pytest.raises(InternalError, match="read-only transaction"),
        transactions.read(database, ours) as connection,
    ):
        connection.execute(delete(table))


def test_a_read_only_transaction_stays_read_only(database: Database, ours: OrganizationId) -> None:
    with pytest.raises(DBAPIError, match="read-write"), transactions.read(database, ours) as connection:
        connection.execute(text("SET TRANSACTION READ WRITE"))


def backend(connection: Connection) -> int:
    return connection.scalar(text("SELECT pg_backend_pid()")) or 0


@pytest.mark.parametrize("begin", [transactions.read, transactions.write])
@pytest.mark.parametrize(
    "ending", [(), (ValueError,), (asyncio.CancelledError,), (KeyboardInterrupt,), (GeneratorExit,)]
)
def test_the_organization_is_gone_when_the_connection_goes_to_the_next(
    single: Database, ours: OrganizationId, begin: Begin, ending: tuple[type[BaseException], ...]
) -> None:
    used = 0
    with suppress(*ending), begin(single, ours) as connection:
        used = backend(connection)
        assert whose(connection, users) == {ours}
        for end in ending:
            raise end

    assert_nothing_is_left(single, used)


def test_the_organization_is_gone_after_a_cancelled_statement(single: Database, ours: OrganizationId) -> None:
    used: list[int] = []

    def wait_until_cancelled() -> None:
        with transactions.write(single, ours) as connection:
            used.append(backend(connection))
            driver = connection.connection.driver_connection
            assert isinstance(driver, psycopg.Connection)
            Timer(0.2, driver.cancel_safe).start()
            connection.execute(text("SELECT pg_sleep(30)"))

    with pytest.raises(OperationalError, match="canceling statement"):
        wait_until_cancelled()

    assert_nothing_is_left(single, *used)


def test_the_organization_is_gone_after_an_abandoned_transaction(single: Database, ours: OrganizationId) -> None:
    abandoned = transactions.write(single, ours)
    used = backend(abandoned.__enter__())
    del abandoned
    gc.collect()

    assert_nothing_is_left(single, used)


def test_two_organizations_take_turns_on_one_connection(
    single: Database, ours: OrganizationId, theirs: OrganizationId
) -> None:
    seen: list[set[object]] = []
    for organization_id in (ours, theirs, ours):
        with transactions.read(single, organization_id) as connection:
            seen.append(whose(connection, organizations))

    assert seen == [{ours}, {theirs}, {ours}]


def assert_nothing_is_left(database: Database, used: int) -> None:
    """Nothing of what the connection `used` did reaches whoever gets it next."""
    assert idle_in_transaction(database) == 0
    with database.engine(Role.APP).connect() as following:
        assert backend(following) == used
        assert carried(following) == {}
        assert seen_without_an_organization(following) == {}


def signing_in(database: Database, object_id: str) -> AbstractContextManager[transactions.SignIn]:
    return transactions.sign_in(database, issuer="urn:test", tenant="test", object_id=object_id)


@pytest.mark.usefixtures("theirs")
def test_a_proven_identity_sees_its_own_user_and_nothing_else(single: Database, ours: OrganizationId) -> None:
    with signing_in(single, ours.hex) as connection:
        used = backend(connection)
        assert whose(connection, users) == {ours}
        assert seen_without_an_organization(connection) == {"users": 1}

    assert_nothing_is_left(single, used)


@pytest.mark.usefixtures("ours")
@pytest.mark.parametrize(
    ("issuer", "tenant", "object_id"),
    [("urn:other", "test", None), ("urn:test", "other", None), ("urn:test", "test", "other"), ("", "", "")],
)
def test_an_identity_matches_in_all_its_parts_or_not_at_all(
    database: Database, ours: OrganizationId, issuer: str, tenant: str, object_id: str | None
) -> None:
    object_id = ours.hex if object_id is None else object_id
    with transactions.sign_in(database, issuer=issuer, tenant=tenant, object_id=object_id) as connection:
        assert seen_without_an_organization(connection) == {}


def test_a_proven_identity_cannot_change_its_user_before_it_enters(database: Database, ours: OrganizationId) -> None:
    promotion = update(users).values(role="admin")
    with signing_in(database, ours.hex) as connection:
        before = connection.execute(promotion).rowcount
        after = transactions.enter(connection, ours).execute(promotion).rowcount
        connection.rollback()

    assert (before, after) == (0, 1)


@pytest.mark.usefixtures("theirs")
def test_after_sign_in_the_transaction_goes_on_as_the_organization(database: Database, ours: OrganizationId) -> None:
    with signing_in(database, ours.hex) as connection:
        entered = transactions.enter(connection, ours)

        assert [whose(entered, relation) for relation in EVERY_RELATION] == [{ours}] * len(EVERY_RELATION)


@pytest.mark.usefixtures("theirs")
@pytest.mark.parametrize("secret", ["new", "old"])
def test_the_holder_of_a_key_sees_that_key_and_nothing_else(
    single: Database, ours: OrganizationId, secret: str
) -> None:
    with transactions.key_holder(single, f"{ours.hex}-{secret}") as connection:
        used = backend(connection)
        assert whose(connection, api_keys) == {ours}
        assert seen_without_an_organization(connection) == {"api_keys": 1}

    assert_nothing_is_left(single, used)


@pytest.mark.usefixtures("ours")
@pytest.mark.parametrize("digest", ["", "other", "%"])
def test_who_holds_no_key_sees_none(database: Database, digest: str) -> None:
    with transactions.key_holder(database, digest) as connection:
        assert seen_without_an_organization(connection) == {}


def test_the_holder_of_a_key_cannot_change_it_before_it_enters(database: Database, ours: OrganizationId) -> None:
    wider = update(api_keys).values(scopes="ingest read")
    with transactions.key_holder(database, f"{ours.hex}-new") as connection:
        before = connection.execute(wider).rowcount
        after = transactions.enter(connection, ours).execute(wider).rowcount
        connection.rollback()

    assert (before, after) == (0, 1)
