"""E-mail by Azure Communication Services: the real SDK against a server on this machine."""

import base64
import hashlib
import hmac
import json
import logging
import ssl
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import pytest
import trustme
from pydantic import SecretStr

from functions.mail import Letter, send
from functions.settings import MailSettings
from shared_code.errors import UnavailableError

KEY = base64.b64encode(b"canary access key of this test").decode()
BUSY = {429, 503}
SENDER = "no-reply@altaviz.example"
LETTER = Letter("somebody@elsewhere.example", "Öl & Gas invites you", "Open this:\nhttps://altaviz.example/#token=x\n")


@dataclass
class Service:
    """What it was sent, and what it answers."""

    answers: list[int] = field(default_factory=lambda: [202])
    asked: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list[tuple[str, dict[str, str], bytes]])
    url: str = ""

    def settings(self) -> MailSettings:
        connection = SecretStr(f"endpoint={self.url}/;accesskey={KEY}")
        return MailSettings(acs_connection_string=connection, acs_sender=SENDER)


@contextmanager
def a_service(*answers: int, context: ssl.SSLContext | None = None) -> Generator[Service]:
    service = Service(list(answers) or [202])

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the managed identity's endpoint
            token = {
                "access_token": "canary-token",
                "expires_on": "4102444800",
                "resource": "x",
                "token_type": "Bearer",
            }
            self._answer(200, token)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            service.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            status = service.answers.pop(0) if len(service.answers) > 1 else service.answers[0]
            self._answer(status, {"id": "1", "status": "Running"})

        def _answer(self, status: int, body: object) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Operation-Location", f"{service.url}/emails/operations/1")
            if status in BUSY:  # whatever carries it is tried again by the SDK, which leaves the first answer unread
                self.send_header("Retry-After", "0")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002 - the base class's

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if context:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        service.url = f"http{'s' if context else ''}://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield service
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """What the SDK wants to see of a server, and trusts for the time of a test."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)  # pyright: ignore[reportUnknownMemberType] - half typed
    return context


def test_a_letter_is_handed_over_once_and_signed(tls: ssl.SSLContext) -> None:
    with a_service(context=tls) as service:
        send(service.settings(), LETTER)

    ((path, headers, body),) = service.asked
    assert urlsplit(path).path == "/emails:send"
    message = json.loads(body)
    assert message["senderAddress"] == SENDER
    assert message["recipients"] == {"to": [{"address": LETTER.to}]}
    assert message["content"] == {"subject": LETTER.subject, "plainText": LETTER.text}
    signed = "\n".join(["POST", path, ";".join(headers[name] for name in ("x-ms-date", "host", "x-ms-content-sha256"))])
    signature = base64.b64encode(hmac.digest(base64.b64decode(KEY), signed.encode(), hashlib.sha256)).decode()
    assert headers["authorization"].endswith(f"Signature={signature}")


def test_a_repeat_by_the_sdk_is_the_same_letter(tls: ssl.SSLContext) -> None:
    with a_service(503, 202, context=tls) as service:
        send(service.settings(), LETTER)

    assert len(service.asked) == 2
    assert len({headers["operation-id"] for _, headers, _ in service.asked}) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 429, 500, 503])
def test_what_is_not_taken_is_said_and_shows_no_secret(
    status: int, tls: ssl.SSLContext, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with a_service(status, context=tls) as service, pytest.raises(UnavailableError, match="did not take the e-mail"):
        send(service.settings(), LETTER)

    (said,) = (record.message for record in caplog.records if record.name == "functions.mail")
    assert said.startswith("an e-mail was not taken: ")
    assert said.endswith(f"Error {status}")
    assert KEY not in caplog.text
    assert "token=x" not in caplog.text


def test_nobody_there_is_an_answer_too() -> None:
    with a_service() as service:
        settings = service.settings()

    with pytest.raises(UnavailableError):
        send(settings, LETTER)


def test_a_managed_identity_needs_no_secret(tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch) -> None:
    with a_service() as identity, a_service(context=tls) as service:
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"{identity.url}/token")
        monkeypatch.setenv("IDENTITY_HEADER", "canary")
        send(MailSettings(acs_endpoint=service.url, acs_sender=SENDER), LETTER)

    ((_, headers, _),) = service.asked
    assert headers["authorization"] == "Bearer canary-token"
