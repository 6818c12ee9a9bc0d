"""Messages on their way out, many at a time, each with a deadline for all of it.

A customer says where to. A name is resolved once, every address that it has must be a public one, and the connection
goes to one of those; nothing is followed elsewhere, and nothing of an answer is kept but its status.
"""

import logging
import socket
import ssl
from asyncio import run
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Final, cast

import certifi
import httpcore
from anyio import CapacityLimiter, create_task_group, fail_after, getaddrinfo, to_thread

from functions.clock import Clock
from functions.mail import Letter, send
from functions.notifications.addresses import Network, may_be_reached
from functions.settings import MailSettings
from shared_code.errors import UnavailableError

DEADLINE: Final = 15.0
"""Seconds from the name's resolution to the answer's last header."""
AT_ONCE: Final = 32
AGENT: Final = "Altaviz"
SUCCESS: Final = 2
"""The first digit of a status."""
REDIRECTION: Final = 3
GONE: Final = 410
LONGEST_WAIT: Final = 24 * 3600.0

logger = logging.getLogger(__name__)

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


class AddressRefusedError(Exception):
    """The name leads, or also leads, where customers may not."""


_IN_WORDS: Final[Mapping[type[Exception], str]] = {
    AddressRefusedError: "its name leads to an address that is not public",
    TimeoutError: f"no answer within {DEADLINE:g} seconds",
    httpcore.TimeoutException: f"no answer within {DEADLINE:g} seconds",
    socket.gaierror: "its name is not known",
    httpcore.ProtocolError: "it does not speak HTTP",
    httpcore.NetworkError: "no connection, or no certificate to trust",
    OSError: "no connection",
}


@dataclass(frozen=True, slots=True)
class Post:
    """What is sent to a URL."""

    url: str
    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a message; without an error it was taken."""

    seconds: float
    status: int | None = None
    error: str | None = None
    retry_after: float | None = None
    """Seconds that the receiver asks us to wait."""


@dataclass(frozen=True, slots=True)
class Postman:
    """Who takes messages out, and where to they may go."""

    mail: MailSettings
    clock: Clock
    private: Sequence[Network] = ()
    resolve: Resolve | None = None
    tls: ssl.SSLContext | None = None

    def deliver(self, messages: Iterable[Post | Letter]) -> list[Outcome]:
        """Send messages at the same time, each within `DEADLINE`; return what became of each, in order."""
        return run(self._deliver(list(messages)))

    async def _deliver(self, messages: Sequence[Post | Letter]) -> list[Outcome]:
        outcomes: dict[int, Outcome] = {}
        limiter, threads = CapacityLimiter(AT_ONCE), CapacityLimiter(AT_ONCE)
        tls = self.tls or ssl.create_default_context(cafile=certifi.where())

        async def one(place: int, message: Post | Letter) -> None:
            async with limiter:
                began = self.clock()
                status, error, retry_after = await self._attempt(message, tls, threads)
                seconds = max((self.clock() - began).total_seconds(), 0.0)
                outcomes[place] = Outcome(seconds, status, error, retry_after)

        async with create_task_group() as tasks:
            for place, message in enumerate(messages):
                tasks.start_soon(one, place, message)
        return [outcomes[place] for place in range(len(messages))]

    async def _attempt(
        self, message: Post | Letter, tls: ssl.SSLContext, threads: CapacityLimiter
    ) -> tuple[int | None, str | None, float | None]:
        """Return the status, what went wrong in words that hold no secret, and how long to wait."""
        try:
            if isinstance(message, Letter):
                await to_thread.run_sync(partial(send, self.mail, message), limiter=threads)
                return None, None, None
            with fail_after(DEADLINE):
                return await self._post(message, tls)
        except UnavailableError as failure:
            return None, str(failure), None
        except tuple(_IN_WORDS) as failure:
            return None, next(words for kind, words in _IN_WORDS.items() if isinstance(failure, kind)), None
        except Exception:  # whatever is wrong with one customer's message, the others' go out
            logger.exception("a message could not be sent")
            return None, "it could not be sent", None

    async def _post(self, message: Post, tls: ssl.SSLContext) -> tuple[int, str | None, float | None]:
        backend = Vetted(self.resolve or resolve, self.private)
        async with (
            httpcore.AsyncConnectionPool(ssl_context=tls, network_backend=backend) as pool,
            pool.stream(
                "POST",
                message.url,
                headers={"Host": _host(message.url), "User-Agent": AGENT, **message.headers},
                content=message.body,
            ) as response,
        ):
            status, headers = response.status, response.headers
        if status // 100 == SUCCESS:
            return status, None, None
        redirected = status // 100 == REDIRECTION
        words = f"answered {status}; redirects are not followed" if redirected else f"answered {status}"
        return status, words, _retry_after(headers, self.clock)


class Vetted(httpcore.AsyncNetworkBackend):
    """Connects to names whose every address is allowed, and to no other."""

    def __init__(self, resolve: Resolve, private: Sequence[Network]) -> None:
        self._resolve, self._private = resolve, private
        self._inner = cast("httpcore.AsyncNetworkBackend", httpcore.AnyIOBackend())

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to one of the addresses that a name has now.

        Raises:
            AddressRefusedError: one of them is not allowed, or there is none.
        """
        found = await self._resolve(host.strip("[]"), port)
        if not found or not all(may_be_reached(address, private=self._private) for address in found):
            raise AddressRefusedError(host)
        for address in found[:-1]:
            try:
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except httpcore.ConnectError:
                continue
        return await self._inner.connect_tcp(found[-1], port, timeout, local_address, socket_options)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await self._inner.sleep(seconds)


async def resolve(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a name, each once, in the order in which they are to be tried."""
    found = await getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[4][0]) for address in found))


def _host(url: str) -> str:
    return url.split("/", 3)[2]


def _retry_after(headers: Iterable[tuple[bytes, bytes]], clock: Clock) -> float | None:
    """Return the seconds that an answer asks to wait, by either of the header's two forms."""
    asked = next((value.decode("latin-1").strip() for name, value in headers if name.lower() == b"retry-after"), "")
    if asked.isdecimal():
        return min(float(asked), LONGEST_WAIT)
    try:
        until = parsedate_to_datetime(asked)
    except ValueError:
        return None
    if until.tzinfo is None:
        return None
    return min(max((until - clock()).total_seconds(), 0.0), LONGEST_WAIT)
