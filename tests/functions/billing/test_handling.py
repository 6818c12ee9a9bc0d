"""What follows from what Stripe tells, whatever is lost, repeated or reordered, and wherever it is stopped."""

import json
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from itertools import permutations
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.exc import IntegrityError

from functions.access import queries as access_queries
from functions.billing import handling, queries
from functions.billing.handling import CLAIMED_FOR, WAITS
from functions.billing.stripe_events import GRACE
from functions.billing.stripe_gateway import StripeGateway, open_gateway
from functions.settings import MailSettings
from shared_code.database import transactions
from shared_code.database.tables import audit_log, billing_events, organizations, payment_failures, stripe_events
from shared_code.database.tables.organizations import Tier, UserRole
from tests.factories.fleet import a_colleague, a_customer
from tests.functions.billing.conftest import START, Billing
from tests.functions.billing.killed_handler import STEPS
from tests.seams.mail_server import a_mail_server
from tests.seams.stripe import Stripe, signed

ROOT = Path(__file__).resolve().parents[3]
Life = tuple[list[dict[str, Any]], list[tuple[dict[str, Any], dict[str, Any]]]]


def a_life(stripe: Stripe, customer_id: str) -> Life:
    """Return the six events of a subscription, and what Stripe had after each."""
    created = stripe.subscribe(customer_id)
    subscription_id = created["data"]["object"]["id"]
    completed = stripe.event("checkout.session.completed", {"object": "checkout.session", "customer": customer_id})
    events: list[dict[str, Any]] = []
    had: list[tuple[dict[str, Any], dict[str, Any]]] = []

    def happens(event: dict[str, Any]) -> None:
        events.append(event)
        had.append((deepcopy(stripe.subscriptions), deepcopy(stripe.invoices)))

    happens(completed)
    happens(created)
    happens(stripe.change(subscription_id, price="price_enterprise_month"))
    happens(stripe.fail_payment(subscription_id))
    happens(stripe.change(subscription_id, cancel_at_period_end=True))
    happens(stripe.pay(subscription_id))
    return events, had


def begin_anew(billing: Billing) -> None:
    """Let nothing be known of the customer but who they are."""
    with transactions.owner(billing.database) as connection:
        for table in ("stripe_events", "billing_events", "subscriptions", "payment_failures"):
            connection.execute(text(f"DELETE FROM {table}"))  # noqa: S608 - ours
        own = organizations.c.id == billing.customer.organization_id
        values = {"subscription_tier": "free", "subscription_status": "active", "max_compressors": 2}
        connection.execute(update(organizations).where(own).values(values))


@pytest.mark.parametrize("first", range(6))
def test_in_whatever_order_and_however_often_events_come_the_end_is_the_same(billing: Billing, first: int) -> None:
    """Event k is sent when k things have happened at the earliest; Stripe has by then what it has."""
    chance = random.Random(first)  # noqa: S311 - it guards nothing
    events, had = a_life(billing.stripe, billing.customer_id())
    billing.take_in(*events)
    billing.handle()
    end = billing.final()
    orders = [order for order in permutations(range(6)) if order[0] == first]

    for order in orders:
        begin_anew(billing)
        sent = [*order, *chance.sample(order, 3)]
        looks = {chance.randrange(len(sent)), len(sent) - 1}
        latest = 0
        for at, number in enumerate(sent):
            latest = max(latest, number)
            billing.stripe.subscriptions, billing.stripe.invoices = had[latest]
            billing.take_in(events[number])
            if at in looks:
                assert billing.handle().failed == 0
        assert billing.final() == end, order
        kept = billing.rows(billing_events)
        assert len(kept) == 6
        assert all(row["handled_at"] for row in kept)

    assert len(orders) == 720 / 6
    assert (end["subscription_tier"], end["subscription_status"], end["stripe_status"]) == (
        "enterprise",
        "active",
        "active",
    )
    assert billing.state()["cancel_at_period_end"] is True


