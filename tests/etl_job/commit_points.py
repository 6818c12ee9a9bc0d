"""The instants of a run between which it makes something last, and a way to stop it at any of them.

What is written to Delta, SQL, staging and notes is written by the functions named here. A run is stopped just before
one of them, so with all of it done that came earlier and nothing of it.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, NoReturn

import pytest
from sqlalchemy import Table

from etl_job import files, ingest, pipeline, publish, quarantine
from etl_job.delta_tables import Lake, Layout
from shared_code.database import transactions
from shared_code.database.engines import Database


@dataclass
class CommitPoints:
    """Counts the points that a run passes, and calls `stop` at one of them."""

    stop_at: int | None = None
    stop: Callable[[str], None] | None = None
    passed: list[str] = field(default_factory=list[str])

    def at(self, name: str) -> None:
        if self.stop is not None and len(self.passed) == self.stop_at:
            self.stop(name)
        self.passed.append(name)

    def before(self, function: Callable[..., Any], name: Callable[..., str]) -> Callable[..., Any]:
        @wraps(function)
        def called(*given: Any, **named: Any) -> Any:  # noqa: ANN401 - whatever the function takes and returns
            self.at(name(*given, **named))
            return function(*given, **named)

        return called

    def after(self, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        @wraps(function)
        def called(*given: Any, **named: Any) -> Any:  # noqa: ANN401 - whatever the function takes and returns
            result = function(*given, **named)
            self.at(name)
            return result

        return called

    def in_sql(self, transaction: Callable[[Database], Any]) -> Callable[[Database], Any]:
        @contextmanager
        def opened(database: Database) -> Generator[Any]:
            with transaction(database) as connection:
                yield connection
                self.at("SQL commit")

        return opened


class Stopped(Exception):  # noqa: N818 - nothing is wrong
    """The run was to end here."""


def stop(point: str) -> NoReturn:
    raise Stopped(point)


def watch(points: CommitPoints, patch: pytest.MonkeyPatch) -> None:
    """Let the job pass the points from now on, until the patch is undone."""
    for method in ("append", "upsert", "replace"):
        patch.setattr(Lake, method, points.before(getattr(Lake, method), _folder))
    patch.setattr(quarantine, "release", points.before(quarantine.release, _named("quarantine release")))
    patch.setattr(publish, "stage", points.before(publish.stage, _staged))
    patch.setattr(files, "write_note", points.before(files.write_note, _named("note")))
    patch.setattr(files, "remove_note", points.before(files.remove_note, _named("end of note")))
    patch.setattr(transactions, "job", points.in_sql(transactions.job))
    # What Spark itself writes to the stream's checkpoint: which files a batch has, and that it is done.
    patch.setattr(ingest, "landing_files", points.before(ingest.landing_files, _named("stream")))
    patch.setattr(pipeline, "take_in", points.after(pipeline.take_in, "checkpoint"))


def _named(name: str) -> Callable[..., str]:
    return lambda *_given, **_named: name


def _folder(_lake: Lake, layout: Layout, *_given: object, **_named: object) -> str:
    return layout.folder


def _staged(_rows: object, target: Table, *_given: object) -> str:
    return f"stage {target.name}"
