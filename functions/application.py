"""What the running application has at hand, and how a request gets at it."""

import gc
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from threading import Lock
from typing import Annotated

from fastapi import Depends, Request

from functions.clock import Clock
from functions.kept_answers import KeptAnswers
from functions.limits.limits import Limits
from functions.settings import Settings
from shared_code.database.engines import Database


class OpenOnce:
    """A database that is opened when it is first asked for, by whichever thread asks first."""

    def __init__(self, open_it: Callable[[], Database]) -> None:
        self._open_it = open_it
        self._opened: Database | None = None
        self._lock = Lock()

    def __call__(self) -> Database:
        """Return the open database."""
        with self._lock:
            if self._opened is None:
                self._opened = self._open_it()
            return self._opened


@dataclass(frozen=True, slots=True)
class Application:
    """The settings, the database (called to get it), the clock, the limits and the kept answers of one application."""

    settings: Settings
    database: Callable[[], Database]
    clock: Clock
    limits: Limits
    answers: KeptAnswers


def settle() -> None:
    """Let Python's garbage collector forget what is there for good, once all is set up.

    To look through it again takes a tenth of a second, for which some request would wait.
    """
    gc.collect()
    gc.freeze()


async def current_application(request: Request) -> Application:
    """Return what `functions.api.create_app` was given."""
    return request.app.state.application


CurrentApplication = Annotated[Application, Depends(current_application)]


async def current_time(application: CurrentApplication) -> datetime:
    """Return the instant of this request, aware and in UTC."""
    return application.clock()


Now = Annotated[datetime, Depends(current_time)]
