"""Stripe itself: the one module that imports its library, which is loaded and connected when it is first needed.

The library's own log is kept at warnings: below that it writes down whole answers, with people's addresses in them.
"""

# What is sent is checked by stripe-mock, and what comes is taken as JSON.
# pyright: reportUnknownMemberType=false

import logging
import re
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Final

from functions.billing import stripe_events
from functions.billing.stripe_events import Account, Document, Subscription
from functions.settings import BillingSettings
from shared_code.errors import UnavailableError
from shared_code.identifiers import OrganizationId

if TYPE_CHECKING:
    from stripe import StripeClient

TIMEOUT: Final = (3.05, 10.0)
"""Seconds to connect, and between two pieces of an answer."""
RETRIES: Final = 2
"""Of what may be sent again; the library sends the same idempotency key with each."""
TOLERANCE: Final = timedelta(seconds=300)
"""How far a signature's time may lie from ours, on either side."""
PAGE: Final = 100

NOT_SOLD: Final = "this installation sells nothing: STRIPE_API_KEY is not set"
NO_ANSWER: Final = "Stripe does not answer; try again later"
NO_SECRET: Final = "this installation takes no events: STRIPE_WEBHOOK_SECRET is not set"  # noqa: S105 - names it
_TIME: Final = re.compile(r"t=([0-9]{1,12})(?:,|$)")

logger = logging.getLogger(__name__)


class BadSignatureError(Exception):
    """A delivery is not signed as Stripe signs; the sentence says what is wrong, and nothing of what was sent."""


def verify(settings: BillingSettings, body: bytes, header: str | None, *, now: datetime) -> None:
    """Let pass only a body that Stripe has signed, not long before or after `now`.

    During rotation the secret before is as good as the newest.

    Raises:
        BadSignatureError: it has not.
        UnavailableError: there is no secret to tell by.
    """
    secrets = [settings.stripe_webhook_secret, settings.stripe_webhook_secret_previous]
    known = [secret.get_secret_value() for secret in secrets if secret is not None]
    if not known:
        raise UnavailableError(NO_SECRET)
    if not header:
        raise BadSignatureError("send `Stripe-Signature`")
    if not any(_is_signed(body, header, secret) for secret in known):
        raise BadSignatureError("the signature is not valid")
    signed = _TIME.match(header)  # the library has proven the first, and refuses only what is too old by its own clock
    if signed is None or abs(now.timestamp() - int(signed[1])) > TOLERANCE.total_seconds():
        raise BadSignatureError("the signature's time is more than 300 s from ours")


def _is_signed(body: bytes, header: str, secret: str) -> bool:
    from stripe import SignatureVerificationError, WebhookSignature  # noqa: PLC0415 - time that few requests spend

    try:
        return WebhookSignature.verify_header(body, header, secret)
    except (SignatureVerificationError, UnicodeDecodeError, TypeError):  # the last: a signature that is not ASCII
        return False


@cache
def open_gateway(settings: BillingSettings) -> "StripeGateway":
    """Return the way to Stripe, the same for the same settings.

    Raises:
        UnavailableError: there is no key.
    """
    if settings.stripe_api_key is None:
        raise UnavailableError(NOT_SOLD)
    return StripeGateway(settings)


