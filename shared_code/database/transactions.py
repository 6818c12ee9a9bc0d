"""The only place that opens and commits transactions.

A connection's type says what it may do and for whom: `Read` and `Write` belong to one organization, which row-level
security enforces from the first statement on; `JobWrite` belongs to the Spark job and `Everywhere` to the workflows,
which serve all of them.

A transaction that may have written lets the version of each organization that it entered grow before it commits.
"""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Final, NewType

from sqlalchemy import Connection, Uuid, literal, select, text
from sqlalchemy.exc import OperationalError, TimeoutError  # noqa: A004 - SQLAlchemy's: the pool is empty for too long

from shared_code.database import versions
from shared_code.database.engines import Database, Role
from shared_code.errors import UnavailableError
from shared_code.identifiers import OrganizationId

Read = NewType("Read", Connection)
"""A read-only transaction of one organization."""
Write = NewType("Write", Connection)
"""A transaction of one organization that may write; whoever may write may read."""
SignIn = NewType("SignIn", Connection)
"""A transaction that sees the users of one proven identity, and no organization yet."""
Attempt = NewType("Attempt", Connection)
"""A transaction that sees the one sign-in whose state the browser brings, and no person yet."""
KeyHolder = NewType("KeyHolder", Connection)
"""A transaction that sees the one API key that its holder has sent, and no organization yet."""
Counting = NewType("Counting", Connection)
"""A connection that counts requests, whoever sent them; each statement stands alone."""
JobWrite = NewType("JobWrite", Connection)
"""A transaction of the Spark job, over all organizations."""

Everywhere = NewType("Everywhere", Connection)
"""A transaction of the workflows, over all organizations; it says itself whose versions grow."""

# Each setting ends with the transaction, so a pooled connection carries nothing to its next user.
_SET = text("SELECT set_config(:name, :value, true)")
_ENTERED: Final = "altaviz_entered"
_READ_ONLY_AS = text(  # one round trip for both
    "SELECT set_config('transaction_read_only', 'on', true), set_config('app.organization_id', :organization_id, true)"
)


@contextmanager
def read(database: Database, organization_id: OrganizationId) -> Generator[Read]:
    """Open a read-only transaction of one organization."""
    with _begun(database) as connection:
        connection.execute(_READ_ONLY_AS, {"organization_id": str(organization_id)})
        yield Read(connection)


@contextmanager
def write(database: Database, organization_id: OrganizationId) -> Generator[Write]:
    """Open a transaction of one organization; it commits when the block ends well, and is undone otherwise."""
    with _begun(database) as connection:
        _become(connection, organization_id)
        yield Write(connection)
        _let_versions_grow(connection)


@contextmanager
def sign_in(database: Database, *, issuer: str, tenant: str, object_id: str) -> Generator[SignIn]:
    """Open a transaction for an identity that has just been proven."""
    with _begun(database) as connection:
        _prove(connection, issuer, tenant, object_id)
        yield SignIn(connection)
        _let_versions_grow(connection)


@contextmanager
def sign_in_attempt(database: Database, state_hash: str) -> Generator[Attempt]:
    """Open a transaction for whoever brings the state of this hash."""
    with _begun(database) as connection:
        connection.execute(_SET, {"name": "app.sign_in_state_hash", "value": state_hash})
        yield Attempt(connection)


@contextmanager
def key_holder(database: Database, digest: str) -> Generator[KeyHolder]:
    """Open a transaction for whoever has sent the API key of this digest."""
    with _begun(database) as connection:
        connection.execute(_SET, {"name": "app.api_key_hash", "value": digest})
        yield KeyHolder(connection)
        _let_versions_grow(connection)


def identify(connection: Read | Write, *, issuer: str, tenant: str, object_id: str) -> SignIn:
    """Let a transaction also see the users of an identity, in whichever organizations they are."""
    _prove(connection, issuer, tenant, object_id)
    return SignIn(connection)