def test_a_hundred_deliveries_at_once_have_one_effect(billing: Billing) -> None:
    body = json.dumps(billing.stripe.subscribe(billing.customer_id())).encode()
    headers = {"Stripe-Signature": signed(body, at=billing.now)}

    answers = billing.api.together([("POST", "/api/stripe/webhook")] * 100, content=body, headers=headers)
    with ThreadPoolExecutor(4) as pool:
        done = [each.result(60) for each in [pool.submit(billing.handle) for _ in range(4)]]

    assert {answer.status_code for answer in answers} == {200}
    assert sum(answer.json()["new"] for answer in answers) == 1
    assert sum(each.handled for each in done) == 1
    assert (len(billing.rows(stripe_events)), len(billing.rows(billing_events))) == (1, 1)
    assert [row["action"] for row in billing.rows(audit_log)] == ["subscription.changed"]
    assert billing.plan() == ("pro", "active", 20)


def test_what_was_read_before_never_wins_over_what_was_read_later(billing: Billing) -> None:
    created = billing.stripe.subscribe(billing.customer_id())
    subscription_id = created["data"]["object"]["id"]
    was_read, go_on = Event(), Event()

    def hold_the_first(path: str) -> None:
        if path == "/v1/subscriptions" and not was_read.is_set():
            was_read.set()
            assert go_on.wait(30)

    billing.stripe.after = hold_the_first
    with ThreadPoolExecutor(2) as pool:
        billing.take_in(created)
        first = pool.submit(billing.handle)
        assert was_read.wait(30)
        billing.take_in(billing.stripe.change(subscription_id, price="price_enterprise_month"))
        second = pool.submit(billing.handle)
        assert not second.done()
        go_on.set()
        assert first.result(30).failed == second.result(30).failed == 0

    assert billing.plan() == ("enterprise", "active", None)


class KilledError(BaseException):
    """The process ends here."""


