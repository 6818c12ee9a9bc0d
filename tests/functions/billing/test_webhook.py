"""What Stripe sends: believed by its signature alone, and kept once."""

import json
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from shared_code.database.tables import billing_events, stripe_events
from tests.functions.billing.conftest import START, WEBHOOK, Billing
from tests.seams.stripe import SECRET, signed

OTHER = "whsec_another_secret_of_the_endpoint"


def an_event(billing: Billing, **more: object) -> bytes:
    return json.dumps(billing.stripe.event("invoice.paid", {"object": "invoice", "customer": "cus_1"}, **more)).encode()


def test_an_event_is_kept_once_as_it_came(billing: Billing) -> None:
    customer_id = billing.customer_id()
    event = billing.stripe.subscribe(customer_id)

    answers = [billing.send(json.dumps(event).encode()).json() for _ in range(3)]

    assert answers == [{"received": True, "new": new} for new in (True, False, False)]
    (kept,), (own,) = billing.rows(stripe_events), billing.rows(billing_events)
    assert kept["payload"] == own["payload"] == event
    assert (kept["event_id"], kept["customer_id"], kept["state"]) == (event["id"], customer_id, "waiting")
    assert (own["stripe_event_id"], own["handled_at"]) == (event["id"], None)


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        ("compact", True),
        ("with CRLF", True),
        ("with a byte order mark", True),
        ("not UTF-8", False),
        ("empty", False),
        ("not JSON", False),
        ("a list", False),
        ("deep", False),
        ("with NUL", False),
        ("no event", False),
    ],
)
def test_bodies_that_are_signed(billing: Billing, body: str, *, kept: bool) -> None:
    event = an_event(billing)
    sent = {
        "compact": event,
        "with CRLF": json.dumps(json.loads(event), indent=2).replace("\n", "\r\n").encode() + b"\r\n",
        "with a byte order mark": b"\xef\xbb\xbf" + event,
        "empty": b"",
        "not JSON": b"{",
        "a list": b"[]",
        "deep": b"[" * 100_000,
        "with NUL": event.replace(b"invoice.paid", b"invoice\\u0000"),
        "no event": b'{"object": "customer"}',
        "not UTF-8": b"\xff\xfe",
    }[body]
    headers = {"Stripe-Signature": "t=1,v1=0" if body == "not UTF-8" else signed(sent, at=START)}

    answer = billing.api.post(WEBHOOK, content=sent, headers=headers)

    assert answer.status_code == (200 if kept else 400)
    assert len(billing.rows(stripe_events)) == kept


@pytest.mark.parametrize(("size", "status"), [(1_048_576, 200), (1_048_577, 413)])
def test_a_body_may_have_a_megabyte(billing: Billing, size: int, status: int) -> None:
    body = an_event(billing, padding="")
    padded = body.replace(b'"padding": ""', b'"padding": "' + b"x" * (size - len(body)) + b'"')
    assert len(padded) == size

    assert billing.send(padded).status_code == status


@pytest.mark.parametrize(
    ("seconds", "status"), [(0, 200), (-300, 200), (300, 200), (-301, 400), (301, 400), (-86_400, 400), (86_400, 400)]
)
def test_a_signature_is_good_for_five_minutes_on_either_side(billing: Billing, seconds: int, status: int) -> None:
    answer = billing.send(an_event(billing), at=START + timedelta(seconds=seconds))

    assert answer.status_code == status


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "x",
        "t=,v1=",
        "v1=0",
        "t=1768240800",
        "t=1768240800,v1=" + "0" * 64,
        "t=1768240800,v0={good}",
        "t=1768240799,v1={good}",
        "t=1768240800,v1=\u00e9",
        "t=" + "9" * 5000 + ",v1={good}",
        "t=0,t=1768240800,v1={good}",
        "v1={good}",
        "t=-1768240800,v1={good}",
    ],
)
def test_a_bad_signature_is_refused_and_nothing_is_kept(billing: Billing, header: str | None) -> None:
    body = an_event(billing)
    good = signed(body, at=START).partition("v1=")[2]
    headers = {} if header is None else {b"Stripe-Signature": header.replace("{good}", good).encode("latin-1")}

    answer = billing.api.post(WEBHOOK, content=body, headers=headers)

    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert good not in answer.text
    assert billing.rows(stripe_events) == []


def test_a_body_that_was_changed_on_its_way_is_refused(billing: Billing) -> None:
    body = an_event(billing)
    headers = {"Stripe-Signature": signed(body, at=START)}

    for changed in (body + b" ", body.replace(b"cus_1", b"cus_2"), body[:-1]):
        assert billing.api.post(WEBHOOK, content=changed, headers=headers).status_code == 400


def test_while_the_secret_is_rotated_both_are_good_and_no_delivery_is_lost(billing: Billing) -> None:
    old, new = SecretStr(SECRET), SecretStr(OTHER)
    said: list[tuple[int, int]] = []
    for current, previous in ((old, None), (new, old), (new, None)):
        billing.with_settings(stripe_webhook_secret=current, stripe_webhook_secret_previous=previous)
        said.append(
            (
                billing.send(an_event(billing), secret=SECRET).status_code,
                billing.send(an_event(billing), secret=OTHER).status_code,
            )
        )

    assert said == [(200, 400), (200, 200), (400, 200)]


@pytest.mark.parametrize(
    ("key", "livemode", "state"),
    [
        ("sk_test_x", False, "waiting"),
        ("sk_test_x", True, "parked"),
        ("sk_live_x", False, "parked"),
        ("rk_live_x", True, "waiting"),
        ("rk_test_x", True, "parked"),
    ],
)
def test_live_and_test_mode_never_mix(billing: Billing, key: str, *, livemode: bool, state: str) -> None:
    billing.customer_id()
    billing.with_settings(stripe_api_key=SecretStr(key))
    event = billing.stripe.subscribe(billing.customer_id()) | {"livemode": livemode}

    assert billing.deliver(event) == [200]

    (kept,) = billing.rows(stripe_events)
    assert kept["state"] == state
    assert len(billing.rows(billing_events)) == (state == "waiting")
    assert ("other mode" in (kept["reason"] or "")) == (state == "parked")


def test_what_concerns_nobody_is_kept_and_looked_into_by_nobody(billing: Billing) -> None:
    billing.deliver(billing.stripe.event("product.created", {"object": "product", "id": "prod_1"}))
    billing.handle()

    (kept,) = billing.rows(stripe_events)
    assert (kept["state"], kept["attempts"]) == ("handled", 0)
    assert billing.stripe.asked == []


def test_an_event_that_names_no_customer_is_parked(billing: Billing, caplog: pytest.LogCaptureFixture) -> None:
    event: dict[str, Any] = billing.stripe.event("invoice.paid", {"object": "invoice", "customer": None})
    billing.deliver(event)

    (kept,) = billing.rows(stripe_events)
    assert (kept["state"], kept["reason"]) == ("parked", "it names no customer")
    assert f"event {event['id']} was parked: it names no customer" in caplog.text


def test_stripe_is_not_counted_as_one_caller(billing: Billing) -> None:
    """All its deliveries come from few addresses."""
    edge = billing.settings.edge.model_copy(update={"altaviz_requests_per_minute": 1})
    object.__setattr__(billing.settings, "edge", edge)
    billing.with_settings()

    assert [billing.send(an_event(billing)).status_code for _ in range(5)] == [200] * 5