class StripeGateway:
    """What we ask of Stripe. Every call raises UnavailableError where Stripe does not do it."""

    def __init__(self, settings: BillingSettings) -> None:
        self._settings = settings

    @cached_property
    def _client(self) -> "StripeClient":
        import stripe  # noqa: PLC0415 - time that few requests need to spend

        logging.getLogger("stripe").setLevel(logging.WARNING)
        key, address = self._settings.stripe_api_key, self._settings.stripe_api_base
        return stripe.StripeClient(
            key.get_secret_value() if key else "",
            base_addresses={"api": address} if address else None,
            http_client=stripe.RequestsClient(timeout=TIMEOUT),
            max_network_retries=RETRIES,
        )

    def read_account(self, customer_id: str) -> Account:
        """Return a customer with all subscriptions, and the failed invoices where they matter."""
        with _answering():
            customer = self._client.v1.customers.retrieve(customer_id).to_dict()
            if customer.get("deleted"):
                return Account(customer_id, deleted=True)
            listed = self._client.v1.subscriptions.list(
                {"customer": customer_id, "status": "all", "limit": PAGE}
            ).auto_paging_iter()
            subscriptions = tuple(stripe_events.subscription(each.to_dict()) for each in listed)
            if not stripe_events.is_behind(subscriptions):
                return Account(customer_id, deleted=False, subscriptions=subscriptions)
            invoices = self._client.v1.invoices.list(
                {"customer": customer_id, "status": "open", "limit": PAGE}
            ).auto_paging_iter()
            failures = tuple(found for each in invoices if (found := stripe_events.failure(each.to_dict())))
            return Account(customer_id, deleted=False, subscriptions=subscriptions, failures=failures)

    def list_subscriptions(self) -> Iterator[tuple[str, Subscription]]:
        """Yield every subscription of every customer, with the customer's id."""
        with _answering():
            listed = self._client.v1.subscriptions.list({"status": "all", "limit": PAGE}).auto_paging_iter()
            for each in listed:
                document = each.to_dict()
                yield document["customer"], stripe_events.subscription(document)

    def create_customer(self, organization_id: OrganizationId, *, idempotency_key: str) -> str:
        """Make a customer of an organization and return their id; the same key makes no second one.

        Nothing but the organization's id goes with it: what may change, such as a name, would make the key's next use
        another request, and Stripe refuse it.
        """
        with _answering():
            made = self._client.v1.customers.create(
                {"metadata": {"organization_id": str(organization_id)}}, {"idempotency_key": idempotency_key}
            )
            return made.id

    def list_open_checkouts(self, customer_id: str) -> Sequence[Document]:
        """Return the checkouts of a customer that nobody has finished."""
        with _answering():
            listed = self._client.v1.checkout.sessions.list(
                {"customer": customer_id, "status": "open", "limit": PAGE}
            ).auto_paging_iter()
            return [each.to_dict() for each in listed]

    def expire_checkout(self, session_id: str) -> None:
        """Let a checkout be finished no more."""
        with _answering():
            self._client.v1.checkout.sessions.expire(session_id)

    def create_checkout(self, params: Any, *, idempotency_key: str) -> Document:  # noqa: ANN401 - as Stripe takes them
        """Begin a checkout and return it."""
        with _answering():
            made = self._client.v1.checkout.sessions.create(params, {"idempotency_key": idempotency_key})
            return made.to_dict()

    def create_portal(self, customer_id: str, *, return_url: str, idempotency_key: str) -> str:
        """Open the customer portal and return its address."""
        with _answering():
            made = self._client.v1.billing_portal.sessions.create(
                {"customer": customer_id, "return_url": return_url}, {"idempotency_key": idempotency_key}
            )
            return made.url

    def list_invoices(self, customer_id: str, *, after: str | None, limit: int) -> Sequence[Document]:
        """Return up to `limit` invoices, the newest first, those after the invoice `after`."""
        params: Any = {"customer": customer_id, "limit": limit} | ({"starting_after": after} if after else {})
        with _answering():
            listed = self._client.v1.invoices.list(params)
            return [each.to_dict() for each in listed.data]


@contextmanager
def _answering() -> Generator[None]:
    """Turn what goes wrong at Stripe into one failure; its words stay out, for they may hold what was sent."""
    import stripe  # noqa: PLC0415 - likewise

    try:
        yield
    except stripe.StripeError as failure:
        told = (type(failure).__name__, failure.http_status, failure.code, failure.request_id)
        logger.error("Stripe did not do it: %s, status %s, code %s, request %s", *told)  # noqa: TRY400 - no secrets
        raise UnavailableError(NO_ANSWER) from None