def enter(connection: SignIn | KeyHolder, organization_id: OrganizationId) -> Write:
    """Go on, in the same transaction, as the organization that the identity or the key turned out to belong to."""
    _become(connection, organization_id)
    return Write(connection)


def only_read(connection: Write) -> Read:
    """Let a transaction write no more; what it has written so far is nothing that an organization's version tells."""
    connection.execute(_SET, {"name": "transaction_read_only", "value": "on"})
    connection.execution_options(**{_ENTERED: frozenset[OrganizationId]()})
    return Read(connection)


@contextmanager
def counting(database: Database) -> Generator[Counting]:
    """Take a connection that only counts requests: each statement is kept at once, and nothing else waits for it."""
    with database.counting_engine().connect() as connection:
        yield Counting(connection)


@contextmanager
def job(database: Database) -> Generator[JobWrite]:
    """Open a transaction of the Spark job."""
    with database.engine(Role.ETL).begin() as connection:
        yield JobWrite(connection)


@contextmanager
def everywhere(database: Database) -> Generator[Everywhere]:
    """Open a transaction of the workflows; it commits when the block ends well, and is undone otherwise.

    Raises:
        UnavailableError: no connection is to be had; nothing was done, and the same may be tried again.
    """
    with _begun(database, Role.WORKFLOWS) as connection:
        yield Everywhere(connection)


@contextmanager
def only_job(database: Database, work: str) -> Generator[bool]:
    """Hold the right to do a piece of work for as long as the block lasts; false where another process has it.

    The server frees it when the connection ends, however the process died.
    """
    engine = database.engine(Role.ETL).execution_options(isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        lock = {"work": work}
        taken = connection.scalar(text("SELECT pg_try_advisory_lock(hashtextextended(:work, 0))"), lock)
        try:
            yield bool(taken)
        finally:
            if taken:
                connection.execute(text("SELECT pg_advisory_unlock(hashtextextended(:work, 0))"), lock)


@contextmanager
def owner(database: Database) -> Generator[Connection]:
    """Open a transaction of the owner of the tables, for migrations."""
    with database.engine(Role.OWNER).begin() as connection:
        yield connection


def ping(database: Database) -> None:
    """Ask the server for an answer.

    Raises:
        sqlalchemy.exc.OperationalError: it gives none.
    """
    with database.engine(Role.APP).connect() as connection:
        connection.execute(text("SELECT 1"))


@contextmanager
def _begun(database: Database, role: Role = Role.APP) -> Generator[Connection]:
    """Open a transaction of the API's, or of another role that works where the API does.

    Raises:
        UnavailableError: no connection is to be had; nothing was done, and the same may be tried again.
    """
    try:
        connection = database.engine(role).connect()
    except (OperationalError, TimeoutError) as failure:
        raise UnavailableError("the database does not answer; try again later") from failure
    with connection, connection.begin():
        yield connection


def _prove(connection: Connection, issuer: str, tenant: str, object_id: str) -> None:
    for name, value in (("issuer", issuer), ("tenant", tenant), ("object", object_id)):
        connection.execute(_SET, {"name": f"app.identity_{name}", "value": value})


def _become(connection: Connection, organization_id: OrganizationId) -> None:
    connection.execute(_SET, {"name": "app.organization_id", "value": str(organization_id)})
    connection.execution_options(**{_ENTERED: _entered(connection) | {organization_id}})


def _entered(connection: Connection) -> frozenset[OrganizationId]:
    return connection.get_execution_options().get(_ENTERED, frozenset())


def _let_versions_grow(connection: Connection) -> None:
    if not connection.in_transaction():  # it was undone
        return
    for organization_id in sorted(_entered(connection)):
        _become(connection, organization_id)
        whose = select(literal(organization_id, Uuid()).label("organization_id"))
        for statement in versions.grow(whose, connection.dialect.name):
            connection.execute(statement)
