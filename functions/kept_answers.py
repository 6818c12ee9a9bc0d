"""Answers that are kept for whoever asks the same again: in this process, or in Redis for every instance.

A key says everything that an answer depends on, so what is kept is never wrong, and goes only to make room. Redis that
does not answer makes requests slower and nothing else.
"""

import logging
import time
from threading import Lock
from typing import TYPE_CHECKING, Final, Protocol

from cachetools import TTLCache

from functions.settings import CacheSettings

if TYPE_CHECKING:
    from redis import Redis

LIFETIME_SECONDS: Final = 3600
MEMORY_BYTES: Final = 32 * 1_048_576
LARGEST_BYTES: Final = 1_048_576
PATIENCE_SECONDS: Final = 0.25
"""How long Redis may take to answer; a query takes less than that."""
REST_SECONDS: Final = 15.0
"""How long Redis is left alone after it has failed, which is also how often that is logged at most."""
logger = logging.getLogger(__name__)


class KeptAnswers(Protocol):
    """Where answers are kept; both may be called from any thread, and neither raises."""

    def get(self, key: str) -> bytes | None:
        """Return an answer that is kept under a key."""
        ...

    def put(self, key: str, body: bytes) -> None:
        """Keep an answer."""
        ...


def open_kept_answers(settings: CacheSettings) -> KeptAnswers:
    """Return the place that the settings name; nothing is connected to yet."""
    if settings.redis_url is None:
        return InMemory()
    from redis import Redis  # noqa: PLC0415 - nobody else need wait for it
    from redis.backoff import NoBackoff  # noqa: PLC0415 - likewise
    from redis.retry import Retry  # noqa: PLC0415 - likewise

    client: Redis = Redis.from_url(  # pyright: ignore[reportUnknownMemberType]
        settings.redis_url.get_secret_value(),
        socket_timeout=PATIENCE_SECONDS,
        socket_connect_timeout=PATIENCE_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
    return InRedis(client)


class InMemory:
    """Keeps answers in this process, the least recently used going first."""

    def __init__(self, at_most: int = MEMORY_BYTES) -> None:
        self._kept = TTLCache[str, bytes](at_most, LIFETIME_SECONDS, getsizeof=len)
        self._lock = Lock()

    def get(self, key: str) -> bytes | None:
        """Return an answer that is kept under a key."""
        with self._lock:
            return self._kept.get(key)

    def put(self, key: str, body: bytes) -> None:
        """Keep an answer that is not too large."""
        with self._lock:
            if len(body) <= min(LARGEST_BYTES, self._kept.maxsize):
                self._kept[key] = body


class InRedis:
    """Keeps answers in Redis; while that fails, it is as if nothing were kept."""

    def __init__(self, client: "Redis") -> None:
        self._client = client
        self._rests_until = 0.0

    def get(self, key: str) -> bytes | None:
        """Return an answer that is kept under a key."""
        found = self._attempt("GET", key)
        return found if isinstance(found, bytes) else None

    def put(self, key: str, body: bytes) -> None:
        """Keep an answer that is not too large."""
        if len(body) <= LARGEST_BYTES:
            self._attempt("SET", key, body, "EX", LIFETIME_SECONDS)

    def _attempt(self, *command: str | bytes | int) -> object:
        from redis import RedisError  # noqa: PLC0415 - whoever has a client has loaded it

        if time.monotonic() < self._rests_until:
            return None
        try:
            return self._client.execute_command(*command)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        except (RedisError, OSError, ValueError) as failure:
            self._rests_until = time.monotonic() + REST_SECONDS
            # Its words may hold the address, and the address a password.
            logger.warning("Redis fails (%s); answers are made anew meanwhile", type(failure).__name__)
            return None
