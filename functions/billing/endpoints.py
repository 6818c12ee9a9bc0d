"""Billing over HTTP."""

import json
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, HTTPException, Request, status

from functions import pagination
from functions.access.caller import CurrentOrigin, CurrentSession, ReadConnection
from functions.access.writes import WriteConnection, WriteRoute
from functions.application import CurrentApplication, Now
from functions.billing import actions, handling, stripe_gateway
from functions.billing.schemas import (
    Invoice,
    InvoicePosition,
    PlanForSale,
    Received,
    Redirection,
    SubscriptionState,
    Wanted,
    invoice,
)
from functions.billing.stripe_events import NotAnEventError
from functions.billing.stripe_gateway import BadSignatureError
from functions.pagination import Cursor, Limit, Page
from functions.plans import plans
from functions.problems import responses

router = APIRouter(tags=["billing"], route_class=WriteRoute)

DEFAULT_INVOICES: Final = 12
NUL: Final = rb"\u0000"
"""What the database cannot keep, and Stripe does not send."""
EVENT_BODY: Final[dict[str, Any]] = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {"type": "object"},
            "example": {"id": "evt_1", "object": "event", "type": "invoice.paid", "livemode": False},
        }
    },
}
SIGNATURE: Final[dict[str, Any]] = {
    "name": "Stripe-Signature",
    "in": "header",
    "required": False,
    "description": "As Stripe signs: the time, and the HMAC of time and body. Without it the answer is a 400.",
    "schema": {"type": "string"},
}


@router.get("/billing/plans", operation_id="list_plans")
async def list_plans() -> Page[PlanForSale]:
    """List the plans, the cheapest first, and for which periods each can be bought here."""
    items = [
        PlanForSale(plan=tier, periods=[period for period, ids in plan.prices.items() if ids], **plan.model_dump())
        for tier, plan in plans().items()
    ]
    return Page(items=items, next=None)


@router.get("/billing/subscription", operation_id="get_subscription", responses=responses(401, 403))
def get_subscription(session: CurrentSession, connection: ReadConnection) -> SubscriptionState:
    """Show the organization's plan, until when it is paid, and how many machines it has of those allowed."""
    described = actions.describe_subscription(connection, session.organization_id)
    return SubscriptionState.model_validate(described)


@router.post("/billing/checkout", operation_id="start_checkout", responses=responses(401, 403, 409, 422, 503))
def start_checkout(
    session: CurrentSession,
    connection: WriteConnection,
    application: CurrentApplication,
    origin: CurrentOrigin,
    body: Wanted,
) -> Redirection:
    """Begin to buy a plan: the answer says where Stripe takes the payment. The plan follows within seconds of it.

    An organization that has a subscription changes it in the customer portal instead.
    """
    url = actions.start_checkout(
        connection,
        session.organization_id,
        plan=body.plan,
        period=body.period,
        settings=application.settings,
        by=session,
        origin=origin,
        clock=application.clock,
    )
    return Redirection(url=url)


@router.post("/billing/portal", operation_id="open_billing_portal", responses=responses(401, 403, 409, 422, 503))
def open_billing_portal(
    session: CurrentSession, connection: WriteConnection, application: CurrentApplication, origin: CurrentOrigin
) -> Redirection:
    """Open Stripe's customer portal: change or cancel the plan, the way of paying, the address on the bill."""
    url = actions.open_portal(
        connection,
        session.organization_id,
        settings=application.settings,
        by=session,
        origin=origin,
        clock=application.clock,
    )
    return Redirection(url=url)


@router.get("/billing/invoices", operation_id="list_invoices", responses=responses(401, 403, 422, 503))
def list_invoices(
    session: CurrentSession,
    connection: ReadConnection,
    application: CurrentApplication,
    limit: Limit = DEFAULT_INVOICES,
    cursor: Cursor = None,
) -> Page[Invoice]:
    """List the organization's invoices, the newest first, as Stripe has them."""
    position = pagination.decode(cursor, InvoicePosition)
    most = min(limit, stripe_gateway.PAGE - 1)
    found = actions.list_invoices(
        connection,
        session.organization_id,
        settings=application.settings,
        after=position.id if position else None,
        limit=most + 1,
    )
    return pagination.page(found, most, item=invoice, position=lambda each: InvoicePosition(id=each["id"]))


async def signed_body(request: Request, application: CurrentApplication, now: Now) -> bytes:
    """Return the request's body as it came, once it is known that Stripe signed it.

    Raises:
        HTTPException: 400: it did not, or long ago, or in a time to come.
        UnavailableError: there is no secret to tell by.
    """
    billing = application.settings.billing
    if billing.stripe_webhook_secret is None:
        stripe_gateway.verify(billing, b"", None, now=now)
    body = await request.body()
    try:
        stripe_gateway.verify(billing, body, request.headers.get("Stripe-Signature"), now=now)
    except BadSignatureError as refusal:
        raise HTTPException(status.HTTP_400_BAD_REQUEST, str(refusal)) from None
    return body


@router.post(
    "/stripe/webhook",
    operation_id="receive_stripe_event",
    responses=responses(400, 413, 503),
    openapi_extra={"requestBody": EVENT_BODY, "parameters": [SIGNATURE]},
)
def receive_stripe_event(
    application: CurrentApplication, now: Now, body: Annotated[bytes, Depends(signed_body)]
) -> Received:
    """Take an event that Stripe signed, and keep it once. What follows from it follows within seconds."""
    try:
        document = None if NUL in body else json.loads(body)
    except (ValueError, RecursionError):
        document = None
    try:
        new = handling.take_in(application.database(), application.settings, document, now=now)
    except NotAnEventError:
        raise HTTPException(status.HTTP_400_BAD_REQUEST, "the body is no event of Stripe's") from None
    return Received(new=new)
