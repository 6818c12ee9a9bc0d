"""Where requests are counted: in this program's memory, or in SQL for all instances together."""

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from threading import Lock
from typing import Final

from functions.limits import queries
from functions.limits.allowance import SECOND, Allowance, Verdict, decide
from shared_code.database import transactions
from shared_code.database.engines import COUNTING_CONNECTIONS, Database

MOST_CALLERS: Final = 100_000
"""How many callers memory holds; those that are whole again are forgotten when there are more."""
PATIENCE: Final = 0.5
"""Seconds that an answer of SQL is waited for."""
PAUSE: Final = 5.0
"""Seconds for which SQL is not asked again after it failed."""
TIDY_EVERY: Final = 60 * SECOND
"""Between two deletions of what is idle."""

logger = logging.getLogger(__name__)


def microseconds(now: datetime) -> int:
    """Return an instant as whole microseconds since 1970."""
    return int(now.timestamp() * SECOND)


class InMemory:
    """Counts for one program alone."""

    def __init__(self) -> None:
        self._whole_at: dict[str, int] = {}
        self._lock = Lock()

    async def count(self, caller: str, allowance: Allowance, *, now: datetime) -> Verdict:
        """Count one request of a caller."""
        return self.count_here(caller, allowance, now=now)

    def count_here(self, caller: str, allowance: Allowance, *, now: datetime) -> Verdict:
        """Count one request of a caller, from any thread."""
        instant = microseconds(now)
        with self._lock:
            if len(self._whole_at) >= MOST_CALLERS:
                self._whole_at = {who: at for who, at in self._whole_at.items() if at > instant}
            if len(self._whole_at) >= MOST_CALLERS:
                self._whole_at.clear()  # more callers in a minute than fit: better to count anew than to grow
            verdict = decide(allowance, self._whole_at.get(caller, 0), now=instant)
            self._whole_at[caller] = verdict.whole_at
        return verdict


class InSql:
    """Counts for all instances that share a database.

    A store that is down must not take the API down: where SQL does not answer in time, this instance counts by itself,
    says so in the log, and asks SQL again after a pause.
    """

    def __init__(self, database: Callable[[], Database]) -> None:
        self._database = database
        self._alone = InMemory()
        self._threads = ThreadPoolExecutor(COUNTING_CONNECTIONS, "counting")
        self._asked_again_at = 0.0
        self._tidy_at = 0

    async def count(self, caller: str, allowance: Allowance, *, now: datetime) -> Verdict:
        """Count one request of a caller without holding up others that this program serves."""
        if time.monotonic() >= self._asked_again_at:
            loop = asyncio.get_running_loop()
            asked = loop.run_in_executor(self._threads, self._ask, caller, allowance, microseconds(now))
            try:
                return await asyncio.wait_for(asked, PATIENCE)
            except Exception as failure:  # noqa: BLE001 - whatever it is, requests go on
                self._give_up_for_a_while(failure)
        return self._alone.count_here(caller, allowance, now=now)

    def _ask(self, caller: str, allowance: Allowance, now: int) -> Verdict:
        with transactions.counting(self._database()) as connection:
            verdict = queries.count_request(connection, caller, allowance, now=now)
            if now >= self._tidy_at:
                self._tidy_at = now + TIDY_EVERY
                queries.forget_idle(connection, now=now)
        return verdict

    def _give_up_for_a_while(self, failure: Exception) -> None:
        self._asked_again_at = time.monotonic() + PAUSE
        logger.error("requests are counted by this instance alone: SQL failed with %s", type(failure).__name__)


Counter = InMemory | InSql
