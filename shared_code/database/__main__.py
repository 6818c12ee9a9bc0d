"""`python -m shared_code.database upgrade|downgrade|check`: schema migrations from the command line."""

import sys
from typing import Annotated

import typer
from sqlalchemy.exc import SQLAlchemyError

from shared_code.database import migrate, transactions
from shared_code.database.engines import Database
from shared_code.errors import AltavizError
from shared_code.settings import DatabaseSettings, read

program = typer.Typer(no_args_is_help=True, add_completion=False, help="Migrations of the SQL database.")


@program.command()
def upgrade(revision: Annotated[str, typer.Argument(help="Where to.")] = migrate.HEAD) -> None:
    """Bring the schema up to a revision, the newest unless one is given."""
    with transactions.owner(_database()) as connection:
        migrate.upgrade(connection, revision)
        typer.echo(f"database at revision {migrate.current(connection)}")


@program.command()
def downgrade(revision: Annotated[str, typer.Argument(help="Where to.")] = migrate.BASE) -> None:
    """Take the schema back to a revision, to nothing unless one is given. Data in dropped tables is lost."""
    with transactions.owner(_database()) as connection:
        migrate.downgrade(connection, revision)
        typer.echo(f"database at revision {migrate.current(connection)}")


@program.command()
def check() -> None:
    """Exit 1 and say why when the schema is not the one this program knows."""
    with transactions.owner(_database()) as connection:
        differences = migrate.differences(connection)
    for difference in differences:
        typer.echo(difference, err=True)
    if differences:
        raise typer.Exit(1)
    typer.echo(f"database at revision {migrate.head()}, as expected")


def _database() -> Database:
    database = Database(read(DatabaseSettings))
    database.start_server()
    return database


if __name__ == "__main__":
    try:
        program()
    except (AltavizError, SQLAlchemyError) as problem:
        sys.exit(f"error: {problem}")
