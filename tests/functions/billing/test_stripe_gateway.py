"""What is asked of Stripe, against stripe-mock; and what it says when Stripe does not answer."""

# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownMemberType=false
# JSON, and a library that says little of what it takes.

import logging
import re
from collections.abc import Generator, Iterator
from typing import Any, Final
from uuid import UUID

import httpx
import pytest
import stripe
from pydantic import SecretStr

from functions.billing.stripe_gateway import StripeGateway, open_gateway
from functions.settings import BillingSettings
from shared_code.errors import UnavailableError
from shared_code.identifiers import OrganizationId
from tests.functions.billing.conftest import START, Billing
from tests.seams.stripe import KEY, Document, a_stripe
from tests.seams.stripe_mock import a_stripe_mock

OURS: Final = OrganizationId(UUID(int=7))
FREE_FORM: Final = frozenset({"metadata"})
"""Fields that hold whatever whoever writes them wants."""


@pytest.fixture(scope="module")
def stripe_mock() -> Generator[str]:
    with a_stripe_mock() as address:
        yield address


@pytest.fixture
def gateway(stripe_mock: str) -> StripeGateway:
    return StripeGateway(BillingSettings(stripe_api_key=SecretStr(KEY), stripe_api_base=stripe_mock))


@pytest.mark.parametrize(
    ("method", "positional", "named"),
    [
        ("read_account", ["cus_1"], {}),
        ("create_customer", [OURS], {"idempotency_key": "customer-1"}),
        ("list_open_checkouts", ["cus_1"], {}),
        ("expire_checkout", ["cs_test_1"], {}),
        ("create_portal", ["cus_1"], {"return_url": "https://altaviz.example/billing", "idempotency_key": "portal-1"}),
        ("list_invoices", ["cus_1"], {"after": None, "limit": 13}),
        ("list_invoices", ["cus_1"], {"after": "in_1", "limit": 100}),
    ],
)
def test_stripe_takes_what_is_asked(
    gateway: StripeGateway, method: str, positional: list[Any], named: dict[str, Any]
) -> None:
    getattr(gateway, method)(*positional, **named)


def test_stripe_takes_the_list_of_all_subscriptions(gateway: StripeGateway) -> None:
    ((customer_id, subscription),) = gateway.list_subscriptions()

    assert customer_id.startswith("cus_")
    assert subscription.subscription_id.startswith("sub_")
    assert subscription.period_end is not None


def a_life(billing: Billing) -> None:
    """Let everything be asked of Stripe that the API ever asks."""
    billing.with_settings(stripe_trial_days=14, stripe_promotion_codes=True)
    billing.checkout(plan="enterprise", period="year")
    billing.checkout(plan="pro")
    (checkout,) = (each for each in billing.stripe.checkouts.values() if each["status"] == "open")
    billing.take_in(*billing.stripe.finish_checkout(checkout["id"]))
    billing.handle()
    billing.take_in(billing.stripe.fail_payment(checkout["subscription"]))
    billing.handle()
    billing.reconcile()
    owner = billing.client()
    page = owner.get("/api/billing/invoices", params={"limit": 1}).json()
    owner.get("/api/billing/invoices", params={"limit": 1, "cursor": page["next"]})
    owner.post("/api/billing/portal")


def test_stripe_takes_all_that_the_api_asks_in_a_whole_life(billing: Billing, stripe_mock: str) -> None:
    a_life(billing)
    client = stripe.StripeClient(KEY, base_addresses={"api": stripe_mock})
    asked = {(method, re.sub(r"(cs|cus)_\w+", "ID", path)) for method, path, _ in billing.stripe.asked}

    for method, path, params in billing.stripe.asked:
        assert client.raw_request(method.lower(), path, **params).code == 200

    assert asked == {
        ("GET", "/v1/checkout/sessions"),
        ("GET", "/v1/customers/ID"),
        ("GET", "/v1/invoices"),
        ("GET", "/v1/subscriptions"),
        ("POST", "/v1/billing_portal/sessions"),
        ("POST", "/v1/checkout/sessions"),
        ("POST", "/v1/checkout/sessions/ID/expire"),
        ("POST", "/v1/customers"),
    }