def killed_at(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, *, before: bool) -> list[str]:  # noqa: ANN401 - a module
    """Let a step end everything once, before or after it is done."""
    step = getattr(owner, name)
    died: list[str] = []

    def die(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as the step
        if before and not died:
            died.append(name)
            raise KilledError
        done = step(*args, **kwargs)
        if not died:
            died.append(name)
            raise KilledError
        return done

    monkeypatch.setattr(owner, name, die)
    return died


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (queries, "add_event"),
        (queries, "add_billing_events"),
        (queries, "claim_events"),
        (handling, "converge"),
        (access_queries, "lock_organization"),
        (StripeGateway, "read_account"),
        (queries, "set_standing"),
        (queries, "add_failures"),
        (queries, "mark_handled"),
        (queries, "conclude_events"),
        (queries, "claim_failures"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_stopped_at_any_step_nothing_is_lost_and_nothing_doubled(
    billing: Billing,
    monkeypatch: pytest.MonkeyPatch,
    owner: Any,  # noqa: ANN401 - a module
    name: str,
    *,
    before: bool,
) -> None:
    created = billing.stripe.subscribe(billing.customer_id())
    failed = billing.stripe.fail_payment(created["data"]["object"]["id"])
    died = killed_at(monkeypatch, owner, name, before=before)

    for _ in range(3):  # Stripe sends again what was not answered, and the timer comes again
        try:
            billing.take_in(created, failed)
            billing.handle()
        except KilledError:
            billing.later(CLAIMED_FOR + timedelta(seconds=1))

    assert died == [name]
    assert billing.plan() == ("pro", "past_due", 20)
    assert {row["state"] for row in billing.rows(stripe_events)} == {"handled"}
    kept = billing.rows(billing_events)
    assert sorted(row["stripe_event_id"] for row in kept) == sorted([created["id"], failed["id"]])
    assert all(row["handled_at"] for row in kept)
    assert len(billing.rows(payment_failures)) == 1
    assert len([row for row in billing.rows(audit_log) if row["action"] == "subscription.changed"]) == 1


@pytest.mark.parametrize("step", STEPS)
def test_a_process_that_is_killed_is_followed_by_another(billing: Billing, step: str) -> None:
    billing.take_in(billing.stripe.subscribe(billing.customer_id()))
    program = [sys.executable, "-m", "tests.functions.billing.killed_handler", step]

    dead = subprocess.run(  # noqa: S603 - our own program
        [*program, str(billing.database.settings.data_dir), billing.stripe.address],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    billing.later(CLAIMED_FOR + timedelta(seconds=2))
    billing.handle()

    assert (dead.returncode, dead.stdout) == (-9, "killed"), dead.stderr
    assert billing.plan() == ("pro", "active", 20)
    assert [row["state"] for row in billing.rows(stripe_events)] == ["handled"]
    assert len([row for row in billing.rows(audit_log) if row["action"] == "subscription.changed"]) == 1


def test_an_event_that_fails_is_tried_again_ever_later_and_then_parked(
    billing: Billing, caplog: pytest.LogCaptureFixture
) -> None:
    billing.take_in(billing.stripe.subscribe(billing.customer_id()))
    waits: list[timedelta] = []
    while True:
        billing.stripe.failures = [500]
        billing.handle()
        (event,) = billing.rows(stripe_events)
        if event["state"] == "parked":
            break
        waits.append(event["next_attempt_at"] - billing.now)
        assert billing.handle().failed == 0  # not yet
        billing.later(waits[-1])

    assert waits == list(WAITS)
    assert event["reason"] == "Stripe does not answer; try again later"
    assert f"event {event['event_id']} is parked: Stripe does not answer" in caplog.text
    assert billing.plan() == ("free", "active", None)
    billing.stripe.failures = []
    assert billing.reconcile().parked == 1
    assert billing.plan() == ("pro", "active", 20)  # parked or not, the comparison mends it


def test_waits_are_spread_so_that_many_do_not_come_back_together() -> None:
    assert handling.next_attempt(1, START, chance=0) == START + WAITS[0] * 0.75
    assert handling.next_attempt(1, START, chance=1) == START + WAITS[0] * 1.25
    assert handling.next_attempt(len(WAITS) + 1, START, chance=0.5) is None


def test_an_event_of_an_unknown_customer_is_kept_and_taken_up_when_they_are_known(billing: Billing) -> None:
    stranger = billing.stripe.a_customer()
    event = billing.stripe.subscribe(stranger)
    billing.take_in(event)
    assert billing.handle().failed == 1
    (kept,) = billing.rows(stripe_events)
    assert (kept["state"], kept["reason"]) == ("waiting", "no organization has this customer")
    assert billing.rows(billing_events) == []

    with transactions.owner(billing.database) as connection:
        own = organizations.c.id == billing.customer.organization_id
        connection.execute(update(organizations).where(own).values(stripe_customer_id=stranger))
    billing.later(WAITS[0])

    assert billing.handle().handled == 1
    assert billing.plan() == ("pro", "active", 20)
    assert [row["stripe_event_id"] for row in billing.rows(billing_events)] == [event["id"]]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"price": "price_of_nothing"}, "no price of a plan: price_of_nothing"),
        ({"quantity": 3}, "the quantity 3, not 1"),
    ],
)
def test_what_is_none_of_our_plans_leaves_the_tier_as_it_is_and_is_parked(
    billing: Billing, changes: dict[str, Any], reason: str
) -> None:
    billing.take_in(billing.stripe.subscribe(billing.customer_id()))
    billing.handle()
    billing.take_in(billing.stripe.subscribe(billing.customer_id(), **changes))

    assert billing.handle().parked == 1

    assert billing.plan() == ("pro", "active", 20)
    (parked,) = (row for row in billing.rows(stripe_events) if row["state"] == "parked")
    assert reason in parked["reason"]
    assert billing.reconcile().failed == 1


def test_a_price_that_is_sold_no_more_is_still_good(billing: Billing) -> None:
    billing.take_in(billing.stripe.subscribe(billing.customer_id(), "price_pro_of_old"))
    billing.handle()

    assert billing.plan() == ("pro", "active", 20)


