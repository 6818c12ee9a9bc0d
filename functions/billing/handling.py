"""What follows by itself from what Stripe tells: an event is looked into, and what was never told is found out.

An event is only a hint. Whoever handles it holds the organization first and reads its customer at Stripe then, so that
of two who handle at once the later writes what was read later. Stopped anywhere, the next run begins again: the same
reading leads to the same rows.
"""

import logging
import secrets
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from functions import mail
from functions.access import audit
from functions.access import queries as access_queries
from functions.access.audit import Origin
from functions.billing import queries, stripe_events, wording
from functions.billing.stripe_events import Keeping, NotUnderstoodError, Standing, StripeEvent, Subscription
from functions.billing.stripe_gateway import StripeGateway, open_gateway
from functions.clock import Clock
from functions.plans import plans, sold
from functions.settings import Settings
from shared_code.database import transactions
from shared_code.database.engines import Database
from shared_code.database.tables.billing import EventState
from shared_code.database.tables.organizations import Tier
from shared_code.database.transactions import Write
from shared_code.errors import UnavailableError
from shared_code.identifiers import OrganizationId

WAITS: Final = tuple(timedelta(minutes=minutes) for minutes in (0.25, 1, 5, 30, 2 * 60, 6 * 60, 12 * 60, 24 * 60))
"""How long to wait after each attempt that failed; after the last of them an event is parked."""
SPREAD: Final = 0.25
"""A wait is up to so much of itself longer or shorter."""
AT_A_TIME: Final = 200
AT_ONCE: Final = 4
"""Organizations that are looked into side by side: each takes a connection while Stripe answers."""
CLAIMED_FOR: Final = timedelta(minutes=5)
LONGEST: Final = timedelta(seconds=50)
"""When a run takes no more: the next one begins soon."""
CHANCE: Final = secrets.SystemRandom().random

