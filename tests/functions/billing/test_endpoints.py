"""From a click to a plan: checkout, portal, invoices, and who may see and do what."""

from datetime import timedelta

import pytest

from functions.access.roles import RANKS
from shared_code.database.tables import audit_log, billing_events
from shared_code.database.tables.organizations import UserRole
from tests.factories.fleet import a_compressor, a_station
from tests.functions.billing.conftest import START, Billing

CHECKOUT, PORTAL, INVOICES = "/api/billing/checkout", "/api/billing/portal", "/api/billing/invoices"


def test_an_owner_buys_a_plan_and_has_it_seconds_later(billing: Billing) -> None:
    url = billing.checkout(period="year").json()["url"]
    (checkout,) = billing.stripe.checkouts.values()
    events = billing.stripe.finish_checkout(checkout["id"])

    statuses = billing.deliver(*events)
    done = billing.handle()

    assert url == f"https://checkout.stripe.com/c/pay/{checkout['id']}"
    assert statuses == [200, 200, 200]
    assert (done.handled, done.failed, done.parked) == (3, 0, 0)
    assert billing.plan() == ("pro", "active", 20)
    assert billing.state() == {
        "plan": "pro",
        "status": "active",
        "period": "year",
        "period_end": (START + timedelta(days=30)).isoformat().replace("+00:00", "Z"),
        "trial_end": None,
        "cancel_at_period_end": False,
        "cancels_at": None,
        "past_due_since": None,
        "grace_until": None,
        "keeps_until": None,
        "machines_used": 0,
        "machines_allowed": 20,
        "machines_over_limit": 0,
    }
    kept = billing.rows(billing_events)
    assert {row["event_type"] for row in kept} == {event["type"] for event in events}
    assert all(row["handled_at"] == START for row in kept)
    assert {(row["amount_cents"], row["currency"]) for row in kept if row["event_type"] == "invoice.paid"} == {
        (4900, "usd")
    }
    changed = [row for row in billing.rows(audit_log) if row["action"] == "subscription.changed"]
    assert [row["details"] for row in changed] == [
        {"from": {"tier": "free", "status": "active"}, "to": {"tier": "pro", "status": "active"}}
    ]


def test_what_a_checkout_is_made_of(billing: Billing) -> None:
    billing.with_settings(stripe_trial_days=14, stripe_promotion_codes=True)
    billing.checkout(plan="enterprise")

    asked = [form for method, path, form in billing.stripe.asked if (method, path) == ("POST", "/v1/checkout/sessions")]

    mine = str(billing.customer.organization_id)
    assert asked == [
        {
            "mode": "subscription",
            "customer": billing.organization()["stripe_customer_id"],
            "customer_update": {"name": "auto", "address": "auto"},
            "client_reference_id": mine,
            "line_items": {"0": {"price": "price_enterprise_month", "quantity": "1"}},
            "allow_promotion_codes": "true",
            "subscription_data": {"metadata": {"organization_id": mine}, "trial_period_days": "14"},
            "metadata": {
                "organization_id": mine,
                "plan": "enterprise",
                "period": "month",
                "price": "price_enterprise_month",
            },
            "success_url": "http://127.0.0.1:7071/billing?checkout=done",
            "cancel_url": "http://127.0.0.1:7071/billing?checkout=canceled",
        }
    ]


def test_a_trial_is_for_who_never_had_a_subscription(billing: Billing) -> None:
    billing.with_settings(stripe_trial_days=14)
    billing.stripe.subscribe(billing.customer_id(), status="canceled")

    assert billing.checkout().status_code == 200

    (asked,) = (form for method, path, form in billing.stripe.asked if path.endswith("sessions") and method == "POST")
    assert "trial_period_days" not in asked["subscription_data"]


def test_however_many_click_at_once_there_is_one_customer_and_one_open_checkout(billing: Billing) -> None:
    owner = billing.client()
    calls: list[tuple[str, str, dict[str, str], object]] = [("POST", CHECKOUT, owner.headers, {"plan": "pro"})] * 10

    answers = owner.each_at_once(calls)

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["url"] for answer in answers}) == 1
    assert len(billing.stripe.customers) == 1
    assert len(billing.stripe.checkouts) == 1