def test_four_days_without_events_are_mended_by_one_comparison(billing: Billing) -> None:
    others = {tier: [a_customer(billing.database, tier=Tier.FREE) for _ in range(3)] for tier in ("kept", "upgraded")}
    mine = billing.customer_id()
    expected: dict[object, str] = {}
    for kind, people in others.items():
        for person in people:
            customer_id = billing.stripe.a_customer()
            with transactions.owner(billing.database) as connection:
                own = organizations.c.id == person.organization_id
                connection.execute(update(organizations).where(own).values(stripe_customer_id=customer_id))
            price = "price_pro_month" if kind == "kept" else "price_enterprise_month"
            billing.stripe.subscribe(customer_id, price)
            expected[person.organization_id] = "pro" if kind == "kept" else "enterprise"
    for _ in range(250):  # of others, more than a page
        billing.stripe.subscribe(billing.stripe.a_customer(), status="canceled")
    nobodys = billing.stripe.subscribe(billing.stripe.a_customer())["data"]["object"]["customer"]
    assert nobodys
    created = billing.stripe.subscribe(mine)
    assert billing.reconcile().mended == 7
    billing.later(timedelta(days=4))
    billing.stripe.change(created["data"]["object"]["id"], status="canceled")

    done = billing.reconcile()

    assert (done.compared, done.mended, done.failed, done.unknown) == (7, 1, 0, 1)
    assert billing.plan() == ("free", "canceled", 2)
    with transactions.owner(billing.database) as connection:
        query = select(organizations.c.id, organizations.c.subscription_tier).where(organizations.c.id.in_(expected))
        assert {row.id: row.subscription_tier for row in connection.execute(query)} == expected
    assert billing.reconcile().mended == 0


def test_an_organization_that_stripe_does_not_know_is_left_alone(billing: Billing) -> None:
    demo = a_customer(billing.database, tier=Tier.ENTERPRISE)

    assert billing.reconcile().compared == 0

    with transactions.read(billing.database, demo.organization_id) as connection:
        assert queries.get_account(connection, demo.organization_id)["subscription_tier"] == "enterprise"
    gateway = open_gateway(billing.settings.billing)  # pyright: ignore[reportArgumentType] - frozen, so it has a hash
    assert handling.converge(billing.database, demo.organization_id, gateway, clock=billing.clock) is None


def test_grace_ends_by_time_alone_and_a_payment_brings_the_plan_back(billing: Billing) -> None:
    created = billing.stripe.subscribe(billing.customer_id(), "price_enterprise_month")
    subscription_id = created["data"]["object"]["id"]
    billing.take_in(billing.stripe.fail_payment(subscription_id))
    billing.handle()
    said = billing.state()
    assert (said["plan"], said["status"], said["grace_until"]) == ("enterprise", "past_due", "2026-01-19T18:00:00Z")

    billing.later(timedelta(days=3))
    billing.take_in(billing.stripe.fail_payment(subscription_id))  # which is not the first
    billing.handle()
    assert billing.state()["grace_until"] == "2026-01-19T18:00:00Z"
    billing.later(GRACE - timedelta(days=3, seconds=1))
    billing.reconcile()
    assert billing.plan() == ("enterprise", "past_due", None)
    billing.later(timedelta(seconds=1))
    billing.reconcile()
    assert billing.plan() == ("free", "past_due", 2)
    assert billing.state()["keeps_until"] == "2026-02-18T18:00:00Z"
    billing.take_in(billing.stripe.pay(subscription_id))
    billing.handle()
    assert billing.plan() == ("enterprise", "active", None)
    assert billing.state()["keeps_until"] is None


def mailing(billing: Billing, port: int) -> None:
    mail = MailSettings(smtp_host="127.0.0.1", smtp_port=port, smtp_starttls=False, smtp_from="a@altaviz.example")
    billing.settings = replace(billing.settings, mail=mail)


