"""What Stripe says, and what it means for an organization: pure rules.

An event is only a hint that there is something to look at. What an organization should be comes of its customer's
subscriptions as Stripe has them at the moment, so that neither order nor number of events matters.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from functions.plans import Period, Sold
from shared_code.database.tables.organizations import SubscriptionStatus, Tier

HANDLED: Final = frozenset(
    {
        "checkout.session.completed",
        "customer.deleted",
        "customer.subscription.created",
        "customer.subscription.deleted",
        "customer.subscription.paused",
        "customer.subscription.resumed",
        "customer.subscription.updated",
        "invoice.paid",
        "invoice.payment_failed",
    }
)
"""Events after which a customer is looked at; all others are kept and nothing else."""
GRACE: Final = timedelta(days=7)
"""How long after the first payment that failed an organization keeps what it has."""
KEEPS: Final = timedelta(days=30)
"""How long after a downgrade readings are still kept for as many days as the plan before keeps them."""
TIERS: Final = tuple(Tier)
"""Each includes what those before it include."""

Document = Mapping[str, Any]
"""An object of Stripe's, as JSON."""


class NotAnEventError(Exception):
    """What was sent is no event of Stripe's."""


class NotUnderstoodError(Exception):
    """A live subscription cannot be told to be one of our plans; the sentence says why."""


@dataclass(frozen=True, slots=True)
class StripeEvent:
    """What is kept of an event beside its payload; `customer_id` None: it is about no customer."""

    event_id: str
    event_type: str
    livemode: bool
    customer_id: str | None
    created_at: datetime
    amount_cents: int | None
    currency: str | None


@dataclass(frozen=True, slots=True)
class Subscription:
    """A subscription as Stripe has it; `items` are prices and how many of each."""

    subscription_id: str
    status: str
    created_at: datetime
    items: tuple[tuple[str, int | None], ...]
    period_start: datetime | None
    period_end: datetime | None
    trial_end: datetime | None
    cancels_at: datetime | None


@dataclass(frozen=True, slots=True)
class Failure:
    """An open invoice that somebody tried to collect in vain, `attempt` times since `since`."""

    invoice_id: str
    subscription_id: str | None
    attempt: int
    since: datetime
    amount_cents: int
    currency: str


@dataclass(frozen=True, slots=True)
class Account:
    """A customer as Stripe has them; failures are read only where a subscription is behind with its payments."""

    customer_id: str
    deleted: bool
    subscriptions: tuple[Subscription, ...] = ()
    failures: tuple[Failure, ...] = ()


@dataclass(frozen=True, slots=True)
class Standing:
    """What an organization should be: tier and status, and the subscription that they come of."""

    tier: Tier
    status: SubscriptionStatus
    customer_deleted: bool = False
    subscription_id: str | None = None
    stripe_status: str | None = None
    period: Period | None = None
    period_end: datetime | None = None
    trial_end: datetime | None = None
    cancels_at: datetime | None = None
    past_due_since: datetime | None = None
    grace_until: datetime | None = None


class Keeping(NamedTuple):
    """By which plan's days readings are kept after a downgrade, and until when."""

    tier: Tier
    until: datetime


_STATUSES: Final[Mapping[str, SubscriptionStatus]] = {
    "active": SubscriptionStatus.ACTIVE,
    "trialing": SubscriptionStatus.TRIALING,
    "past_due": SubscriptionStatus.PAST_DUE,
    "unpaid": SubscriptionStatus.PAST_DUE,  # Stripe has given up collecting, and the invoices stay open
    "paused": SubscriptionStatus.CANCELED,  # its trial ended and nobody pays
    "canceled": SubscriptionStatus.CANCELED,
    "incomplete": SubscriptionStatus.ACTIVE,  # it never began: the organization is on Free as before
    "incomplete_expired": SubscriptionStatus.ACTIVE,
}
"""What each of Stripe's states means; of several subscriptions that give nothing, the first named here is told of."""
_GIVE: Final = ("active", "trialing", "past_due")
"""States that a plan may be had in, the better first."""
LIVE: Final = frozenset({"active", "trialing", "past_due", "unpaid", "paused"})
"""States in which another subscription would be a second one."""
BEHIND: Final = frozenset({"past_due", "unpaid"})


