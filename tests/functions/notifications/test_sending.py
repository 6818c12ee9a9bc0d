"""Messages on their way out: where they go, and what is made of the answers."""

import logging
import socket
import ssl
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from ipaddress import ip_network
from threading import Event, Thread
from time import monotonic

import pytest
import trustme

from functions.mail import Letter
from functions.notifications import sending
from functions.notifications.sending import Outcome, Post, Postman
from functions.settings import MailSettings
from tests.seams.receiver import Receiver, a_receiver

NOW = datetime(2026, 1, 12, tzinfo=UTC)
HERE = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


@pytest.fixture
def receiver() -> Generator[Receiver]:
    with a_receiver() as receiver:
        yield receiver


class Names:
    """A resolver that says what it is told, a list at a time, and counts how often it is asked."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers, self.asked = list(answers), 0

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        del host, port
        self.asked += 1
        return self.answers[min(self.asked, len(self.answers)) - 1]


def a_postman(*names: Sequence[str], **more: object) -> Postman:
    given = {"private": HERE, "resolve": Names(*(names or (["127.0.0.1"],)))} | more
    return Postman(MailSettings(), lambda: NOW, **given)  # type: ignore[arg-type]


def a_post(receiver: Receiver, host: str = "hooks.customer.example", scheme: str = "http") -> Post:
    return Post(f"{scheme}://{host}:{receiver.port}/alerts?to=us", b'{"a":1}', {"Content-Type": "application/json"})


def deliver(postman: Postman, message: Post | Letter) -> Outcome:
    (outcome,) = postman.deliver([message])
    return outcome


def test_a_message_arrives_as_it_was_written(receiver: Receiver) -> None:
    outcome = deliver(a_postman(), a_post(receiver))

    assert (outcome.status, outcome.error) == (204, None)
    (received,) = receiver.received
    assert (received.path, received.body) == ("/alerts?to=us", b'{"a":1}')
    assert received.headers["host"] == f"hooks.customer.example:{receiver.port}"
    assert received.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("status", "headers", "error", "wait"),
    [
        (200, {}, None, None),
        (299, {}, None, None),
        (404, {}, "answered 404", None),
        (500, {}, "answered 500", None),
        (429, {"Retry_After": "120"}, "answered 429", 120.0),
        (503, {"Retry_After": "Mon, 12 Jan 2026 00:05:00 GMT"}, "answered 503", 300.0),
        (503, {"Retry_After": "Sun, 11 Jan 2026 00:05:00 GMT"}, "answered 503", 0.0),
        (503, {"Retry_After": "99999999999"}, "answered 503", 86400.0),
        (503, {"Retry_After": "soon"}, "answered 503", None),
        (503, {"Retry_After": "-5"}, "answered 503", None),
        (302, {"Location": "http://127.0.0.1:1/inside"}, "answered 302; redirects are not followed", None),
    ],
)
def test_an_answer_is_its_status_and_when_to_come_back(
    receiver: Receiver, status: int, headers: dict[str, str], error: str | None, wait: float | None
) -> None:
    receiver.answer(status, **headers)

    assert deliver(a_postman(), a_post(receiver)) == Outcome(0.0, status, error, wait)
    assert len(receiver.received) == 1


def test_a_name_that_is_public_when_looked_at_and_inside_when_connected_to_leads_nowhere_inside(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: the address that was looked at is the one that is connected to, and nobody asks again."""
    names = Names(["203.0.114.7"], ["127.0.0.1"])
    tried: list[str] = []

    async def refuse(_self: object, host: str, *_: object) -> None:
        tried.append(host)
        raise sending.httpcore.ConnectError("nobody is there")

    monkeypatch.setattr(sending.httpcore.AnyIOBackend, "connect_tcp", refuse)
    outcome = deliver(a_postman(resolve=names, private=()), a_post(receiver))

    assert outcome.error is not None
    assert (names.asked, tried, receiver.received) == (1, ["203.0.114.7"], [])