def test_stripe_mock_refuses_what_stripe_does_not_know(gateway: StripeGateway) -> None:
    """Without this the tests above would show nothing."""
    with pytest.raises(UnavailableError):
        gateway.create_checkout({"mode": "subscription", "plan": "pro"}, idempotency_key="x")


def unlike(ours: Any, theirs: Any, at: str) -> Iterator[str]:  # noqa: ANN401 - JSON
    """Yield where a document has what the other has not, or what is of another kind."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for name, value in ours.items():
            if name not in theirs:
                yield f"{at}.{name}"
            elif name not in FREE_FORM:
                yield from unlike(value, theirs[name], f"{at}.{name}")
    elif isinstance(ours, list) and isinstance(theirs, list):
        for value in ours if theirs else []:
            yield from unlike(value, theirs[0], f"{at}[]")
    elif ours is not None and theirs is not None and type(ours) is not type(theirs):
        yield f"{at} is {type(ours).__name__}, not {type(theirs).__name__}"


def test_what_the_stand_in_answers_is_shaped_as_stripe_answers(billing: Billing, stripe_mock: str) -> None:
    a_life(billing)
    mine = billing.stripe
    portal = mine.answer("POST", "/v1/billing_portal/sessions", {"customer": "cus_1", "return_url": "x"}, None)[1]
    gone = mine.a_customer()
    happened = mine.delete_customer(gone)
    with httpx.Client(base_url=f"{stripe_mock}/v1/", headers={"Authorization": f"Bearer {KEY}"}) as client:
        pairs: list[tuple[Document, httpx.Response]] = [
            (next(iter(mine.customers.values())), client.get("customers/cus_1")),
            (mine.customers[gone], client.delete("customers/cus_1")),
            (next(iter(mine.subscriptions.values())), client.get("subscriptions/sub_1")),
            (next(iter(mine.invoices.values())), client.get("invoices/in_1")),
            (next(iter(mine.checkouts.values())), client.get("checkout/sessions/cs_1")),
            (mine.answer("GET", "/v1/invoices", {}, None)[1], client.get("invoices")),
            (portal, client.post("billing_portal/sessions", data={"customer": "cus_1"})),
            (happened | {"data": {"object": {}}}, client.get("events/evt_1")),
        ]

    found = [each for ours, theirs in pairs for each in unlike(ours, theirs.json(), ours["object"])]

    assert found == []


def test_documents_that_are_unlike_are_found() -> None:
    assert list(unlike({"a": 1, "b": [{"c": ""}]}, {"a": "", "b": [{"d": ""}]}, "x")) == [
        "x.a is int, not str",
        "x.b[].c",
    ]


@pytest.mark.parametrize("status", [400, 401, 402, 404, 409, 429, 500, 503])
def test_whatever_stripe_refuses_its_words_and_the_key_stay_out_of_the_log(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with a_stripe(START) as server:
        gateway = StripeGateway(BillingSettings(stripe_api_key=SecretStr(KEY), stripe_api_base=server.address))
        server.failures = [status]
        with pytest.raises(UnavailableError) as refusal:
            gateway.read_account("cus_1")

    assert str(refusal.value) == "Stripe does not answer; try again later"
    assert f"status {status}, code None, request req_1" in caplog.text
    assert "canary" not in caplog.text


def test_a_stripe_that_is_not_there_does_not_answer() -> None:
    with a_stripe(START) as server:
        pass
    gateway = StripeGateway(BillingSettings(stripe_api_key=SecretStr(KEY), stripe_api_base=server.address))

    with pytest.raises(UnavailableError, match="does not answer"):
        gateway.read_account("cus_1")


def test_the_client_is_made_when_it_is_first_used() -> None:
    settings = BillingSettings(stripe_api_key=SecretStr(KEY))
    gateway = open_gateway(settings)  # pyright: ignore[reportArgumentType] - frozen, so it has a hash

    assert "_client" not in vars(gateway)
    assert open_gateway(settings.model_copy()) is gateway  # pyright: ignore[reportArgumentType] - likewise
    with pytest.raises(UnavailableError, match="STRIPE_API_KEY is not set"):
        open_gateway(BillingSettings())  # pyright: ignore[reportArgumentType] - likewise
