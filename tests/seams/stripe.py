"""Stripe, on loopback: it keeps customers, subscriptions, invoices and checkouts, and tells of what happens to them.

What it answers has fields that stripe-mock's answers have; `tests/functions/billing/test_stripe_gateway.py` compares.
"""

import json
import re
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from threading import RLock, Thread
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

import pytest
from pydantic import SecretStr
from stripe import WebhookSignature

from functions.plans import plans
from functions.settings import BillingSettings

KEY = "sk_test_canary5d1f"  # of a server that lives for one test
SECRET = "whsec_canary7a2c_of_the_endpoint"  # noqa: S105 - likewise
PRICES = {
    "STRIPE_PRICE_PRO_MONTH": "price_pro_month,price_pro_of_old",
    "STRIPE_PRICE_PRO_YEAR": "price_pro_year",
    "STRIPE_PRICE_ENTERPRISE_MONTH": "price_enterprise_month",
    "STRIPE_PRICE_ENTERPRISE_YEAR": "price_enterprise_year",
}
MONTH = 30 * 24 * 3600

Document = dict[str, Any]
_NAME = re.compile(r"[^\[\]]+")


def signed(body: bytes, *, at: datetime, secret: str = SECRET) -> str:
    """Return the signature of a delivery, as Stripe makes it."""
    return WebhookSignature.generate_signature_header(body.decode(), secret, int(at.timestamp()))  # pyright: ignore[reportUnknownMemberType] - it carries half its types