@pytest.mark.parametrize("found", [["127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["::1"], ["169.254.169.254"], []], ids=str)
def test_a_name_that_also_leads_inside_is_refused(receiver: Receiver, found: list[str]) -> None:
    outcome = deliver(a_postman(found, private=()), a_post(receiver))

    assert outcome.error == "its name leads to an address that is not public"
    assert receiver.received == []


@pytest.mark.parametrize("host", ["127.0.0.1", "[::ffff:127.0.0.1]", "localhost"])
def test_an_address_instead_of_a_name_is_looked_at_too(receiver: Receiver, host: str) -> None:
    outcome = deliver(a_postman(private=(), resolve=None), a_post(receiver, host))

    assert outcome.error == "its name leads to an address that is not public"
    assert receiver.received == []


def test_no_proxy_of_the_environments_is_used(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    assert deliver(a_postman(), a_post(receiver)).error is None


def test_of_several_addresses_the_next_is_tried(receiver: Receiver) -> None:
    """Nobody listens at the first; a name may have an address that does not work from here."""
    assert deliver(a_postman(["::1", "127.0.0.1"]), a_post(receiver)).error is None


def test_a_name_nobody_knows_is_said_so() -> None:
    async def unknown(_host: str, _port: int) -> Sequence[str]:
        raise socket.gaierror(-2, "Name or service not known")

    assert deliver(a_postman(resolve=unknown), Post("https://x.invalid/", b"", {})).error == "its name is not known"


def test_where_nobody_listens_there_is_no_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    outcome = deliver(a_postman(), Post(f"http://hooks.customer.example:{port}/", b"", {}))
    assert (outcome.status, outcome.error) == (None, "no connection, or no certificate to trust")


@contextmanager
def somebody_odd(says: Sequence[bytes], *, every: float) -> Generator[int]:
    """Listen, and say these things one after the other, slowly."""
    over = Event()

    def talk(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(65536)
            for words in says:
                if over.wait(every):
                    return
                try:
                    connection.sendall(words)
                except OSError:
                    return
            over.wait(10)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = Thread(target=talk, args=(server,))
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            over.set()
            thread.join()


def test_whoever_answers_a_byte_at_a_time_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "DEADLINE", 0.3)
    with somebody_odd([b"HTTP/1.1 200 OK\r\n", *[b"X: y\r\n"] * 1000], every=0.05) as port:
        began = monotonic()
        outcome = deliver(a_postman(), Post(f"http://hooks.customer.example:{port}/", b"", {}))
    assert "no answer within" in (outcome.error or "")
    assert monotonic() - began < 5


def test_an_answer_without_end_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "DEADLINE", 5.0)
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    with somebody_odd([head, *[b"ffff\r\n" + b"x" * 65535 + b"\r\n"] * 100], every=0.0) as port:
        outcome = deliver(a_postman(), Post(f"http://hooks.customer.example:{port}/", b"", {}))
    assert (outcome.status, outcome.error) == (200, None)


@pytest.mark.parametrize("says", [b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 " + b"9" * 200_000])
def test_what_is_not_http_is_said_so(says: bytes) -> None:
    with somebody_odd([says], every=0.0) as port:
        outcome = deliver(a_postman(), Post(f"http://hooks.customer.example:{port}/", b"", {}))
    assert (outcome.status, outcome.error) == (None, "it does not speak HTTP")


@pytest.mark.parametrize(("host", "taken"), [("hooks.customer.example", True), ("other.customer.example", False)])
def test_the_certificate_must_be_the_names(host: str, taken: bool) -> None:  # noqa: FBT001 - a case
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("hooks.customer.example").configure_cert(server)  # pyright: ignore[reportUnknownMemberType] - half typed
    authority.configure_trust(client)  # pyright: ignore[reportUnknownMemberType] - likewise
    with a_receiver(server) as receiver:
        outcome = deliver(a_postman(tls=client), a_post(receiver, host, "https"))
        untrusted = deliver(a_postman(), a_post(receiver, "hooks.customer.example", "https"))

    assert (outcome.error is None) == taken
    assert untrusted.error == "no connection, or no certificate to trust"
    assert len(receiver.received) == taken


def test_one_that_cannot_be_sent_keeps_no_other(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("something nobody thought of")

    monkeypatch.setattr(sending, "send", fail)
    good = a_post(receiver)
    with caplog.at_level(logging.ERROR):
        outcomes = a_postman().deliver([good, Letter("a@b.example", "x", "y"), good])

    assert [outcome.error for outcome in outcomes] == [None, "it could not be sent", None]
    assert "could not be sent" in caplog.text


def test_many_go_out_at_the_same_time(receiver: Receiver) -> None:
    waiting = Event()
    arrived: list[int] = []

    def hold() -> None:
        arrived.append(1)
        if len(arrived) == 8:
            waiting.set()
        assert waiting.wait(30)

    receiver.before = hold
    outcomes = a_postman().deliver([a_post(receiver)] * 8)
    assert [outcome.status for outcome in outcomes] == [204] * 8