def converge(account: Account, sold: Mapping[str, Sold], *, now: datetime) -> Standing:
    """Return what the organization of a customer should be, whatever it is at the moment.

    Of several subscriptions the best that gives something counts: the higher tier first. A subscription that is active
    or on trial gives its plan; one that is past due gives it for seven days from the first failure; no other does.

    Args:
        account: the customer, just read.
        sold: what each price is for.
        now: the instant.

    Raises:
        NotUnderstoodError: a live subscription has no known price, a quantity other than 1, or an unknown state.
    """
    if account.deleted:
        return Standing(Tier.FREE, SubscriptionStatus.CANCELED, customer_deleted=True)
    if not account.subscriptions:
        return Standing(Tier.FREE, SubscriptionStatus.ACTIVE)
    judged = [_judge(each, account.failures, sold, now) for each in account.subscriptions]
    return max(zip(judged, account.subscriptions, strict=True), key=lambda pair: _rank(*pair))[0]


def keeping(before: Tier, after: Tier, known: Keeping | None, *, now: datetime) -> Keeping | None:
    """Return by which plan's days readings are kept from now on; None: by those of the plan `after`.

    Whoever pays again within thirty days finds everything.

    Args:
        before: the plan that the organization had.
        after: the plan that it has from now on.
        known: what was said at a downgrade before.
        now: the instant.
    """
    still = known if known is not None and now < known.until else None
    if TIERS.index(after) < TIERS.index(before):
        return Keeping(max(before, still.tier if still else before, key=TIERS.index), now + KEEPS)
    if still is not None and TIERS.index(still.tier) > TIERS.index(after):
        return still
    return None


def _judge(
    subscription: Subscription, failures: Sequence[Failure], sold: Mapping[str, Sold], now: datetime
) -> Standing:
    """Return what an organization with this subscription alone should be."""
    status = subscription.status
    if status not in _STATUSES:
        raise NotUnderstoodError(f"subscription {subscription.subscription_id} has the unknown status {status}")
    plan = _plan(subscription, sold) if status in _GIVE else None
    since = _past_due_since(subscription, failures) if status in BEHIND else None
    grace_until = since + GRACE if since is not None and status == "past_due" else None
    is_given = plan is not None and (grace_until is None or now < grace_until)
    return Standing(
        tier=plan.tier if plan is not None and is_given else Tier.FREE,
        status=_STATUSES[status],
        subscription_id=subscription.subscription_id,
        stripe_status=status,
        period=plan.period if plan else None,
        period_end=subscription.period_end,
        trial_end=subscription.trial_end,
        cancels_at=subscription.cancels_at,
        past_due_since=since,
        grace_until=grace_until,
    )


def _plan(subscription: Subscription, sold: Mapping[str, Sold]) -> Sold:
    """Return the best plan among a subscription's items; items of other prices come in addition to it."""
    ours = [(sold[price], quantity) for price, quantity in subscription.items if price in sold]
    if not ours:
        prices = ", ".join(price for price, _ in subscription.items)
        raise NotUnderstoodError(f"subscription {subscription.subscription_id} has no price of a plan: {prices}")
    plan, quantity = max(ours, key=lambda item: TIERS.index(item[0].tier))
    if quantity != 1:
        raise NotUnderstoodError(f"subscription {subscription.subscription_id} has the quantity {quantity}, not 1")
    return plan


def _past_due_since(subscription: Subscription, failures: Sequence[Failure]) -> datetime:
    """Return when the first payment failed that is still open; without a trace of it, when the period began."""
    own = [each.since for each in failures if each.subscription_id == subscription.subscription_id]
    return min(own, default=subscription.period_start or subscription.created_at)


