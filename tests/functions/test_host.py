import logging
from threading import Thread, local
from types import SimpleNamespace

import pytest
from fastapi import APIRouter, FastAPI

from functions import host
from functions.api import create_app
from functions.host import client_address, function_app, host_route, keep_invocation_ids, operations
from functions.schedules import Timer
from functions.settings import Settings
from shared_code.database.engines import Database
from tests.seams.functions_host import FunctionsHost


def an_app(*paths: tuple[str, str], methods: tuple[str, ...] = ("GET",)) -> FastAPI:
    """Make an API with operations of these names and paths, included through a router as ours are."""
    router = APIRouter()

    def endpoint() -> None: ...

    for name, path in paths:
        router.add_api_route(path, endpoint, operation_id=name, methods=list(methods))
    app = FastAPI(openapi_url=None)
    app.include_router(router)
    return app


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/api/fleet", "api/fleet"),
        ("/api/compressors/{compressor_id}", "api/compressors/{compressor_id}"),
        ("/a/{n:int}/{rest:path}", "a/{n}/{*rest}"),
        ("/", "/"),
    ],
)
def test_a_path_is_written_as_the_host_writes_it(path: str, route: str) -> None:
    assert host_route(path) == route


@pytest.mark.parametrize(
    ("paths", "reason"),
    [
        ([("get_x", "/x/recent"), ("get_a", "/x/{id}")], "get_a would take requests from get_x"),
        ([("b", "/x/{id}/y"), ("a", "/{p:path}")], "a would take requests from b"),
        ([("b", "/X/y"), ("a", "/x/{id}")], "a would take requests from b"),
        ([("get_x", "/a/b"), ("getx", "/a/{c}")], "getx"),
        ([("getx", "/a/b"), ("get_x", "/a/{c}")], "get_x"),
        ([("a", "/admin/x")], "keeps admin/x"),
        ([("a", "/runtime")], "keeps runtime"),
        ([("1a", "/a")], "lower-case"),
        ([("get-a", "/a")], "lower-case"),
        ([("GetA", "/a")], "lower-case"),
        ([("zzzz", "/a")], "sorts after"),
        ([("a", "/a"), ("a", "/b")], "not unique"),
    ],
)
def test_what_the_host_could_not_serve_as_fastapi_does_is_refused(paths: list[tuple[str, str]], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        function_app(an_app(*paths))


def test_a_timer_that_is_called_like_an_operation_is_refused() -> None:
    with pytest.raises(ValueError, match="get_a: is an operation and a timer"):
        function_app(an_app(("get_a", "/a")), [Timer("get_a", "0 0 * * * *", lambda: None)])


def test_a_timer_runs_when_the_host_fires_it_and_its_failure_is_the_hosts_to_see() -> None:
    fired: list[str] = []

    def fail() -> None:
        raise RuntimeError("the database is away")

    timers = [Timer("works", "0 0 * * * *", lambda: fired.append("works")), Timer("fails", "0 0 * * * *", fail)]
    served = FunctionsHost(function_app(an_app(("get_a", "/a")), timers))

    served.fire("works")

    assert fired == ["works"]
    with pytest.raises(RuntimeError, match="the database is away"):
        served.fire("fails")


@pytest.mark.parametrize(
    "paths",
    [
        [("a", "/x/recent"), ("b", "/x/{id}")],
        [("b", "/x/recent"), ("a", "/y/{id}")],
        [("b", "/x"), ("a", "/x/{id}")],
        [("b", "/x/{id}"), ("a", "/x/{id}/y")],
    ],
)
def test_operations_that_cannot_be_confused_are_served(paths: list[tuple[str, str]]) -> None:
    assert len(operations(an_app(*paths))) == 2


def test_the_same_address_with_other_methods_is_another_function() -> None:
    app = an_app(("b", "/x"))
    app.include_router(an_app(("a", "/x"), methods=("POST",)).router)
    served = FunctionsHost(function_app(app))

    calls = [served.call(method, "/x") for method in ("GET", "POST")]

    assert [call and call.function for call in calls] == ["b", "a"]


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        ([], None),
        ([""], None),
        (["203.0.113.7:50001"], ("203.0.113.7", 50001)),
        (["203.0.113.7"], ("203.0.113.7", 0)),
        (["10.0.0.1, 198.51.100.9, 203.0.113.7:443"], ("203.0.113.7", 443)),
        (["10.0.0.1", "203.0.113.7:443"], ("203.0.113.7", 443)),
        (["[2001:db8::1]:443"], ("2001:db8::1", 443)),
        (["[2001:db8::1]"], ("2001:db8::1", 0)),
        (["2001:db8::1"], ("2001:db8::1", 0)),
        (["junk:junk"], ("junk:junk", 0)),
        (["203.0.113.7:\xb2"], ("203.0.113.7:\xb2", 0)),
    ],
)
def test_the_client_is_the_last_hop_without_its_port(forwarded: list[str], client: tuple[str, int] | None) -> None:
    headers = [(b"x-forwarded-for", value.encode("latin-1")) for value in forwarded]

    assert client_address({"type": "http", "headers": headers}) == client


def test_a_log_record_made_in_another_thread_keeps_its_invocation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging, "_logRecordFactory", logging.LogRecord)
    keep_invocation_ids()
    context = SimpleNamespace(invocation_id="invocation-7", thread_local_storage=local())
    seen: list[str] = []

    def work() -> None:
        monkeypatch.setattr(host, "_invocation", SimpleNamespace(get=lambda: context))
        logging.getLogger("tests").warning("from a worker thread")
        seen.append(context.thread_local_storage.invocation_id)

    thread = Thread(target=work)
    thread.start()
    thread.join()

    assert seen == ["invocation-7"]


def test_every_operation_of_the_api_can_be_served(settings: Settings, database: Database) -> None:
    names = [operation.name for operation in operations(create_app(settings, lambda: database))]

    assert len(names) == len(set(names)) >= 12
