"""Measures how fast Stripe's events are acknowledged and forged ones refused: prints lines of JSON.

`python -m benchmarks.webhooks`. The API runs as `python -m functions` does, in a process of its own over an embedded
PostgreSQL, and handles the events meanwhile, with a Stripe that this process plays. Beside it stands a peer: an
endpoint that does nothing but check the signature, served by uvicorn too.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from threading import Thread, local
from typing import Annotated, Final

import uvicorn
from fastapi import FastAPI, Header, HTTPException, Request
from sqlalchemy import func, select, update
from stripe import SignatureVerificationError, WebhookSignature

from functions.local import listen
from shared_code.database import transactions
from shared_code.database.home import open_database
from shared_code.database.tables import billing_events, organizations, stripe_events
from shared_code.settings import DatabaseSettings, read
from tests.factories.fleet import a_customer
from tests.seams.stripe import KEY, PRICES, SECRET, Stripe, a_stripe, signed

EACH: Final = 1 / 200
SECONDS: Final = 20
CUSTOMERS: Final = 20
FORGED: Final = 500
SENDERS: Final = 32
WEBHOOK: Final = "/api/stripe/webhook"


def main() -> None:
    """Serve, send, and print."""
    now = datetime.now(UTC)
    with tempfile.TemporaryDirectory(prefix="altaviz-webhooks-") as folder, a_stripe(now) as stripe:
        data = Path(folder, "postgresql")
        database = open_database(read(DatabaseSettings, data_dir=data), now=now)
        try:
            customers = [stripe.a_customer() for _ in range(CUSTOMERS)]
            for customer_id in customers:
                own = organizations.c.id == a_customer(database).organization_id
                stripe.subscribe(customer_id)
                with transactions.owner(database) as connection:
                    connection.execute(update(organizations).where(own).values(stripe_customer_id=customer_id))
            environment = PRICES | {
                "ALTAVIZ_DATABASE_DIR": str(data),
                "SESSION_SECRET": "of this measurement alone, and no other",
                "STRIPE_API_KEY": KEY,
                "STRIPE_WEBHOOK_SECRET": SECRET,
                "STRIPE_API_BASE": stripe.address,
            }
            with serving("functions", "--port", "0", **environment) as url:
                ours = measure(url, stripe, customers)
            with serving("benchmarks.webhooks", "peer") as url:
                peers = measure(url, stripe, customers)
            with transactions.owner(database) as connection:
                kept = {
                    table.name: connection.scalar(select(func.count()).select_from(table))
                    for table in (stripe_events, billing_events)
                }
        finally:
            database.dispose()
    for what, took in ours.items():
        ratio = took["p50 ms"] / peers[what]["p50 ms"]
        print(json.dumps({what: took, "peer": peers[what], "p50 over peer's": round(ratio, 1)}))
    print(json.dumps({"kept": kept}))


@contextmanager
def serving(*arguments: str, **environment: str) -> Generator[str]:
    """Run one of our programs that serves and says its address in the fourth word of its first line."""
    command = [sys.executable, "-m", *arguments]
    with subprocess.Popen(  # noqa: S603 - our own program
        command, env=os.environ | environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdout is not None  # noqa: S101 - piped above
        url = server.stdout.readline().split()[3]
        # Somebody has to read what it says, or it will wait for that.
        Thread(target=deque, args=(server.stdout, 0), daemon=True).start()
        try:
            yield url
        finally:
            server.terminate()


def measure(url: str, stripe: Stripe, customers: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return how long events took that are signed, at a steady pace, and how long forged ones, one after the other."""
    sender = Sender(url.removeprefix("http://"))
    for _ in range(20):  # warm
        sender.send(_an_event(stripe, customers[0]), 200)
    forged: list[float] = []
    for _ in range(FORGED):
        body, header = _an_event(stripe, customers[0])
        forged.append(sender.send((body + b" ", header), 400))
    began = time.perf_counter()
    with ThreadPoolExecutor(SENDERS) as pool:
        sent: list[Future[float]] = []
        for n in range(int(SECONDS / EACH)):
            due = began + n * EACH
            time.sleep(max(0.0, due - time.perf_counter()))
            sent.append(pool.submit(sender.send, _an_event(stripe, customers[n % len(customers)]), 200, due))
        taken = [each.result() for each in sent]
    pace = len(taken) / (time.perf_counter() - began)
    return {
        "200 a second, signed": _summary(taken) | {"a second": round(pace, 1)},
        "one after the other, forged": _summary(forged),
    }


def _an_event(stripe: Stripe, customer_id: str) -> tuple[bytes, str]:
    event = stripe.event("invoice.paid", {"object": "invoice", "customer": customer_id, "amount_paid": 4900})
    body = json.dumps(event).encode()
    return body, signed(body, at=datetime.now(UTC))


class Sender(local):
    """Sends deliveries, each thread over a connection of its own."""

    def __init__(self, address: str) -> None:
        self._connection = HTTPConnection(address, timeout=30)

    def send(self, event: tuple[bytes, str], expected: int, due: float | None = None) -> float:
        """Send a delivery; return the milliseconds until its answer, since it was `due` where that is said."""
        body, header = event
        headers = {"Stripe-Signature": header, "Content-Type": "application/json"}
        began = time.perf_counter() if due is None else due
        self._connection.request("POST", WEBHOOK, body, headers)
        answer = self._connection.getresponse()
        said = answer.read()
        took = (time.perf_counter() - began) * 1000
        assert answer.status == expected, said  # noqa: S101 - else there is nothing to measure
        return took


def _summary(took: Sequence[float]) -> dict[str, float]:
    p99 = statistics.quantiles(took, n=100)[98]
    return {"p50 ms": round(statistics.median(took), 1), "p99 ms": round(p99, 1), "requests": len(took)}


def peer() -> None:
    """Serve an endpoint that does nothing but check the signature."""
    app = FastAPI()

    @app.post(WEBHOOK)
    async def receive(request: Request, stripe_signature: Annotated[str, Header()]) -> dict[str, bool]:  # pyright: ignore[reportUnusedFunction] - FastAPI has it
        try:
            WebhookSignature.verify_header(await request.body(), stripe_signature, SECRET, 300)  # pyright: ignore[reportUnknownMemberType] - it carries half its types
        except SignatureVerificationError:
            raise HTTPException(400) from None
        return {"received": True}

    with listen("127.0.0.1", 0) as listener:
        print(f"peer listens on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run([listener])


if __name__ == "__main__":
    peer() if sys.argv[1:] == ["peer"] else main()
