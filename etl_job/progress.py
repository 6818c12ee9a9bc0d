"""How a run says where it is: a bar of stages on a terminal, otherwise a line of JSON for each stage that ends."""

import sys
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from threading import Event, Thread
from time import monotonic
from typing import Any, Final
from uuid import UUID

import structlog
from pyspark.sql import SparkSession
from rich import progress
from rich.console import Console

POLL_SECONDS: Final = 0.5


class Progress:
    """Where a run says how far it is; this one tells nobody."""

    def stage(self, name: str) -> AbstractContextManager[None]:
        """Say that a stage is at work for as long as the block lasts."""
        del name
        return nullcontext()

    def tasks(self, spark: SparkSession) -> AbstractContextManager[None]:
        """Say, for as long as the block lasts, how far Spark is within a stage."""
        del spark
        return nullcontext()


class Lines(Progress):
    """Lines of JSON on the error stream, for whatever collects logs."""

    def __init__(self, run_id: UUID) -> None:
        stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
        processors = [structlog.processors.add_log_level, stamp, structlog.processors.JSONRenderer()]
        self._log: Any = structlog.wrap_logger(structlog.WriteLogger(sys.stderr), processors, run_id=str(run_id))

    @contextmanager
    def stage(self, name: str) -> Generator[None]:
        """Write one line when the stage ends: its name, the seconds it took, and whether it was done."""
        began = monotonic()
        try:
            yield
        except BaseException:
            self._log.error("stage failed", stage=name, seconds=round(monotonic() - began, 3))
            raise
        self._log.info("stage done", stage=name, seconds=round(monotonic() - began, 3))


class Bar(Progress):
    """A bar of stages, and under it one of the tasks that Spark has cut the stage into."""

    def __init__(self, bars: progress.Progress, expected: Sequence[str]) -> None:
        self._bars = bars
        self._expected = list(expected)
        self._stages = bars.add_task("", total=len(expected))
        self._tasks = bars.add_task("", total=None, visible=False)

    @contextmanager
    def stage(self, name: str) -> Generator[None]:
        """Name the stage, and move the bar when it ends; one that was not expected makes the bar longer."""
        if name in self._expected:
            self._expected.remove(name)
        else:
            total = self._bars.tasks[self._stages].total or 0
            self._bars.update(self._stages, total=total + 1)
        self._bars.update(self._stages, description=name)
        yield
        self._bars.advance(self._stages)

    @contextmanager
    def tasks(self, spark: SparkSession) -> Generator[None]:
        """Ask Spark now and then, from a thread of its own."""
        tracker: Any = spark.sparkContext.statusTracker()
        over = Event()

        def poll() -> None:
            while not over.wait(POLL_SECONDS):
                active = [tracker.getStageInfo(stage) for stage in tracker.getActiveStageIds()]
                known = [info for info in active if info is not None]
                self._bars.update(
                    self._tasks,
                    visible=bool(known),
                    total=sum(info.numTasks for info in known),
                    completed=sum(info.numCompletedTasks for info in known),
                    description="tasks of Spark",
                )

        polling = Thread(target=poll, name="progress", daemon=True)
        polling.start()
        try:
            yield
        finally:
            over.set()
            polling.join()


@contextmanager
def shown(console: Console, run_id: UUID, expected: Sequence[str]) -> Generator[Progress]:
    """Show progress on a console: bars where it is a terminal, which are gone at the end, and lines elsewhere.

    Args:
        console: on the error stream.
        run_id: what the lines of one run have in common.
        expected: the stages that are to come; a bar is as long as they are many.
    """
    if not console.is_terminal:
        yield Lines(run_id)
        return
    columns = (
        progress.SpinnerColumn(),
        progress.TextColumn("{task.description:<16}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeElapsedColumn(),
    )
    with progress.Progress(*columns, console=console, transient=True) as bars:
        yield Bar(bars, expected)
