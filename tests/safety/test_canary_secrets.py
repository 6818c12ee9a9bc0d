"""Secrets that a request brings or gets are in no log, whatever happens to it, at the most talkative level."""

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr

from functions.api import create_app
from functions.settings import MailSettings, Settings
from shared_code.database.engines import Database
from tests.factories.fleet import Customer, a_customer
from tests.functions.conftest import KEY, NOW
from tests.seams import stripe as stripe_seam
from tests.seams.api_client import ApiClient
from tests.seams.stripe import a_stripe, prices, signed

SignIn = Callable[[Customer], ApiClient]
CANARY = "canary-8c1f"


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG)
    return caplog


def assert_silent(log: pytest.LogCaptureFixture, *secrets: str) -> None:
    whole = log.text + " ".join(str(record.__dict__) for record in log.records)
    assert [secret[:12] for secret in secrets if secret in whole] == []


def test_what_is_given_out_and_brought_back(
    signed_in: SignIn, database: Database, log: pytest.LogCaptureFixture
) -> None:
    client = signed_in(a_customer(database))
    token = client.headers["Authorization"].partition(" ")[2]
    under: dict[str, str] = {"Idempotency-Key": f"{CANARY}-{uuid4()}"}
    key = client.post("/api/organization/api-keys", json={"name": "x", "scopes": ["read"]}, headers=under).json()["key"]
    invitation = {"email": f"{CANARY}@guest.example", "role": "viewer"}
    link = client.post("/api/organization/invitations", json=invitation).json()["link"].partition("#token=")[2]
    guest = signed_in(a_customer(database))
    joined = guest.post("/api/invitations/accept", json={"token": link}).json()["token"]
    client.with_token(key).get("/api/stations")
    fresh = client.post("/api/auth/refresh").json()["token"]
    client.request("GET", "/api/fleet", headers={"Cookie": f"altaviz_session={fresh}", "Authorization": ""})
    dev = client.post("/api/auth/dev", json={"email": "demo@altaviz.dev"}).json()["token"]

    assert all((token, key, link, joined, fresh, dev))
    assert_silent(log, token, key, link, joined, fresh, dev, under["Idempotency-Key"], CANARY, KEY)


@pytest.mark.parametrize("where", ["Authorization", "Cookie", "X-Api-Key", "query", "body"])
def test_what_is_wrong_or_in_the_wrong_place(api: ApiClient, log: pytest.LogCaptureFixture, where: str) -> None:
    sent: dict[str, Any] = {
        "Authorization": {"headers": {"Authorization": f"Bearer {CANARY}"}},
        "Cookie": {"headers": {"Cookie": f"altaviz_session={CANARY}"}},
        "X-Api-Key": {"headers": {"X-Api-Key": CANARY}},
        "query": {"params": {"state": CANARY, "code": CANARY}},
        "body": {"json": {"email": CANARY, "password": CANARY}},
    }[where]
    for method, path in (("GET", "/api/fleet"), ("POST", "/api/auth/dev"), ("GET", "/api/auth/entra/callback")):
        answer = api.request(method, path, **sent)
        assert CANARY not in answer.text
    records = [record for record in log.records if not record.name.startswith("httpx")]  # the test's own client
    assert [record.getMessage() for record in records if CANARY in str(record.__dict__)] == []


def test_a_failure_shows_neither_body_nor_token(
    signed_in: SignIn, database: Database, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no secret here")

    client = signed_in(a_customer(database))
    monkeypatch.setattr("functions.organizations.queries.rename_organization", fail)
    answer = client.request("PATCH", "/api/organization", json={"name": CANARY}, headers={"Idempotency-Key": CANARY})

    assert answer.status_code == 500
    assert "no secret here" in log.text
    assert_silent(log, CANARY, client.headers["Authorization"].partition(" ")[2])


def test_a_purchase_that_stripe_refuses(
    settings: Settings, signed_in: SignIn, database: Database, log: pytest.LogCaptureFixture
) -> None:
    customer = signed_in(a_customer(database))
    with a_stripe(NOW) as stripe, prices():
        client = replace(
            customer,
            app=create_app(replace(settings, billing=stripe.settings), lambda: database, clock=lambda: NOW),
        )
        body = json.dumps(stripe.event("invoice.paid", {"object": "invoice", "customer": CANARY})).encode()
        signature = signed(body, at=NOW)
        taken = client.post("/api/stripe/webhook", content=body, headers={"Stripe-Signature": signature})
        for header in (signature.replace("v1=", "v1=0"), signature.replace("t=", "t=1"), CANARY):
            refused = client.post("/api/stripe/webhook", content=body, headers={"Stripe-Signature": header})
            assert (refused.status_code, signature[20:] in refused.text) == (400, False)
        bought = client.post("/api/billing/checkout", json={"plan": "pro"})
        stripe.failures = [402] * 3
        for path in ("checkout", "portal"):
            assert client.post(f"/api/billing/{path}", json={"plan": "pro"}).status_code == 503

    assert taken.status_code == bought.status_code == 200
    url = bought.json()["url"]
    assert_silent(log, stripe_seam.KEY, stripe_seam.SECRET, CANARY, signature.partition("v1=")[2], url)


def test_settings_are_not_said_when_what_they_are_for_fails(
    settings: Settings, signed_in: SignIn, database: Database, log: pytest.LogCaptureFixture
) -> None:
    mail = MailSettings(
        acs_connection_string=SecretStr(f"endpoint=https://127.0.0.1:9/;accesskey={CANARY}"), acs_sender="a@b.example"
    )
    client = signed_in(a_customer(database))
    app = create_app(replace(settings, mail=mail), lambda: database, clock=lambda: NOW)
    answer = replace(client, app=app).post(
        "/api/organization/invitations", json={"email": "guest@x.example", "role": "viewer"}
    )

    assert answer.status_code == 503
    assert_silent(log, CANARY)
