"""A stand-in for the Azure Functions host: it routes as the real one does, fires timers, and calls the functions.

Functions are asked in order of name and the first whose route and method match gets the request. Routes match without
regard to case, a catch-all parameter takes the rest of the path, and what no function takes is an empty 404.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from threading import local
from typing import Any, cast
from urllib.parse import urlsplit

import azure.functions as func  # noqa: TID251 - this stands where the host would
from azure.functions.decorators.function_app import Function  # noqa: TID251 - likewise
from azure.functions.decorators.timer import TimerTrigger  # noqa: TID251 - likewise


@dataclass(frozen=True, slots=True)
class Timed:
    name: str
    schedule: str
    on_startup: bool
    call: Callable[[func.TimerRequest, func.Context], None]


class Firing(func.TimerRequest):
    """What the host tells a timer's function."""

    @property
    def past_due(self) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class Indexed:
    name: str
    pattern: re.Pattern[str]
    methods: frozenset[str]
    call: Callable[[func.HttpRequest, func.Context], Awaitable[func.HttpResponse]]


class Invocation(func.Context):
    """What the worker tells a function about its call."""

    def __init__(self, name: str, invocation_id: str) -> None:
        self._name, self._id, self._local = name, invocation_id, local()

    @property
    def invocation_id(self) -> str:
        return self._id

    @property
    def thread_local_storage(self) -> Any:  # noqa: ANN401 - the SDK says a type where it passes an instance
        return self._local

    @property
    def function_name(self) -> str:
        return self._name

    @property
    def function_directory(self) -> str:
        return "/home/site/wwwroot"

    @property
    def trace_context(self) -> Any:  # noqa: ANN401 - nothing here asks for it
        return None

    @property
    def retry_context(self) -> Any:  # noqa: ANN401 - nothing here asks for it
        return None


@dataclass(frozen=True, slots=True)
class Answer:
    function: str
    invocation_id: str
    response: func.HttpResponse


class FunctionsHost:
    def __init__(self, app: func.FunctionApp) -> None:
        # `get_functions` builds anew each time and refuses the second; the host asks once.
        every = app.get_functions()
        timed = [each for each in every if isinstance(each.get_trigger(), TimerTrigger)]
        self.timers = {each.name: each for each in map(_timer, timed)}
        self.functions = sorted((_function(each) for each in every if each not in timed), key=lambda each: each.name)
        self._calls = 0

    def names(self) -> list[str]:
        return sorted([*self.timers, *(function.name for function in self.functions)])

    def fire(self, name: str) -> None:
        """Call a timer's function as the host does when its time has come."""
        self._calls += 1
        self.timers[name].call(Firing(), Invocation(name, f"invocation-{self._calls}"))

    def call(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer | None:
        """Make one call as the front end hands it on; None where no function takes it."""
        return asyncio.run(self.answer(method, path, headers=headers, body=body))

    async def answer(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer | None:
        """Make a call in the event loop that runs, as the host does with all of its calls."""
        url = f"https://altaviz.example{path}"
        target = urlsplit(url).path.lstrip("/")
        taken = (each for each in self.functions if method in each.methods and each.pattern.fullmatch(target))
        function = next(taken, None)
        if function is None:
            return None
        self._calls += 1
        invocation = Invocation(function.name, f"invocation-{self._calls}")
        # Without Content-Length the host hands on no body.
        received = body if any(name.lower() == "content-length" for name in headers or {}) else b""
        request = func.HttpRequest(method, url, headers=headers, body=received)
        return Answer(function.name, invocation.invocation_id, await function.call(request, invocation))


def _timer(indexed: Function) -> Timed:
    trigger: Any = indexed.get_trigger()
    return Timed(
        str(indexed.get_function_name()),
        trigger.schedule,
        trigger.run_on_startup,
        partial(_called, trigger.name, indexed.get_user_function()),
    )


def _called(argument: str, function: Callable[..., None], request: func.TimerRequest, context: func.Context) -> None:
    """The host finds the trigger's argument, and that for the context, by name."""
    function(**{argument: request, "context": context})


def _function(indexed: Function) -> Indexed:
    trigger: Any = indexed.get_trigger()
    methods = cast("list[func.HttpMethod]", trigger.methods)
    return Indexed(
        name=str(indexed.get_function_name()),
        pattern=_pattern(trigger.route),
        methods=frozenset(method.value for method in methods),
        call=indexed.get_user_function(),
    )


def _pattern(route: str) -> re.Pattern[str]:
    parts = re.split(r"(\{\*?\w+\})", "" if route == "/" else route)
    return re.compile("".join(_part(part) for part in parts), re.IGNORECASE)


def _part(part: str) -> str:
    if part.startswith("{*"):
        return ".*"
    return "[^/]+" if part.startswith("{") else re.escape(part)