OTHER_MODE: Final = "it is of the other mode, live or test, than STRIPE_API_KEY"
NO_CUSTOMER: Final = "it names no customer"
NOBODYS: Final = "no organization has this customer"
OF_NO_REQUEST: Final = Origin(None, None)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Handled:
    """What became of the events that a run took."""

    handled: int = 0
    failed: int = 0
    parked: int = 0
    told: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of some events; without a reason they are handled, and `final` ones are parked at once."""

    reason: str | None = None
    final: bool = False


def take_in(database: Database, settings: Settings, document: Any, *, now: datetime) -> bool:  # noqa: ANN401 - JSON
    """Keep an event that Stripe has signed, once, and as its organization's where it has one.

    Return whether it is new.

    Raises:
        stripe_events.NotAnEventError: it is none.
    """
    event = stripe_events.event(document)
    state, reason = _first_state(event, settings)
    concerns_us = reason != OTHER_MODE
    with transactions.everywhere(database) as connection:
        is_new = queries.add_event(
            connection, event, document, state=state, reason=reason, concerns_us=concerns_us, now=now
        )
    if state is EventState.PARKED and is_new:
        logger.error("event %s was parked: %s", event.event_id, reason)
    return is_new


def _first_state(event: StripeEvent, settings: Settings) -> tuple[EventState, str | None]:
    if settings.billing.stripe_api_key is not None and event.livemode != settings.billing.live:
        return EventState.PARKED, OTHER_MODE
    if event.event_type not in stripe_events.HANDLED:
        return EventState.HANDLED, None
    if event.customer_id is None:
        return EventState.PARKED, NO_CUSTOMER
    return EventState.WAITING, None


def handle(database: Database, settings: Settings, *, clock: Clock, chance: Callable[[], float] = CHANCE) -> Handled:
    """Look into what the events that are due are about, and tell owners of payments that failed.

    Without Stripe's key events wait.
    """
    began = clock()
    counts = Handled()
    if settings.billing.stripe_api_key is not None:
        gateway = open_gateway(settings.billing)  # pyright: ignore[reportArgumentType] - frozen, so it has a hash
        while clock() - began < LONGEST:
            more = _handle_some(database, gateway, clock=clock, chance=chance)
            counts = Handled(counts.handled + more.handled, counts.failed + more.failed, counts.parked + more.parked)
            if more.handled + more.failed + more.parked < AT_A_TIME:
                break
    told = tell_owners(database, settings, clock=clock, chance=chance)
    return Handled(counts.handled, counts.failed, counts.parked, told)


def _handle_some(database: Database, gateway: StripeGateway, *, clock: Clock, chance: Callable[[], float]) -> Handled:
    """Handle up to AT_A_TIME events that are due; those of one customer together, for they ask the same."""
    now = clock()
    with transactions.everywhere(database) as connection:
        claimed = queries.claim_events(connection, now=now, until=now + CLAIMED_FOR, limit=AT_A_TIME)
    groups: defaultdict[OrganizationId | None, list[Mapping[Any, Any]]] = defaultdict(list)
    for row in claimed:
        whose = row["organization_id"]
        groups[None if whose is None else OrganizationId(whose)].append(row)
    with ThreadPoolExecutor(AT_ONCE, "stripe") as pool:
        look_into = partial(_look_into, database, gateway, clock=clock)
        outcomes = list(pool.map(look_into, groups.keys(), groups.values()))
    became = Counter[EventState]()
    for rows, outcome in zip(groups.values(), outcomes, strict=True):
        became += _conclude(database, rows, outcome, now=clock(), chance=chance)
    return Handled(became[EventState.HANDLED], became[EventState.WAITING], became[EventState.PARKED])


def _look_into(
    database: Database,
    gateway: StripeGateway,
    organization_id: OrganizationId | None,
    events: Sequence[Mapping[Any, Any]],
    *,
    clock: Clock,
) -> Outcome:
    if organization_id is None:
        return Outcome(NOBODYS)
    try:
        converge(database, organization_id, gateway, clock=clock, events=events)
    except NotUnderstoodError as strange:
        return Outcome(str(strange), final=True)
    except UnavailableError as failure:
        return Outcome(str(failure))
    except Exception as failure:  # whatever is wrong with one customer, the others' events are handled
        logger.exception("events of organization %s could not be handled", organization_id)
        return Outcome(type(failure).__name__)
    return Outcome()


def converge(
    database: Database,
    organization_id: OrganizationId,
    gateway: StripeGateway,
    *,
    clock: Clock,
    events: Collection[Mapping[Any, Any]] = (),
) -> Standing | None:
    """Let an organization be what its subscription at Stripe says, and note that these events took effect.

    None: it has no customer there.

    Raises:
        NotUnderstoodError: the subscription is none of our plans; nothing is changed.
        UnavailableError: Stripe, or the database, does not answer; nothing is changed.
    """
    with transactions.write(database, organization_id) as connection:
        access_queries.lock_organization(connection, organization_id)  # before Stripe is asked: see above
        before = queries.get_account(connection, organization_id)
        customer_id: str | None = before["stripe_customer_id"]
        if customer_id is None:
            return None
        account = gateway.read_account(customer_id)
        now = clock()
        standing = stripe_events.converge(account, sold(), now=now)
        limit = plans()[standing.tier].max_compressors
        keeping = stripe_events.keeping(Tier(before["subscription_tier"]), standing.tier, _keeping(before), now=now)
        queries.set_standing(
            connection, organization_id, account, standing, max_compressors=limit, keeping=keeping, now=now
        )
        queries.add_failures(connection, organization_id, account.failures, grace_until=standing.grace_until, now=now)
        _record(connection, organization_id, before, standing, now)
        came = [(stripe_events.event(row["payload"]), row["payload"], row["received_at"]) for row in events]
        queries.add_billing_events(connection, organization_id, came)
        queries.mark_handled(connection, organization_id, [row["event_id"] for row in events], now=now)
    return standing


def _keeping(account: Mapping[Any, Any]) -> Keeping | None:
    until: datetime | None = account["keeps_until"]
    return None if until is None else Keeping(Tier(account["keeps_as"]), until)


def _record(
    connection: Write, organization_id: OrganizationId, before: Mapping[Any, Any], standing: Standing, now: datetime
) -> None:
    was = {"tier": before["subscription_tier"], "status": before["subscription_status"]}
    becomes = {"tier": standing.tier.value, "status": standing.status.value}
    if was == becomes:
        return
    audit.record(
        connection,
        organization_id,
        "subscription.changed",
        by=None,
        origin=OF_NO_REQUEST,
        now=now,
        target=standing.subscription_id,
        details={"from": was, "to": becomes},
    )


def _conclude(
    database: Database,
    events: Sequence[Mapping[Any, Any]],
    outcome: Outcome,
    *,
    now: datetime,
    chance: Callable[[], float],
) -> Counter[EventState]:
    """Keep what became of events and count it: handled, or waiting for another attempt, or parked."""
    if outcome.reason is None:
        ids = [event["event_id"] for event in events]
        with transactions.everywhere(database) as connection:
            queries.conclude_events(connection, ids, state=EventState.HANDLED, now=now)
        return Counter({EventState.HANDLED: len(ids)})
    became = Counter[EventState]()
    reason = outcome.reason[:200]
    with transactions.everywhere(database) as connection:
        for event in events:
            again = None if outcome.final else next_attempt(event["attempts"], now, chance=chance())
            state = EventState.PARKED if again is None else EventState.WAITING
            level = logging.ERROR if state is EventState.PARKED else logging.WARNING
            logger.log(level, "event %s is %s: %s", event["event_id"], state, reason)
            ids = [event["event_id"]]
            queries.conclude_events(connection, ids, state=state, now=now, reason=reason, next_attempt_at=again)
            became[state] += 1
    return became


def next_attempt(attempts: int, now: datetime, *, chance: float) -> datetime | None:
    """Return when to try again after so many attempts, one at least; None for never.

    Args:
        attempts: how many have failed.
        now: the instant of the last.
        chance: a random number from 0 to 1.
    """
    if attempts > len(WAITS):
        return None
    return now + WAITS[attempts - 1] * (1 + SPREAD * (2 * chance - 1))


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What a comparison with Stripe found."""

    compared: int
    mended: int
    failed: int
    unknown: int
    """Customers at Stripe with a live subscription, and none of ours."""
    parked: int
    """Events that wait for an operator."""


