"""What Stripe says, and what it means: the rules by themselves."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest

from functions.billing import stripe_events
from functions.billing.stripe_events import (
    GRACE,
    KEEPS,
    Account,
    Failure,
    Keeping,
    NotAnEventError,
    NotUnderstoodError,
    Subscription,
    converge,
    keeping,
)
from functions.plans import Period, Sold
from shared_code.database.tables.organizations import Tier

NOW = datetime(2026, 1, 12, tzinfo=UTC)
SOLD = {
    "price_pro": Sold(Tier.PRO, Period.MONTH),
    "price_enterprise": Sold(Tier.ENTERPRISE, Period.YEAR),
}
ONE = Subscription(
    subscription_id="sub_1",
    status="active",
    created_at=NOW - timedelta(days=40),
    items=(("price_pro", 1),),
    period_start=NOW - timedelta(days=10),
    period_end=NOW + timedelta(days=20),
    trial_end=None,
    cancels_at=None,
)
FAILURE = Failure("in_1", "sub_1", 1, NOW - timedelta(days=2), 4900, "usd")


def account(*subscriptions: Subscription, failures: tuple[Failure, ...] = ()) -> Account:
    return Account("cus_1", deleted=False, subscriptions=subscriptions, failures=failures)


@pytest.mark.parametrize(
    ("status", "failed", "tier", "says"),
    [
        ("active", None, "pro", "active"),
        ("trialing", None, "pro", "trialing"),
        ("past_due", timedelta(), "pro", "past_due"),
        ("past_due", GRACE - timedelta(seconds=1), "pro", "past_due"),
        ("past_due", GRACE, "free", "past_due"),
        ("past_due", timedelta(days=300), "free", "past_due"),
        ("unpaid", timedelta(), "free", "past_due"),
        ("paused", None, "free", "canceled"),
        ("canceled", None, "free", "canceled"),
        ("incomplete", None, "free", "active"),
        ("incomplete_expired", None, "free", "active"),
    ],
)
def test_what_each_status_means(status: str, failed: timedelta | None, tier: str, says: str) -> None:
    failures = (replace(FAILURE, since=NOW - failed),) if failed is not None else ()

    standing = converge(account(replace(ONE, status=status), failures=failures), SOLD, now=NOW)

    assert (standing.tier, standing.status) == (tier, says)


def test_grace_counts_from_the_first_failure_of_the_subscription() -> None:
    failures = (
        replace(FAILURE, invoice_id="in_2", since=NOW - timedelta(days=1)),
        FAILURE,
        replace(FAILURE, invoice_id="in_3", subscription_id="sub_2", since=NOW - timedelta(days=6)),
    )

    standing = converge(account(replace(ONE, status="past_due"), failures=failures), SOLD, now=NOW)

    assert standing.past_due_since == FAILURE.since
    assert standing.grace_until == FAILURE.since + GRACE


def test_without_a_trace_of_the_failure_grace_counts_from_the_period() -> None:
    standing = converge(account(replace(ONE, status="past_due")), SOLD, now=NOW)

    assert (standing.past_due_since, standing.tier) == (ONE.period_start, "free")


def test_a_customer_without_subscriptions_is_on_free_and_a_deleted_one_has_ended() -> None:
    nothing, gone = converge(account(), SOLD, now=NOW), converge(Account("cus_1", deleted=True), SOLD, now=NOW)

    assert (nothing.tier, nothing.status, nothing.customer_deleted) == ("free", "active", False)
    assert (gone.tier, gone.status, gone.customer_deleted) == ("free", "canceled", True)


def test_of_several_the_best_that_gives_something_counts_in_any_order() -> None:
    several = (
        replace(ONE, subscription_id="sub_pro"),
        replace(ONE, subscription_id="sub_trial", status="trialing", items=(("price_enterprise", 1),)),
        replace(ONE, subscription_id="sub_gone", status="canceled", items=(("price_enterprise", 1),)),
        replace(ONE, subscription_id="sub_late", status="past_due", items=(("price_enterprise", 1),)),
        replace(ONE, subscription_id="sub_never", status="incomplete"),
    )
    late = (replace(FAILURE, subscription_id="sub_late"),)

    found = {converge(account(*order, failures=late), SOLD, now=NOW) for order in permutations(several)}

    (standing,) = found
    assert (standing.subscription_id, standing.tier, standing.status) == ("sub_trial", "enterprise", "trialing")


def test_of_those_that_give_nothing_the_one_that_is_owed_is_told_of() -> None:
    ended, owed = replace(ONE, subscription_id="sub_0", status="canceled"), replace(ONE, status="unpaid")

    for order in permutations((ended, owed)):
        assert converge(account(*order), SOLD, now=NOW).status == "past_due"


IN_TEN_DAYS, IN_THIRTY_DAYS = NOW + timedelta(days=10), NOW + KEEPS


@pytest.mark.parametrize(
    ("before", "after", "known", "keeps"),
    [
        (Tier.FREE, Tier.FREE, None, None),
        (Tier.FREE, Tier.PRO, None, None),
        (Tier.PRO, Tier.FREE, None, (Tier.PRO, IN_THIRTY_DAYS)),
        (Tier.ENTERPRISE, Tier.FREE, None, (Tier.ENTERPRISE, IN_THIRTY_DAYS)),
        (Tier.FREE, Tier.FREE, (Tier.PRO, IN_TEN_DAYS), (Tier.PRO, IN_TEN_DAYS)),
        (Tier.FREE, Tier.FREE, (Tier.PRO, NOW), None),
        (Tier.FREE, Tier.PRO, (Tier.PRO, IN_TEN_DAYS), None),
        (Tier.FREE, Tier.PRO, (Tier.ENTERPRISE, IN_TEN_DAYS), (Tier.ENTERPRISE, IN_TEN_DAYS)),
        (Tier.PRO, Tier.FREE, (Tier.ENTERPRISE, IN_TEN_DAYS), (Tier.ENTERPRISE, IN_THIRTY_DAYS)),
        (Tier.PRO, Tier.FREE, (Tier.ENTERPRISE, NOW), (Tier.PRO, IN_THIRTY_DAYS)),
    ],
)
def test_how_long_readings_are_kept_after_a_downgrade(
    before: Tier, after: Tier, known: tuple[Tier, datetime] | None, keeps: tuple[Tier, datetime] | None
) -> None:
    assert keeping(before, after, Keeping(*known) if known else None, now=NOW) == keeps


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"items": (("price_unknown", 1),)}, "no price of a plan: price_unknown"),
        ({"items": ()}, "no price of a plan"),
        ({"items": (("price_pro", 2),)}, "the quantity 2"),
        ({"items": (("price_pro", None),)}, "the quantity None"),
        ({"status": "dreaming"}, "unknown status dreaming"),
    ],
)
def test_what_is_none_of_our_plans_is_not_guessed(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(NotUnderstoodError, match=says):
        converge(account(ONE, replace(ONE, **changes)), SOLD, now=NOW)


def test_what_has_ended_may_be_of_any_price() -> None:
    ended = replace(ONE, subscription_id="sub_0", status="canceled", items=(("price_unknown", 3),))

    assert converge(account(ended, ONE), SOLD, now=NOW).tier == "pro"


def test_what_is_bought_beside_a_plan_does_not_change_it() -> None:
    beside = replace(ONE, items=(("price_support", 3), ("price_pro", 1), ("price_enterprise", 1)))

    assert converge(account(beside), SOLD, now=NOW).tier == "enterprise"


def test_an_event_is_told_by_its_parts() -> None:
    document = {
        "id": "evt_1",
        "object": "event",
        "type": "invoice.paid",
        "livemode": False,
        "created": 1768176000,
        "data": {
            "object": {"id": "in_1", "object": "invoice", "customer": "cus_1", "amount_paid": 5, "currency": "usd"}
        },
    }

    found = stripe_events.event(document)

    assert (found.event_id, found.customer_id, found.amount_cents, found.currency) == ("evt_1", "cus_1", 5, "usd")
    assert found.created_at == NOW
    of_a_customer = document | {"data": {"object": {"id": "cus_2", "object": "customer"}}}
    assert stripe_events.event(of_a_customer).customer_id == "cus_2"


@pytest.mark.parametrize(
    "changes",
    [
        {"id": ""},
        {"id": 7},
        {"id": "x" * 256},
        {"type": None},
        {"type": "x" * 101},
        {"livemode": "no"},
        {"livemode": None},
        {"object": "list"},
        {"created": "yesterday"},
        {"created": 10**30},
        {"data": {}},
        {"data": None},
        {"data": {"object": {"customer": 3}}},
        {"data": {"object": []}},
    ],
)
def test_what_is_no_event_is_refused(changes: dict[str, Any]) -> None:
    document: dict[str, Any] = {
        "id": "evt_1",
        "object": "event",
        "type": "invoice.paid",
        "livemode": False,
        "created": 1768176000,
        "data": {"object": {"customer": "cus_1"}},
    }
    stripe_events.event(document)

    with pytest.raises(NotAnEventError):
        stripe_events.event(document | changes)


@pytest.mark.parametrize("document", [None, 3, "x", [], {}])
def test_nor_is_anything_else(document: object) -> None:
    with pytest.raises(NotAnEventError):
        stripe_events.event(document)