def test_owners_are_told_of_each_failed_payment_once(billing: Billing) -> None:
    second = a_colleague(billing.database, billing.customer, UserRole.OWNER)
    a_colleague(billing.database, billing.customer, UserRole.ADMIN)
    created = billing.stripe.subscribe(billing.customer_id())
    subscription_id = created["data"]["object"]["id"]
    with a_mail_server() as (inbox, port):
        mailing(billing, port)
        failed = billing.stripe.fail_payment(subscription_id)
        for _ in range(3):
            billing.take_in(failed, billing.stripe.change(subscription_id))
            billing.handle()
        once = list(inbox.messages)
        billing.later(timedelta(days=3))
        billing.take_in(billing.stripe.fail_payment(subscription_id))
        billing.handle()

    told = {line for message in once for line in message.splitlines() if line.startswith("To: ")}
    assert len(once) == 2
    assert told == {f"To: {billing.customer.member.email}", f"To: {second.member.email}"}
    assert "49.00 USD for A Customer failed" in once[0]
    assert "until 2026-01-19 18:00" in once[0].replace("=\r\n", "")
    assert "http://127.0.0.1:7071/billing" in once[0]
    assert len(inbox.messages) == 4


def test_a_letter_that_is_not_taken_is_sent_later_unless_the_payment_was_made(billing: Billing) -> None:
    created = billing.stripe.subscribe(billing.customer_id())
    subscription_id = created["data"]["object"]["id"]
    mailing(billing, 9)  # where nobody listens
    billing.take_in(billing.stripe.fail_payment(subscription_id))
    assert billing.handle().told == 0
    (row,) = billing.rows(payment_failures)
    assert (row["told_at"], row["next_attempt_at"]) == (None, billing.now + WAITS[0])

    with a_mail_server() as (inbox, port):
        mailing(billing, port)
        billing.later(WAITS[0])
        assert billing.handle().told == 1
        billing.stripe.fail_payment(subscription_id)
        paid = billing.stripe.pay(subscription_id)
        billing.take_in(paid)
        billing.handle()
        assert len(inbox.messages) == 1

    (row,) = billing.rows(payment_failures)
    assert (row["told_at"], row["next_attempt_at"]) == (billing.now, None)


def test_without_e_mail_nobody_is_told_and_nothing_waits(billing: Billing) -> None:
    created = billing.stripe.subscribe(billing.customer_id())
    billing.take_in(billing.stripe.fail_payment(created["data"]["object"]["id"]))

    assert billing.handle().told == 0
    (row,) = billing.rows(payment_failures)
    assert (row["told_at"], row["next_attempt_at"]) == (None, None)


def test_what_goes_wrong_with_one_customer_does_not_stop_the_others(
    billing: Billing, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    good, bad = billing.customer_id(), a_customer(billing.database, tier=Tier.FREE)
    with transactions.owner(billing.database) as connection:
        own = organizations.c.id == bad.organization_id
        other = billing.stripe.a_customer()
        connection.execute(update(organizations).where(own).values(stripe_customer_id=other))
    read = StripeGateway.read_account

    def read_badly(gateway: StripeGateway, customer_id: str) -> Any:  # noqa: ANN401 - an account
        if customer_id == other:
            raise KeyError("canary")
        return read(gateway, customer_id)

    monkeypatch.setattr(StripeGateway, "read_account", read_badly)
    billing.take_in(billing.stripe.subscribe(other), billing.stripe.subscribe(good))

    done = billing.handle()

    assert (done.handled, done.failed) == (1, 1)
    assert billing.plan() == ("pro", "active", 20)
    assert f"events of organization {bad.organization_id} could not be handled" in caplog.text


def test_no_more_is_handled_than_there_is_time_for(billing: Billing, monkeypatch: pytest.MonkeyPatch) -> None:
    customer_id = billing.customer_id()
    for _ in range(5):
        billing.take_in(billing.stripe.event("invoice.paid", {"object": "invoice", "customer": customer_id}))
    monkeypatch.setattr(handling, "AT_A_TIME", 2)
    billing.stripe.after = lambda _: billing.later(timedelta(seconds=30))

    assert billing.handle().handled == 2
    billing.stripe.after = lambda _: None
    assert billing.handle().handled == 3


def test_a_customer_belongs_to_one_organization(billing: Billing) -> None:
    customer_id, other = billing.customer_id(), a_customer(billing.database)

    with pytest.raises(IntegrityError), transactions.write(billing.database, other.organization_id) as connection:
        queries.set_customer(connection, other.organization_id, customer_id, now=START)