def test_whoever_changes_their_mind_leaves_one_checkout_that_can_be_paid(billing: Billing) -> None:
    first, second = billing.checkout().json(), billing.checkout(plan="enterprise").json()

    standing = {each["url"]: each["status"] for each in billing.stripe.checkouts.values()}

    assert first != second
    assert standing == {None: "expired", second["url"]: "open"}


def test_a_checkout_that_fails_half_way_finds_its_customer_again(billing: Billing) -> None:
    def fail_the_checkout(path: str) -> None:
        if path == "/v1/customers":
            billing.stripe.failures.append(500)

    billing.stripe.after = fail_the_checkout
    refused = billing.checkout()
    billing.stripe.after = lambda _: None
    billing.stripe.failures.clear()

    assert refused.status_code == 503
    assert billing.organization()["stripe_customer_id"] is None
    assert billing.checkout().status_code == 200
    assert list(billing.stripe.customers) == [billing.organization()["stripe_customer_id"]]


@pytest.mark.parametrize("status", ["active", "trialing", "past_due", "unpaid", "paused"])
def test_who_has_a_subscription_is_sent_to_the_portal(billing: Billing, status: str) -> None:
    billing.stripe.subscribe(billing.customer_id(), status=status)  # of which no event has told us

    refused = billing.checkout()

    assert refused.status_code == 409
    assert "customer portal" in refused.json()["detail"]
    assert billing.stripe.checkouts == {}
    assert billing.client().post(PORTAL).json()["url"].startswith("https://billing.stripe.com/")


def test_a_deleted_customer_is_followed_by_a_new_one(billing: Billing) -> None:
    billing.checkout()
    gone = billing.organization()["stripe_customer_id"]
    billing.deliver(billing.stripe.delete_customer(gone))
    billing.handle()

    assert billing.plan() == ("free", "canceled", 2)
    assert billing.client().post(PORTAL).status_code == 409
    assert billing.checkout().status_code == 200
    assert billing.organization()["stripe_customer_id"] not in {gone, None}
    assert billing.client().post(PORTAL).status_code == 200
    billing.stripe.finish_checkout(list(billing.stripe.checkouts)[-1])  # of which no event tells
    assert billing.reconcile().mended == 1
    assert billing.plan() == ("pro", "active", 20)


def test_there_is_no_portal_before_there_is_anything_to_manage(billing: Billing) -> None:
    refused = billing.client().post(PORTAL)

    assert refused.status_code == 409
    assert "checkout" in refused.json()["detail"]


