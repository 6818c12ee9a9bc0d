"""What owners are told of their bill."""

from collections.abc import Mapping
from typing import Any, Final

from functions.billing.stripe_events import KEEPS
from functions.mail import Letter

PAGE: Final = "/billing"
"""Where the bill is, below the installation's address; people come back to it from Stripe."""
KEPT: Final = f"No machine is deleted, and readings are kept as they are now for {KEEPS.days} days more."
WITHOUT_CENTS: Final = "bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf"
"""Currencies whose amounts Stripe gives in whole units."""


def payment_failed(failure: Mapping[Any, Any], *, email: str, public_url: str) -> Letter:
    """Return the letter that tells an owner of a failed payment; `failure` is a row of `queries.claim_failures`."""
    until = failure["grace_until"]
    what_follows = (
        f"The plan stays as it is until {until:%Y-%m-%d %H:%M} UTC. Then the organization is on Free until the invoice"
        f" is paid. {KEPT}"
        if until is not None and until > failure["noticed_at"]
        else f"The organization is on Free until the invoice is paid. {KEPT}"
    )
    name = " ".join(str(failure["organization_name"]).split())
    return Letter(
        to=email,
        subject=f"[Altaviz] A payment of {name} failed",
        text=f"The payment of {money(failure['amount_cents'], failure['currency'])} for {name} failed"
        f" (attempt {failure['attempt']}).\n\n{what_follows}\n\n"
        f"To pay, or to pay in another way, open the customer portal from\n{public_url}{PAGE}\n",
    )


def money(cents: int, currency: str) -> str:
    """Return an amount as people write it: 49.00 USD."""
    amount = str(cents) if currency in WITHOUT_CENTS.split() else f"{cents / 100:,.2f}"
    return f"{amount} {currency.upper()}"
