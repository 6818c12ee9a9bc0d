"""A database that is ready to use, on a laptop as in the cloud."""

from datetime import datetime

from sqlalchemy import text

from shared_code.database import demo, transactions
from shared_code.database.engines import Database, Role
from shared_code.settings import DatabaseSettings

_ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtext('altaviz migrations'))")


def open_database(settings: DatabaseSettings, *, now: datetime) -> Database:
    """Return the database that the settings name.

    The embedded one is started, brought up to the newest schema, and given the demo's organizations. A remote one is
    left as it is: migrations there are a deployment's step.
    """
    database = Database(settings)
    database.start_server()
    if settings.embedded:
        from shared_code.database import migrate  # noqa: PLC0415 - Alembic takes 0.4 s that the cloud need not spend

        with transactions.owner(database) as connection:
            connection.execute(_ONE_AT_A_TIME)
            if migrate.current(connection) != migrate.head():
                migrate.upgrade(connection)
            for role in (Role.APP, Role.ETL, Role.WORKFLOWS):
                connection.execute(text(f"ALTER ROLE {role} LOGIN"))
            demo.seed(connection, now=now)
    return database
