"""What owners do about their plan, and what everybody sees of it."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from functions.access import audit
from functions.access import queries as access_queries
from functions.access.audit import Origin
from functions.access.sessions import Session
from functions.billing import queries, stripe_events
from functions.billing.stripe_events import Document
from functions.billing.stripe_gateway import StripeGateway, open_gateway
from functions.billing.wording import PAGE
from functions.clock import Clock
from functions.plans import Period, plans, price_for_sale
from functions.settings import BillingSettings, Settings
from shared_code.database.tables.organizations import Tier
from shared_code.database.transactions import Read, Write
from shared_code.errors import ConflictError, UnavailableError
from shared_code.identifiers import OrganizationId

HAS_ONE: Final = "the organization has a subscription already; change it in the customer portal (POST billing/portal)"
NO_CUSTOMER: Final = "there is nothing to manage yet; begin with a checkout (POST billing/checkout)"


def describe_subscription(connection: Read, organization_id: OrganizationId) -> Mapping[str, Any]:
    """Return the organization's plan, how its subscription stands, and how many machines it has of those allowed."""
    account = queries.get_account(connection, organization_id)
    used = queries.count_machines(connection, organization_id)
    allowed: int | None = account["max_compressors"]
    return {
        **account,
        "plan": account["subscription_tier"],
        "status": account["subscription_status"],
        "cancel_at_period_end": account["cancels_at"] is not None,
        "machines_used": used,
        "machines_allowed": allowed,
        "machines_over_limit": max(0, used - allowed) if allowed is not None else 0,
    }


def start_checkout(
    connection: Write,
    organization_id: OrganizationId,
    *,
    plan: Tier,
    period: Period,
    settings: Settings,
    by: Session,
    origin: Origin,
    clock: Clock,
) -> str:
    """Begin a checkout of a plan and return its address; one that is open for the same is given again.

    The organization is held until the end: however many click at once, there is one customer and one open checkout.

    Raises:
        ConflictError: the organization has a subscription already.
        UnavailableError: the plan is not sold here, or Stripe does not answer.
    """
    gateway = _gateway(settings)
    price = price_for_sale(plan, period)
    if price is None:
        raise UnavailableError(f"this installation does not sell the {plans()[plan].name} plan by the {period}")
    access_queries.lock_organization(connection, organization_id)
    customer_id = _customer(connection, organization_id, gateway, clock=clock)
    account = gateway.read_account(customer_id)
    if account.deleted:
        customer_id = _new_customer(connection, organization_id, gateway, after=customer_id, clock=clock)
    elif any(each.status in stripe_events.LIVE for each in account.subscriptions):
        raise ConflictError(HAS_ONE)
    wanted = {"organization_id": str(organization_id), "plan": plan.value, "period": period.value, "price": price}
    checkout = _open_checkout(gateway, customer_id, wanted)
    if checkout is None:
        params = _checkout(
            customer_id,
            wanted,
            settings=settings,
            is_first=not account.subscriptions,
        )
        checkout = gateway.create_checkout(params, idempotency_key=f"checkout-{origin.request_id}")
    audit.record(
        connection,
        organization_id,
        "checkout.started",
        by=by,
        origin=origin,
        now=clock(),
        details={"plan": plan, "period": period},
    )
    return checkout["url"]


def open_portal(
    connection: Write,
    organization_id: OrganizationId,
    *,
    settings: Settings,
    by: Session,
    origin: Origin,
    clock: Clock,
) -> str:
    """Open Stripe's customer portal and return its address.

    Raises:
        ConflictError: the organization has never begun a checkout, or its customer at Stripe was deleted.
        UnavailableError: there is no Stripe here, or it does not answer.
    """
    gateway = _gateway(settings)
    account = queries.get_account(connection, organization_id)
    customer_id: str | None = account["stripe_customer_id"]
    if customer_id is None or account["customer_deleted"]:
        raise ConflictError(NO_CUSTOMER)
    url = gateway.create_portal(
        customer_id,
        return_url=f"{settings.access.altaviz_public_url}{PAGE}",
        idempotency_key=f"portal-{origin.request_id}",
    )
    audit.record(connection, organization_id, "portal.opened", by=by, origin=origin, now=clock())
    return url


def list_invoices(
    connection: Read, organization_id: OrganizationId, *, settings: Settings, after: str | None, limit: int
) -> Sequence[Document]:
    """Return up to `limit` invoices as Stripe has them, the newest first, those after the invoice `after`.

    Raises:
        UnavailableError: there is no Stripe here, or it does not answer.
    """
    customer_id: str | None = queries.get_account(connection, organization_id)["stripe_customer_id"]
    if customer_id is None:
        return []
    return _gateway(settings).list_invoices(customer_id, after=after, limit=limit)


def _gateway(settings: Settings) -> StripeGateway:
    billing: BillingSettings = settings.billing
    return open_gateway(billing)  # pyright: ignore[reportArgumentType] - frozen, so it has a hash


def _customer(connection: Write, organization_id: OrganizationId, gateway: StripeGateway, *, clock: Clock) -> str:
    """Return the organization's customer, made where there is none; the organization is held."""
    known: str | None = queries.get_account(connection, organization_id)["stripe_customer_id"]
    return known or _new_customer(connection, organization_id, gateway, after=None, clock=clock)


def _new_customer(
    connection: Write, organization_id: OrganizationId, gateway: StripeGateway, *, after: str | None, clock: Clock
) -> str:
    """Make a customer; where this transaction is undone, the same one comes of the next attempt.

    Its key names the one `after` which it comes: of a key that Stripe knows it would give the deleted one again.
    """
    key = f"customer-{organization_id}" + (f"-after-{after}" if after else "")
    made = gateway.create_customer(organization_id, idempotency_key=key)
    queries.set_customer(connection, organization_id, made, now=clock())
    return made


def _open_checkout(gateway: StripeGateway, customer_id: str, wanted: Mapping[str, str]) -> Document | None:
    """Return the open checkout of just this, and close all others: of two that are open, both could be paid."""
    found: Document | None = None
    for checkout in gateway.list_open_checkouts(customer_id):
        if found is None and checkout.get("url") and dict(checkout.get("metadata") or {}) == wanted:
            found = checkout
        else:
            gateway.expire_checkout(checkout["id"])
    return found


def _checkout(customer_id: str, wanted: Mapping[str, str], *, settings: Settings, is_first: bool) -> Mapping[str, Any]:
    """Return what a checkout is made of; a trial is for who never had a subscription."""
    billing = settings.billing
    page = f"{settings.access.altaviz_public_url}{PAGE}"
    of_subscription: dict[str, Any] = {"metadata": {"organization_id": wanted["organization_id"]}}
    if is_first and billing.stripe_trial_days:
        of_subscription["trial_period_days"] = billing.stripe_trial_days
    return {
        "mode": "subscription",
        "customer": customer_id,
        "customer_update": {"name": "auto", "address": "auto"},
        "client_reference_id": wanted["organization_id"],
        "line_items": [{"price": wanted["price"], "quantity": 1}],
        "allow_promotion_codes": billing.stripe_promotion_codes,
        "subscription_data": of_subscription,
        "metadata": dict(wanted),
        "success_url": f"{page}?checkout=done",
        "cancel_url": f"{page}?checkout=canceled",
    }
