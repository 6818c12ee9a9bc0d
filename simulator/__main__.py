"""The command line: simulate a fleet and deliver its landing files to a folder."""

import sys
from collections.abc import Generator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final, NoReturn
from uuid import UUID

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from simulator.delivery import Told, simulate, usual_processes
from simulator.manifest import ForeignLanding, Totals, inspect
from simulator.simulation import DEFAULT_START, FileFormat, InvalidSimulation, Simulation

FAILED: Final = 1
BAD_USAGE: Final = 2
INTERRUPTED: Final = 130
FORMATS: Final = ("parquet", "csv")
MOST_PROCESSES: Final = 64

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def command(  # noqa: PLR0913, PLR0917  (a command takes its options one by one)
    out: Annotated[Path, typer.Option(help="Landing folder to write to; made if missing.")],
    days: Annotated[int, typer.Option(help="Length of the period, 1 to 3650.")] = 7,
    compressors: Annotated[int, typer.Option(help="Size of the fleet, 1 to 100000.")] = 10,
    interval_minutes: Annotated[int, typer.Option(help="Minutes from reading to reading; divides an hour.")] = 10,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 42,
    file_format: Annotated[str, typer.Option("--format", help="parquet or csv.")] = "parquet",
    organization: Annotated[str | None, typer.Option(help="UUID written into every row; none by default.")] = None,
    start: Annotated[str, typer.Option(help="ISO 8601 date or time, UTC.")] = f"{DEFAULT_START:%Y-%m-%dT%H:%M:%SZ}",
    failures: Annotated[
        int | None,
        typer.Option(help="How many failures, of 3 to 10 days and various strength; by chance if not given."),
    ] = None,
    processes: Annotated[int, typer.Option(help="Processes to use; 0 takes what the size is worth.")] = 0,
) -> None:
    """Simulate a fleet of compressors and deliver its landing files under OUT."""
    try:
        if not 0 <= processes <= MOST_PROCESSES:
            _refuse(f"processes must be 0 to {MOST_PROCESSES}, not {processes}")
        simulation = Simulation(
            days=days,
            compressors=compressors,
            interval_minutes=interval_minutes,
            seed=seed,
            start=_instant(start),
            file_format=_file_format(file_format),
            organization=_organization(organization),
            failures=failures,
        )
        state = inspect(out, simulation)
        if state == "complete":
            typer.echo(f"{out} already holds this simulation, complete; reusing it")
            return
        with _progress() as told:
            totals = simulate(simulation, out, processes or usual_processes(simulation), told)
    except (InvalidSimulation, ForeignLanding) as error:
        _refuse(str(error))
    except OSError as error:
        _refuse(f"cannot write to {out}: {error.strerror or error}", FAILED)
    except BrokenProcessPool:
        _refuse("a process was ended from outside; the same command starts again", FAILED)
    except KeyboardInterrupt:
        typer.echo("interrupted; the files written are whole, and the same command starts again", err=True)
        raise typer.Exit(INTERRUPTED) from None
    typer.echo(_summary(simulation, totals, out))


def main() -> int:
    """Run the command; returns its exit code, and tells every error in one line."""
    try:
        return app(standalone_mode=False) or 0
    except typer.TyperException as error:
        typer.echo(f"error: {error.format_message()}", err=True)
        return BAD_USAGE


def _refuse(message: str, exit_code: int = BAD_USAGE) -> NoReturn:
    typer.echo(f"error: {message}", err=True)
    raise typer.Exit(exit_code)


def _instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidSimulation(f"start must be an ISO 8601 date or time, not {text!r}") from None
    return instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)


def _file_format(text: str) -> FileFormat:
    if text not in FORMATS:
        raise InvalidSimulation(f"format must be {' or '.join(FORMATS)}, not {text!r}")
    return text


def _organization(text: str | None) -> UUID | None:
    try:
        return None if text is None else UUID(text)
    except ValueError:
        raise InvalidSimulation(f"organization must be a UUID, not {text!r}") from None


@contextmanager
def _progress() -> Generator[Told]:
    """A bar on a terminal; elsewhere nothing, so that a log holds the summary alone."""
    columns = (
        TextColumn("delivering"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("batches"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("", total=None)

        def told(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield told


def _summary(simulation: Simulation, totals: Totals, out: Path) -> str:
    return (
        f"{totals.readings} readings of {simulation.compressors} compressors over {simulation.days} days "
        f"in {totals.files} files ({totals.files_late} late, {totals.files_repeated} repeated) under {out}"
    )


if __name__ == "__main__":
    sys.exit(main())
