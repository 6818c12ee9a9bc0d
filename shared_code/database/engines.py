"""Database engines: one for each role a program may take."""

from enum import StrEnum
from threading import Lock
from typing import Any, Final

import psycopg
from psycopg import pq
from sqlalchemy import URL, Engine, create_engine

from shared_code.database.embedded import PORT, SUPERUSER, EmbeddedServer
from shared_code.errors import SettingsError
from shared_code.settings import DatabaseSettings

COUNTING_CONNECTIONS: Final = 4
CONNECT_TIMEOUT: Final = 10
"""Seconds that a server may take to answer a new connection."""


class Role(StrEnum):
    """A database role; its value is its name on the server."""

    OWNER = SUPERUSER
    """Owns the tables and migrates them; bypasses row-level security on the embedded server."""
    APP = "altaviz_app"
    """The API: one organization at a time."""
    ETL = "altaviz_etl"
    """The Spark job: writes what it derives, for every organization, and reads nothing else."""
    WORKFLOWS = "altaviz_workflows"
    """What runs by itself: judges alerts and deletes what is old, for every organization."""


class BinaryCursor(psycopg.Cursor[Any]):
    """Takes results in PostgreSQL's binary format, in which numbers need not be written as text and read again."""

    def __init__(self, connection: psycopg.Connection[Any], **options: Any) -> None:  # noqa: ANN401 - psycopg's
        super().__init__(connection, **options)
        self.format = pq.Format.BINARY


class Database:
    """One SQL database and the engines to it, made when first asked for."""

    def __init__(self, settings: DatabaseSettings) -> None:
        if settings.db_type != "postgresql":
            raise SettingsError(f"DB_TYPE={settings.db_type} is not available in this build; use postgresql")
        self.settings = settings
        self._engines: dict[Role, Engine] = {}
        self._counting: Engine | None = None
        self._making = Lock()
        self._server = EmbeddedServer(settings.data_dir) if settings.embedded else None

    def start_server(self) -> None:
        """Start the embedded server if this database is one; a remote one runs already."""
        if self._server is not None:
            self._server.start()

    def engine(self, role: Role) -> Engine:
        """Return the engine that works as this role."""
        with self._making:  # two threads that ask first would each make a pool, and one would never be closed
            if role not in self._engines:
                self._engines[role] = self._make(role, pool_size=self.settings.pool_size)
            return self._engines[role]

    def counting_engine(self) -> Engine:
        """Return the engine that counts requests, which must never wait behind the work of those it counts."""
        with self._making:
            if self._counting is None:
                self._counting = self._make(
                    Role.APP,
                    options="-c statement_timeout=500",
                    pool_size=COUNTING_CONNECTIONS,
                    max_overflow=0,
                    pool_timeout=1,
                    isolation_level="AUTOCOMMIT",
                )
            return self._counting

    def dispose(self) -> None:
        """Close every connection, and stop the embedded server if nobody else uses it."""
        with self._making:
            for engine in self._engines.values():
                engine.dispose()
            self._engines.clear()
            if self._counting is not None:
                self._counting.dispose()
                self._counting = None
        if self._server is not None:
            self._server.stop()

    def _make(self, role: Role, *, options: str = "", **pool: Any) -> Engine:  # noqa: ANN401 - SQLAlchemy's
        if self.settings.user is not None and role in {Role.APP, Role.WORKFLOWS}:
            # One login may be a member of both, and what one of them may see, the other must not.
            options = f"-c role={role} {options}"
        return create_engine(
            self._url(role),
            pool_pre_ping=not self.settings.embedded,
            connect_args={
                "options": f"-c timezone=UTC {options}",
                "connect_timeout": CONNECT_TIMEOUT,
                # Of the catalogue, which migrations look at, SQLAlchemy reads some columns as text alone.
                "cursor_factory": psycopg.Cursor if role is Role.OWNER else BinaryCursor,
            },
            hide_parameters=True,  # an error must not show whose data it was about
            **pool,
        )

    def _url(self, role: Role) -> URL:
        settings = self.settings
        if self._server is not None:
            socket = {"host": str(self._server.socket_dir), "port": str(PORT)}
            return URL.create("postgresql+psycopg", username=role, database="postgres", query=socket)
        return URL.create(
            "postgresql+psycopg",
            username=settings.user or role,
            password=settings.password.get_secret_value() if settings.password else None,
            host=settings.host,
            port=settings.port,
            database=settings.name,
            query={"sslmode": settings.sslmode},
        )
