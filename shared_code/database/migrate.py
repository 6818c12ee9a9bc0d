"""Schema migrations: Alembic, run on a given connection."""

from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from shared_code.database.tables import metadata

HEAD = "head"
BASE = "base"


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    # Alembic reads % in this option as interpolation; a folder's name may hold one.
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def head() -> str | None:
    """Return the newest revision there is."""
    return ScriptDirectory.from_config(_config()).get_current_head()


def current(connection: Connection) -> str | None:
    """Return the revision that the database is at; None when it is empty."""
    return MigrationContext.configure(connection).get_current_revision()


def upgrade(connection: Connection, revision: str = HEAD) -> None:
    """Bring the schema up to a revision."""
    command.upgrade(_config(connection), revision)


def downgrade(connection: Connection, revision: str = BASE) -> None:
    """Take the schema back to a revision."""
    command.downgrade(_config(connection), revision)


def differences(connection: Connection) -> list[str]:
    """Return, in words, where the database differs from the tables this program knows; empty when it does not."""
    found = [] if current(connection) == head() else [f"revision {current(connection)}, expected {head()}"]
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return found + [str(difference) for difference in compare_metadata(context, metadata)]
