"""A mail server on a port of loopback."""

from collections.abc import Generator
from contextlib import contextmanager
from socket import create_server
from typing import Any

from aiosmtpd.controller import Controller


class Inbox:
    def __init__(self) -> None:
        self.messages: list[str] = []

    async def handle_DATA(self, _server: object, _session: object, envelope: Any) -> str:  # noqa: ANN401, N802 - aiosmtpd's
        self.messages.append(envelope.content.decode())
        return "250 taken"


@contextmanager
def a_mail_server(**options: Any) -> Generator[tuple[Inbox, int]]:  # noqa: ANN401 - aiosmtpd's
    with create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    inbox = Inbox()
    controller = Controller(inbox, hostname="127.0.0.1", port=port, **options)
    controller.start()
    try:
        yield inbox, port
    finally:
        controller.stop()