def reconcile(database: Database, settings: Settings, *, clock: Clock) -> Reconciled | None:
    """Compare every organization that has a customer at Stripe with what Stripe has, and mend what differs.

    It finds what no event has told, for days, and what time alone changes, such as the end of grace. None: there is no
    Stripe here.

    Raises:
        UnavailableError: Stripe does not answer.
    """
    if settings.billing.stripe_api_key is None:
        return None
    gateway = open_gateway(settings.billing)  # pyright: ignore[reportArgumentType] - frozen, so it has a hash
    theirs: defaultdict[str, list[Subscription]] = defaultdict(list)
    for customer_id, subscription in gateway.list_subscriptions():
        theirs[customer_id].append(subscription)
    with transactions.everywhere(database) as connection:
        ours = queries.list_standings(connection)
        parked = queries.count_parked(connection)
    different = [row for row in ours if _differs(row, theirs.get(row["stripe_customer_id"], []), clock())]
    with ThreadPoolExecutor(AT_ONCE, "stripe") as pool:
        mended = sum(pool.map(partial(_mend, database, gateway, clock=clock), different))
    known = {row["stripe_customer_id"] for row in ours}
    unknown = [
        customer_id
        for customer_id, subscriptions in theirs.items()
        if customer_id not in known and any(each.status in stripe_events.LIVE for each in subscriptions)
    ]
    for customer_id in unknown:
        logger.error("customer %s has a live subscription, and %s", customer_id, NOBODYS)
    return Reconciled(len(ours), mended, len(different) - mended, len(unknown), parked)


def _differs(row: Mapping[Any, Any], subscriptions: Sequence[Subscription], now: datetime) -> bool:
    """Whether an organization may be other than Stripe says; where payments failed, only its invoices tell."""
    if row["changed_at"] is None or stripe_events.is_behind(subscriptions):
        return True
    account = stripe_events.Account(row["stripe_customer_id"], row["customer_deleted"], tuple(subscriptions))
    try:
        standing = stripe_events.converge(account, sold(), now=now)
    except NotUnderstoodError:
        return True
    return any(row[name] != getattr(standing, name) for name in ("tier", "status", *queries.STANDING))


def _mend(database: Database, gateway: StripeGateway, row: Mapping[Any, Any], *, clock: Clock) -> bool:
    organization_id = OrganizationId(row["organization_id"])
    try:
        converge(database, organization_id, gateway, clock=clock)
    except NotUnderstoodError as strange:
        logger.error("organization %s stays as it is: %s", organization_id, strange)  # noqa: TRY400 - it says all
        return False
    except Exception:  # whatever is wrong with one customer, the others are mended
        logger.exception("organization %s could not be compared with Stripe", organization_id)
        return False
    return True


def tell_owners(database: Database, settings: Settings, *, clock: Clock, chance: Callable[[], float] = CHANCE) -> int:
    """Write to the owners of organizations whose payment failed, once for each failure; return how many were told.

    Nothing is sent where the installation sends no e-mail, or where the payment was made meanwhile.
    """
    now = clock()
    with transactions.everywhere(database) as connection:
        failures = queries.claim_failures(connection, now=now, until=now + CLAIMED_FOR, limit=AT_A_TIME)
    told = 0
    for failure in failures:
        organization_id = OrganizationId(failure["organization_id"])
        with transactions.everywhere(database) as connection:
            owners = queries.list_owners(connection, organization_id)
        again, told_at = None, None
        if settings.mail.sends and failure["is_behind"]:
            try:
                for email in owners:
                    letter = wording.payment_failed(failure, email=email, public_url=settings.access.altaviz_public_url)
                    mail.send(settings.mail, letter)
                told_at, told = clock(), told + 1
            except UnavailableError:
                again = next_attempt(failure["attempts"], clock(), chance=chance())
        with transactions.everywhere(database) as connection:
            queries.conclude_failure(connection, organization_id, failure, told_at=told_at, next_attempt_at=again)
    return told
