"""Shapes of billing."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from functions.bodies import Body
from functions.pagination import Position
from functions.plans import Period
from shared_code.database.tables.organizations import SubscriptionStatus, Tier
from shared_code.database.tables.readings import WindowType


class PlanForSale(BaseModel):
    """A plan: prices in US dollars, `max_compressors` null where there is no limit, `periods` it can be bought for."""

    plan: Tier
    name: str
    price_usd: int
    price_usd_year: int | None
    max_compressors: int | None
    windows: list[WindowType]
    retention_days: int
    requests_per_minute: int
    predictions: bool
    periods: list[Period]


class SubscriptionState(BaseModel):
    """The organization's plan and how it stands. Machines over the limit stay readable, and none is deleted."""

    plan: Tier
    status: SubscriptionStatus
    period: Period | None
    period_end: AwareDatetime | None
    trial_end: AwareDatetime | None
    cancel_at_period_end: bool
    cancels_at: AwareDatetime | None
    past_due_since: AwareDatetime | None
    grace_until: Annotated[
        AwareDatetime | None, Field(description="Where a payment failed: until when the plan stays as it is.")
    ]
    keeps_until: Annotated[
        AwareDatetime | None,
        Field(description="After a downgrade: until when readings are kept for as long as the plan before keeps them."),
    ]
    machines_used: int
    machines_allowed: int | None
    machines_over_limit: int


class Wanted(Body):
    """A plan to buy."""

    plan: Annotated[Literal[Tier.PRO, Tier.ENTERPRISE], Field(examples=["pro"])]
    period: Annotated[Period, Field(examples=["month"])] = Period.MONTH


class Redirection(BaseModel):
    """Where to send the browser."""

    url: Annotated[str, Field(examples=["https://checkout.stripe.com/c/pay/cs_1"])]


class Invoice(BaseModel):
    """An invoice; amounts are in the smallest unit of the currency, such as cents."""

    id: Annotated[str, Field(examples=["in_1"])]
    number: Annotated[str | None, Field(examples=["A1B2C3-0001"])]
    status: Annotated[str | None, Field(examples=["paid"])]
    created_at: AwareDatetime
    amount_due: Annotated[int, Field(examples=[4900])]
    amount_paid: Annotated[int, Field(examples=[4900])]
    currency: Annotated[str, Field(examples=["usd"])]
    page_url: Annotated[str | None, Field(examples=["https://invoice.stripe.com/i/in_1"])]
    pdf_url: Annotated[str | None, Field(examples=["https://pay.stripe.com/invoice/in_1/pdf"])]


class InvoicePosition(Position):
    """Invoices are listed as Stripe does."""

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{1,255}$")]


class Received(BaseModel):
    """That an event was kept; `new` is false where it had been before."""

    model_config = ConfigDict(frozen=True)
    received: Literal[True] = True
    new: bool


def invoice(document: Mapping[str, Any]) -> Invoice:
    """Return what is shown of one of Stripe's invoices."""
    same = {name: document.get(name) for name in ("id", "number", "status", "amount_due", "amount_paid", "currency")}
    return Invoice.model_validate(
        {
            **same,
            "created_at": document["created"],
            "page_url": document.get("hosted_invoice_url"),
            "pdf_url": document.get("invoice_pdf"),
        }
    )
