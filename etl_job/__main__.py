"""`python -m etl_job --landing DIR --lake DIR [--json] [--task TASK]`: runs once over what is new, or does a task.

Exit codes: 0 done; 2 bad usage or settings; 3 done, with some input put into quarantine; 1 otherwise.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import typer
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from rich.console import Console

from etl_job import effort, housekeeping, java, pipeline, progress, spark_session
from etl_job.batch import Job
from etl_job.summary import Summary
from shared_code.database import transactions
from shared_code.database.demo import DEMO_ORGANIZATION
from shared_code.database.engines import Database
from shared_code.database.home import open_database
from shared_code.errors import AltavizError, SettingsError
from shared_code.settings import DatabaseSettings, JobSettings, read
from shared_code.thresholds import thresholds
from shared_code.version import VERSION

BAD_USAGE = 2
SOMETHING_KEPT_ASIDE = 3
DATABASE, START, STOP = "database", "start of Spark", "end of Spark"


class JobError(AltavizError):
    """Spark could not do its work."""


class Task(StrEnum):
    """What a run can be for."""

    NEW = "new"
    REBUILD = "rebuild"
    REPLAY = "replay"
    HOUSEKEEPING = "housekeeping"


@dataclass(frozen=True, slots=True)
class Work:
    """What does a task, and the stages it usually has."""

    do: Callable[[SparkSession, Job], Summary]
    stages: Sequence[str]


GOLD = ("partials", "windows", "predictions", "alarms", "publish")
WORK: Mapping[Task, Work] = {
    Task.NEW: Work(pipeline.run, ("fleet", "bronze", "silver", *GOLD)),
    Task.REBUILD: Work(pipeline.rebuild, GOLD),
    Task.REPLAY: Work(pipeline.replay, ("fleet", "quarantine", "silver", *GOLD)),
    Task.HOUSEKEEPING: Work(housekeeping.tidy, [layout.folder for layout in housekeeping.TABLES]),
}

console = Console(stderr=True)
# No decorated tracebacks: they print local variables, and a connection string may be one.
program = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@program.command()
def main(
    landing: Annotated[str, typer.Option(help="Folder or URL that gateways deliver to.")],
    lake: Annotated[str, typer.Option(help="Folder or URL of the Delta tables; made on first use.")],
    task: Annotated[Task, typer.Option(help="What to do.")] = Task.NEW,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False,  # noqa: FBT002 - a flag
) -> None:
    """Take what is new in the landing folder through Bronze, Silver and Gold into SQL, or do another task.

    rebuild: compute Gold again from Silver. replay: try again what is in quarantine, after a mend. housekeeping: let
    old readings leave Silver, put small files together, remove those no longer needed.
    """
    try:
        java.check()
        settings = read(JobSettings)
        limits = thresholds()
        database_settings = read(DatabaseSettings)
        landing, lake = _location(landing, must_exist=True), _location(lake, must_exist=False)
    except SettingsError as problem:
        console.print(f"error: {problem}", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(BAD_USAGE) from None
    now, run_id, work = datetime.now(UTC), uuid4(), WORK[task]
    with progress.shown(console, run_id, [DATABASE, START, *work.stages, STOP]) as shown:
        with shown.stage(DATABASE):
            database = open_database(database_settings, now=now)
        job = Job(
            landing=landing,
            lake=lake,
            database=database,
            settings=settings,
            limits=limits,
            default_organization=settings.default_organization or _home_organization(database_settings),
            run_id=run_id,
            now=now,
            version=VERSION,
            progress=shown,
        )
        summary = _run_alone(database, job, work.do, small=_is_small(task, landing, lake))
    if summary is None:
        console.print("another run is at work on this lake; nothing to do here")
        raise typer.Exit
    print_summary(summary, as_json=as_json)
    raise typer.Exit(SOMETHING_KEPT_ASIDE if summary.something_was_kept_aside else 0)


def _location(given: str, *, must_exist: bool) -> str:
    """Return a URL: of a folder of this machine too, as on a cluster Spark may take a bare path for one elsewhere.

    Raises:
        SettingsError: it is a folder of this machine and not there.
    """
    folder = _local(given)
    if folder is None:
        return given
    if must_exist and not folder.is_dir():
        raise SettingsError(f"--landing {given}: no such folder")
    return f"file://{folder.resolve()}"


def _local(location: str) -> Path | None:
    """Return the folder of this machine that a path or a URL names; None where it names one elsewhere."""
    url = urlsplit(location)
    if url.scheme == "file" and not url.netloc:
        return Path(location.partition(":")[2])
    return None if url.scheme else Path(location)


def _home_organization(settings: DatabaseSettings) -> UUID | None:
    """Return who owns files without an organization when nothing is set: at home the demo, elsewhere nobody."""
    return DEMO_ORGANIZATION if settings.embedded else None


def _run_alone(
    database: Database, job: Job, work: Callable[[SparkSession, Job], Summary], *, small: bool
) -> Summary | None:
    """Run unless another process works on the same lake; then return None."""
    try:
        with transactions.only_job(database, job.lake) as alone:
            if not alone:
                return None
            with job.progress.stage(START):
                spark = spark_session.start(job.settings, small=small)
            try:
                with job.progress.tasks(spark):
                    return work(spark, job)
            except (PySparkException, Py4JJavaError) as failure:
                # Java has the words, and is gone when Python prints them.
                raise JobError(str(failure)).with_traceback(failure.__traceback__) from None
            finally:
                with job.progress.stage(STOP):
                    spark_session.stop(spark)
    finally:
        database.dispose()


def _is_small(task: Task, landing: str, lake: str) -> bool:
    """Whether there is little to do; what lies elsewhere than on this machine may be much."""
    arrivals, tables = _local(landing), _local(lake)
    if arrivals is None or tables is None:
        return False
    if task is Task.NEW:
        return effort.little_has_arrived(arrivals, tables / pipeline.LANDING_CHECKPOINT)
    return effort.is_little(tables)


def print_summary(summary: Summary, *, as_json: bool) -> None:
    """Print what was done, for a program or for a person."""
    facts = summary.as_json()
    if as_json:
        typer.echo(json.dumps(facts))
        return
    typer.echo(
        f"{summary.rows_read} rows read from {summary.files_read} files: {summary.rows_written} written, "
        f"{summary.rows_repeated} repeated, {summary.rows_quarantined} quarantined; "
        f"{summary.rows_flagged} readings flagged; {summary.windows_published} windows published"
    )
    for title in ("quarantined", "flagged", "notes"):
        for name, count in facts[title].items():
            typer.echo(f"  {title}: {name} {count}")
    if summary.fleet_overruled:
        typer.echo(f"  kept as people edited them, though files say otherwise: {summary.fleet_overruled}")
    for refused in summary.fleet_refused:
        typer.echo(f"  not understood: {refused.source_file} row {refused.row_number}: {refused.reason}")


if __name__ == "__main__":
    program()