@contextmanager
def prices() -> Generator[None]:
    """Let plans be for sale."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name, value in PRICES.items():
            monkeypatch.setenv(name, value)
        plans.cache_clear()
        yield
    plans.cache_clear()


def unfold(form: str) -> Document:
    """Return a form whose names are like `line_items[0][price]` as what it means."""
    found: Document = {}
    for name, value in parse_qsl(form, keep_blank_values=True):
        *path, last = _NAME.findall(name)
        inner = found
        for part in path:
            inner = inner.setdefault(part, {})
        inner[last] = value
    return found


@dataclass
class Stripe:
    """Its objects by kind and id, what it was asked, and what it does before it answers."""

    port: int = 0
    now: int = 0
    customers: dict[str, Document] = field(default_factory=dict[str, Document])
    subscriptions: dict[str, Document] = field(default_factory=dict[str, Document])
    invoices: dict[str, Document] = field(default_factory=dict[str, Document])
    checkouts: dict[str, Document] = field(default_factory=dict[str, Document])
    asked: list[tuple[str, str, Document]] = field(default_factory=list[tuple[str, str, Document]])
    keys: dict[str, tuple[Document, Document]] = field(default_factory=dict[str, tuple[Document, Document]])
    failures: list[int] = field(default_factory=list[int])
    """Statuses of the next answers, each in the place of a good one."""
    before: Callable[[str], None] = lambda _: None
    """What is done while the sender waits; gets the path."""
    after: Callable[[str], None] = lambda _: None
    """What is done once an answer is made, before it is sent; gets the path."""
    _lock: Any = field(default_factory=RLock)
    _numbers: Any = field(default_factory=lambda: count(1))

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def settings(self) -> BillingSettings:
        """What an installation is told that reaches this one."""
        return BillingSettings(
            stripe_api_key=SecretStr(KEY), stripe_webhook_secret=SecretStr(SECRET), stripe_api_base=self.address
        )

    # What happens at Stripe: each returns the event that tells of it.

    def event(self, kind: str, about: Document, **more: object) -> Document:
        return {
            "id": f"evt_{uuid4().hex}",
            "object": "event",
            "type": kind,
            "livemode": False,
            "created": self.now,
            "api_version": "2026-10-28.endive",
            "data": {"object": json.loads(json.dumps(about))},
        } | more

    def a_customer(self, **more: object) -> str:
        customer: Document = {
            "id": f"cus_{uuid4().hex}",
            "object": "customer",
            "metadata": {},
            "livemode": False,
            **more,
        }
        self.customers[customer["id"]] = customer
        return customer["id"]

    def delete_customer(self, customer_id: str) -> Document:
        for each in self._of(self.subscriptions, customer_id):
            each["status"] = "canceled"
        self.customers[customer_id] = {"id": customer_id, "object": "customer", "deleted": True}
        return self.event("customer.deleted", {"id": customer_id, "object": "customer", "deleted": True})

    def subscribe(self, customer_id: str, price: str = "price_pro_month", **more: object) -> Document:
        """Begin a subscription, and return the event that tells of it."""
        identifier = f"sub_{uuid4().hex}"
        quantity = more.pop("quantity", 1)
        item = {
            "id": f"si_{next(self._numbers)}",
            "object": "subscription_item",
            "price": {"id": price, "object": "price", "currency": "usd"},
            "quantity": quantity,
            "current_period_start": self.now,
            "current_period_end": self.now + MONTH,
        }
        self.subscriptions[identifier] = {
            "id": identifier,
            "object": "subscription",
            "customer": customer_id,
            "status": "active",
            "created": self.now,
            "items": {"object": "list", "data": [item], "has_more": False},
            "trial_end": None,
            "cancel_at": None,
            "cancel_at_period_end": False,
            "metadata": {},
            "livemode": False,
        } | more
        return self.event("customer.subscription.created", self.subscriptions[identifier])

    def change(self, subscription_id: str, **changes: object) -> Document:
        price = changes.pop("price", None)
        self.subscriptions[subscription_id] |= changes
        if price is not None:
            self.subscriptions[subscription_id]["items"]["data"][0]["price"]["id"] = price
        kind = "deleted" if changes.get("status") == "canceled" else "updated"
        return self.event(f"customer.subscription.{kind}", self.subscriptions[subscription_id])

    def an_invoice(self, subscription_id: str, **more: object) -> Document:
        subscription = self.subscriptions[subscription_id]
        identifier = f"in_{uuid4().hex}"
        self.invoices[identifier] = {
            "id": identifier,
            "object": "invoice",
            "customer": subscription["customer"],
            "number": f"ALT-{next(self._numbers):04}",
            "status": "paid",
            "created": self.now,
            "attempt_count": 1,
            "amount_due": 4900,
            "amount_paid": 4900,
            "amount_remaining": 0,
            "currency": "usd",
            "hosted_invoice_url": f"https://invoice.stripe.com/i/{identifier}",
            "invoice_pdf": f"https://pay.stripe.com/invoice/{identifier}/pdf",
            "status_transitions": {"finalized_at": self.now, "paid_at": None},
            "parent": {
                "type": "subscription_details",
                "subscription_details": {"subscription": subscription_id, "metadata": {}},
            },
            "livemode": False,
        } | more
        return self.invoices[identifier]

    def pay(self, subscription_id: str) -> Document:
        """Let what is owed be paid."""
        owed = [each for each in self.invoices.values() if self._is_owed(each, subscription_id)]
        for invoice in owed:
            invoice |= {"status": "paid", "amount_paid": 4900, "amount_remaining": 0}
        self.subscriptions[subscription_id]["status"] = "active"
        return self.event("invoice.paid", owed[-1] if owed else self.an_invoice(subscription_id))

    def fail_payment(self, subscription_id: str) -> Document:
        """Let a payment fail: of a new invoice, or once more of the one that is owed."""
        owed = [each for each in self.invoices.values() if self._is_owed(each, subscription_id)]
        if owed:
            owed[-1]["attempt_count"] += 1
        open_one = {"status": "open", "amount_paid": 0, "amount_remaining": 4900}
        invoice = owed[-1] if owed else self.an_invoice(subscription_id, **open_one)
        self.subscriptions[subscription_id]["status"] = "past_due"
        return self.event("invoice.payment_failed", invoice)

    def finish_checkout(self, checkout_id: str) -> list[Document]:
        """Let somebody pay at a checkout; return the events that tell of it, in no order that can be relied upon."""
        checkout = self.checkouts[checkout_id]
        created = self.subscribe(checkout["customer"], checkout["metadata"]["price"])
        subscription_id = created["data"]["object"]["id"]
        checkout |= {"status": "complete", "url": None, "subscription": subscription_id}
        completed = self.event("checkout.session.completed", checkout)
        return [completed, created, self.event("invoice.paid", self.an_invoice(subscription_id))]

    def _is_owed(self, invoice: Document, subscription_id: str) -> bool:
        whose = invoice["parent"]["subscription_details"]["subscription"]
        return whose == subscription_id and invoice["status"] == "open"

    def _of(self, kind: dict[str, Document], customer_id: str | None) -> list[Document]:
        return [each for each in kind.values() if customer_id is None or each["customer"] == customer_id]

    # What it answers.

    def answer(self, method: str, path: str, asked: Document, key: str | None) -> tuple[int, Document]:
        with self._lock:
            self.asked.append((method, path, asked))
            if self.failures:
                status = self.failures.pop(0)
                return status, {"error": {"type": "api_error", "message": f"canary {status}"}}
            if method == "POST" and key is not None and key in self.keys:
                before, known = self.keys[key]
                if before != asked:
                    return 400, {"error": {"type": "idempotency_error", "message": "canary: another request"}}
                return 200, known
            status, made = self._do(method, path.removeprefix("/v1/").split("/"), asked)
            if method == "POST" and key is not None and status == 200:
                self.keys[key] = (asked, json.loads(json.dumps(made)))
            return status, made

    def _do(  # noqa: PLR0911 - one line for each thing it is asked
        self, method: str, parts: list[str], asked: Document
    ) -> tuple[int, Document]:
        match method, parts:
            case "POST", ["customers"]:
                return 200, self.customers[self.a_customer(**asked)]
            case "GET", ["customers", identifier] if identifier in self.customers:
                return 200, self.customers[identifier]
            case "GET", ["subscriptions"]:
                return 200, self._page(self.subscriptions, asked, "/v1/subscriptions")
            case "GET", ["invoices"]:
                return 200, self._page(self.invoices, asked, "/v1/invoices")
            case "GET", ["checkout", "sessions"]:
                return 200, self._page(self.checkouts, asked, "/v1/checkout/sessions")
            case "POST", ["checkout", "sessions"]:
                return 200, self._checkout(asked)
            case "POST", ["checkout", "sessions", identifier, "expire"]:
                self.checkouts[identifier] |= {"status": "expired", "url": None}
                return 200, self.checkouts[identifier]
            case "POST", ["billing_portal", "sessions"]:
                session = {"id": f"bps_{next(self._numbers)}", "object": "billing_portal.session", **asked}
                return 200, session | {"url": f"https://billing.stripe.com/p/session/{session['id']}"}
            case _:
                return 404, {"error": {"type": "invalid_request_error", "code": "resource_missing", "message": "no"}}

    def _checkout(self, asked: Document) -> Document:
        identifier = f"cs_test_{uuid4().hex}"
        made = {
            "id": identifier,
            "object": "checkout.session",
            "status": "open",
            "url": f"https://checkout.stripe.com/c/pay/{identifier}",
            "customer": asked["customer"],
            "metadata": asked["metadata"],
            "client_reference_id": asked["client_reference_id"],
            "mode": asked["mode"],
            "subscription": None,
            "livemode": False,
        }
        self.checkouts[identifier] = made
        return made

    def _page(self, kind: dict[str, Document], asked: Document, url: str) -> Document:
        """Return a page of a list, the newest first."""
        found = [
            each
            for each in reversed(self._of(kind, asked.get("customer")))
            if asked.get("status", "all") in {"all", each["status"]}
        ]
        if "starting_after" in asked:
            found = found[[each["id"] for each in found].index(asked["starting_after"]) + 1 :]
        limit = int(asked.get("limit", "10"))
        return {"object": "list", "url": url, "data": found[:limit], "has_more": len(found) > limit}


@contextmanager
def a_stripe(now: datetime) -> Generator[Stripe]:
    stripe = Stripe(now=int(now.timestamp()))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else each answer waits for an acknowledgement of its head

        def do_GET(self) -> None:
            self._serve(urlsplit(self.path).query)

        def do_POST(self) -> None:
            self._serve(self.rfile.read(int(self.headers["Content-Length"] or 0)).decode())

        def _serve(self, form: str) -> None:
            path = urlsplit(self.path).path
            stripe.before(path)
            if self.headers["Authorization"] != f"Bearer {KEY}":
                status, made = 401, {"error": {"type": "invalid_request_error", "message": "no such key"}}
            else:
                status, made = stripe.answer(self.command, path, unfold(form), self.headers["Idempotency-Key"])
            body = json.dumps(made).encode()
            stripe.after(path)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Request-Id", "req_1")
            self.send_header("Stripe-Should-Retry", "false")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401 - the library's signature
            del format, args

    class Server(ThreadingHTTPServer):
        request_queue_size = 256
        daemon_threads = True

    server = Server(("127.0.0.1", 0), Handler)
    stripe.port = server.server_port
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield stripe
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