def _rank(standing: Standing, subscription: Subscription) -> tuple[object, ...]:
    """Return what decides which of several subscriptions counts; the same whatever their order."""
    gives = standing.tier is not Tier.FREE
    status = list(_STATUSES).index(subscription.status)
    end = subscription.period_end or datetime.min.replace(tzinfo=UTC)
    return (
        gives,
        TIERS.index(standing.tier),
        -status,
        end,
        subscription.created_at,
        subscription.subscription_id,
    )


def is_behind(subscriptions: Iterable[Subscription]) -> bool:
    """Whether failed invoices matter to what becomes of a customer."""
    return any(each.status in BEHIND for each in subscriptions)


def event(document: object) -> StripeEvent:
    """Return what is kept of an event.

    Raises:
        NotAnEventError: it is none.
    """
    try:
        return _event(document)  # type: ignore[arg-type]
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        raise NotAnEventError from None


def _event(document: Document) -> StripeEvent:
    about: Document = document["data"]["object"]
    customer = about["id"] if about.get("object") == "customer" else _id(about.get("customer"))
    amount = next((about[name] for name in ("amount_paid", "amount_total", "amount_due") if about.get(name)), None)
    currency = about.get("currency")
    found = StripeEvent(
        event_id=document["id"],
        event_type=document["type"],
        livemode=document["livemode"],
        customer_id=customer,
        created_at=_instant(document["created"]),
        amount_cents=amount if isinstance(amount, int) else None,
        currency=currency if isinstance(currency, str) and len(currency) == len("usd") else None,
    )
    texts = {found.event_id: 255, found.event_type: 100, found.customer_id or "-": 255}
    if document.get("object") != "event" or found.livemode not in {True, False}:
        raise ValueError
    if not all(isinstance(text, str) and 0 < len(text) <= most for text, most in texts.items()):  # pyright: ignore[reportUnnecessaryIsInstance] - JSON says what it likes
        raise ValueError
    return found


def subscription(document: Document) -> Subscription:
    """Return a subscription of Stripe's JSON; periods are those of its items."""
    items: Sequence[Document] = document["items"]["data"]
    end = _latest(item.get("current_period_end") for item in items)
    at_the_end = end if document["cancel_at_period_end"] else None
    return Subscription(
        subscription_id=document["id"],
        status=document["status"],
        created_at=_instant(document["created"]),
        items=tuple((item["price"]["id"], item.get("quantity")) for item in items),
        period_start=_latest(item.get("current_period_start") for item in items),
        period_end=end,
        trial_end=_instant_if_any(document.get("trial_end")),
        cancels_at=_instant_if_any(document.get("cancel_at")) or at_the_end,
    )


def failure(document: Document) -> Failure | None:
    """Return what an open invoice of Stripe's JSON says of a failed payment; None where none has been tried."""
    if not document["attempt_count"]:
        return None
    details = _within(_within(document, "parent"), "subscription_details")
    finalized: int | None = _within(document, "status_transitions").get("finalized_at")
    return Failure(
        invoice_id=document["id"],
        subscription_id=_id(details.get("subscription")),
        attempt=document["attempt_count"],
        since=_instant(finalized or document["created"]),
        amount_cents=document["amount_remaining"],
        currency=document["currency"],
    )


def _within(document: Document, name: str) -> Document:
    return document.get(name) or {}


def _id(reference: Any) -> str | None:  # noqa: ANN401 - an id, or the object where it was expanded
    return reference["id"] if isinstance(reference, Mapping) else reference  # pyright: ignore[reportUnknownVariableType] - JSON


def _instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _instant_if_any(seconds: float | None) -> datetime | None:
    return None if seconds is None else _instant(seconds)


def _latest(seconds: Iterable[float | None]) -> datetime | None:
    return _instant_if_any(max((each for each in seconds if each is not None), default=None))