def test_invoices_are_listed_in_pages(billing: Billing) -> None:
    assert billing.client().get(INVOICES).json() == {"items": [], "next": None}
    created = billing.stripe.subscribe(billing.customer_id())
    made = [billing.stripe.an_invoice(created["data"]["object"]["id"]) for _ in range(5)]
    other = billing.stripe.subscribe(billing.stripe.a_customer())
    billing.stripe.an_invoice(other["data"]["object"]["id"])

    owner, shown, cursor = billing.client(), list[str](), ""
    while True:
        page = owner.get(INVOICES, params={"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
        shown += [item["id"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break

    assert shown == [invoice["id"] for invoice in reversed(made)]
    assert owner.get(INVOICES, params={"limit": 1}).json()["items"][0] == {
        "id": made[-1]["id"],
        "number": made[-1]["number"],
        "status": "paid",
        "created_at": "2026-01-12T18:00:00Z",
        "amount_due": 4900,
        "amount_paid": 4900,
        "currency": "usd",
        "page_url": made[-1]["hosted_invoice_url"],
        "pdf_url": made[-1]["invoice_pdf"],
    }


@pytest.mark.parametrize("role", RANKS)
def test_who_may_do_what(billing: Billing, role: UserRole) -> None:
    client, is_owner = billing.client(role), role is UserRole.OWNER

    answers = [
        client.get("/api/billing/subscription"),
        client.get(INVOICES),
        client.post(CHECKOUT, json={"plan": "pro"}),
        client.post(PORTAL),
    ]

    assert [answer.status_code for answer in answers] == ([200, 200, 200, 200] if is_owner else [200, 403, 403, 403])


def test_anybody_sees_the_plans(billing: Billing) -> None:
    items = billing.api.get("/api/billing/plans").json()["items"]

    assert [(item["plan"], item["price_usd"], item["price_usd_year"], item["periods"]) for item in items] == [
        ("free", 0, None, []),
        ("pro", 49, 490, ["month", "year"]),
        ("enterprise", 199, 1990, ["month", "year"]),
    ]
    assert items[0].keys() == {
        "plan",
        "name",
        "price_usd",
        "price_usd_year",
        "max_compressors",
        "windows",
        "retention_days",
        "requests_per_minute",
        "predictions",
        "periods",
    }


@pytest.mark.parametrize("wanted", [{}, {"plan": "free"}, {"plan": "pro", "period": "week"}, {"plan": "pro", "x": 1}])
def test_a_wrong_wish_is_told_what_to_mend(billing: Billing, wanted: object) -> None:
    answer = billing.client().post(CHECKOUT, json=wanted)

    assert answer.status_code == 422
    assert answer.json()["errors"]


def test_without_stripe_billing_says_so_and_all_else_works(billing: Billing) -> None:
    billing.customer_id()
    billing.with_settings(stripe_api_key=None, stripe_webhook_secret=None)
    owner = billing.client()

    closed = [
        owner.post(CHECKOUT, json={"plan": "pro"}),
        owner.post(PORTAL),
        owner.get(INVOICES),
        billing.send(b"{}"),
    ]

    assert [answer.status_code for answer in closed] == [503, 503, 503, 503]
    details = {answer.json()["detail"] for answer in closed}
    assert details == {
        "this installation sells nothing: STRIPE_API_KEY is not set",
        "this installation takes no events: STRIPE_WEBHOOK_SECRET is not set",
    }
    assert owner.get("/api/billing/subscription").json()["plan"] == "free"
    assert owner.get("/api/fleet").status_code == 200
    assert billing.handle().handled == 0


def test_a_plan_without_a_price_is_not_sold(billing: Billing, monkeypatch: pytest.MonkeyPatch) -> None:
    from functions.plans import plans  # noqa: PLC0415 - only here

    monkeypatch.setenv("STRIPE_PRICE_PRO_YEAR", "")
    plans.cache_clear()

    refused = billing.checkout(period="year")

    assert (refused.status_code, refused.json()["detail"]) == (
        503,
        "this installation does not sell the Pro plan by the year",
    )


def test_when_stripe_is_away_the_answer_is_a_503_that_says_nothing_of_it(billing: Billing) -> None:
    billing.stripe.failures = [500]

    refused = billing.checkout()

    assert (refused.status_code, refused.json()["detail"]) == (503, "Stripe does not answer; try again later")
    assert billing.organization()["stripe_customer_id"] is None


def test_machines_over_the_limit_are_marked_and_stay(billing: Billing) -> None:
    created = billing.stripe.subscribe(billing.customer_id())
    billing.deliver(created)
    billing.handle()
    a_station(billing.database, billing.customer)
    for number in range(1, 5):
        a_compressor(billing.database, billing.customer, f"COMP-{number:03}")
    owner = billing.client()
    before = owner.get("/api/compressors")

    billing.deliver(billing.stripe.change(created["data"]["object"]["id"], status="canceled"))
    billing.handle()
    after = owner.get("/api/compressors", headers={"If-None-Match": before.headers["ETag"]})

    assert [item["over_plan_limit"] for item in before.json()["items"]] == [False] * 4
    assert [item["over_plan_limit"] for item in after.json()["items"]] == [False, False, True, True]
    assert owner.get("/api/compressors/COMP-004").json()["over_plan_limit"] is True
    assert billing.state()["machines_over_limit"] == 2
    assert owner.get("/api/compressors/COMP-004/readings", params={"window": "24hr"}).status_code == 403
    another = {"compressor_id": "COMP-005", "model": "x", "horsepower": 1, "station_id": "STATION-A"}
    assert owner.post("/api/compressors", json=another).status_code == 403
    owner.request("DELETE", "/api/compressors/COMP-001")
    left = owner.get("/api/compressors").json()["items"]
    assert {item["compressor_id"]: item["over_plan_limit"] for item in left} == {
        "COMP-002": False,
        "COMP-003": False,
        "COMP-004": True,
    }
