"""SQL of billing: what Stripe sent, and what became of it."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import RowMapping, and_, case, func, literal, null, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from functions.billing.stripe_events import Account, Failure, Keeping, Standing, StripeEvent
from shared_code.database.tables import (
    billing_events,
    compressor_metadata,
    organizations,
    payment_failures,
    stripe_events,
    subscriptions,
    users,
)
from shared_code.database.tables.billing import EventState
from shared_code.database.tables.organizations import SubscriptionStatus, UserRole
from shared_code.database.transactions import Everywhere, Read, Write
from shared_code.identifiers import OrganizationId

_EVENT = stripe_events.c
_FAILURE = payment_failures.c
_OWN = organizations.c
STANDING = (
    "customer_deleted",
    "subscription_id",
    "stripe_status",
    "period",
    "period_end",
    "trial_end",
    "cancels_at",
    "past_due_since",
    "grace_until",
)
"""What is kept of a standing beside tier and status."""
_IS_ITS = subscriptions.c.organization_id == _OWN.id
_IS_OF_CUSTOMER = subscriptions.c.customer_id == _OWN.stripe_customer_id
"""A deleted customer is followed by another, of whom nothing is known until Stripe is asked."""


# organization-free: nobody knows yet whose it is
def add_event(
    connection: Everywhere,
    event: StripeEvent,
    payload: Mapping[str, Any],
    *,
    state: EventState,
    reason: str | None,
    concerns_us: bool,
    now: datetime,
) -> bool:
    """Keep what Stripe sent, where it `concerns_us` as its organization's, too; false where it was kept before.

    One statement, for Stripe waits.
    """
    kept = (
        insert(stripe_events)
        .values(
            event_id=event.event_id,
            event_type=event.event_type,
            livemode=event.livemode,
            customer_id=event.customer_id,
            created_at=event.created_at,
            received_at=now,
            payload=payload,
            state=state,
            attempts=0,
            next_attempt_at=now if state is EventState.WAITING else None,
            reason=reason,
        )
        .on_conflict_do_nothing()
        .returning(_EVENT.customer_id)
        .cte("kept")
    )
    values = _of_organization(event, payload, received_at=now)
    own = select(_OWN.id, *(literal(value, billing_events.c[name].type) for name, value in values.items())).join(
        kept, and_(_OWN.stripe_customer_id == kept.c.customer_id, literal(concerns_us))
    )
    its = insert(billing_events).from_select(["organization_id", *values], own).on_conflict_do_nothing().cte("its")
    return connection.scalar(select(func.count()).select_from(kept).add_cte(its)) == 1


def _of_organization(event: StripeEvent, payload: Mapping[str, Any], *, received_at: datetime) -> dict[str, Any]:
    return {
        "id": uuid4(),
        "stripe_event_id": event.event_id,
        "event_type": event.event_type,
        "amount_cents": event.amount_cents,
        "currency": event.currency,
        "payload": payload,
        "received_at": received_at,
    }


def add_billing_events(
    connection: Write,
    organization_id: OrganizationId,
    events: Iterable[tuple[StripeEvent, Mapping[str, Any], datetime]],
) -> None:
    """Keep events, each with its payload and when it came, as an organization's, those that are not yet."""
    rows = [
        {"organization_id": organization_id} | _of_organization(event, payload, received_at=received_at)
        for event, payload, received_at in events
    ]
    if rows:
        connection.execute(insert(billing_events).on_conflict_do_nothing(), rows)


# organization-free: what waits, whosever it is
def claim_events(connection: Everywhere, *, now: datetime, until: datetime, limit: int) -> Sequence[RowMapping]:
    """Take up to so many events that are due, the oldest first, with whose they are, None where nobody knows.

    Until `until` nobody else takes them, whatever becomes of this process.
    """
    due = (
        select(_EVENT.event_id)
        .where(
            _EVENT.state == EventState.WAITING,
            _EVENT.next_attempt_at <= now,
            or_(_EVENT.claimed_until.is_(None), _EVENT.claimed_until <= now),
        )
        .order_by(_EVENT.next_attempt_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("due")  # a subquery would be asked anew for each row, and would take them all
    )
    taken = (
        update(stripe_events)
        .where(_EVENT.event_id == due.c.event_id)
        .values(claimed_until=until, attempts=_EVENT.attempts + 1)
        .returning(_EVENT.event_id, _EVENT.customer_id, _EVENT.attempts, _EVENT.payload, _EVENT.received_at)
        .cte("taken")
    )
    query = select(taken, _OWN.id.label("organization_id")).outerjoin(
        organizations, _OWN.stripe_customer_id == taken.c.customer_id
    )
    return connection.execute(query).mappings().all()


# organization-free: events are told by their ids
def conclude_events(
    connection: Everywhere,
    event_ids: Collection[str],
    *,
    state: EventState,
    now: datetime,
    reason: str | None = None,
    next_attempt_at: datetime | None = None,
) -> None:
    """Keep what became of events."""
    connection.execute(
        update(stripe_events)
        .where(_EVENT.event_id.in_(event_ids), _EVENT.state == EventState.WAITING)
        .values(
            state=state,
            reason=reason,
            next_attempt_at=next_attempt_at,
            claimed_until=null(),
            handled_at=now if state is EventState.HANDLED else None,
        )
    )


# organization-free: of all there are
def count_parked(connection: Everywhere) -> int:
    """Return how many events wait for an operator."""
    return connection.scalar(select(func.count()).where(_EVENT.state == EventState.PARKED)) or 0


# organization-free: compares all organizations with Stripe
def list_standings(connection: Everywhere) -> Sequence[RowMapping]:
    """Return each organization that has a customer at Stripe, with how it stands; `changed_at` None: never asked."""
    query = (
        select(
            _OWN.id.label("organization_id"),
            _OWN.stripe_customer_id,
            _OWN.subscription_tier.label("tier"),
            _OWN.subscription_status.label("status"),
            subscriptions.c.changed_at,
            *(subscriptions.c[name] for name in STANDING),
        )
        .outerjoin(subscriptions, and_(_IS_ITS, _IS_OF_CUSTOMER))
        .where(_OWN.stripe_customer_id.is_not(None))
        .order_by(_OWN.id)
    )
    return connection.execute(query).mappings().all()


def get_account(connection: Read | Write, organization_id: OrganizationId) -> RowMapping:
    """Return the organization's customer at Stripe, plan and status, and how its subscription stands."""
    query = (
        select(
            _OWN.stripe_customer_id,
            _OWN.subscription_tier,
            _OWN.subscription_status,
            _OWN.max_compressors,
            subscriptions.c.keeps_as,
            subscriptions.c.keeps_until,
            *(case((_IS_OF_CUSTOMER, subscriptions.c[name])).label(name) for name in STANDING),
        )
        .outerjoin(subscriptions, _IS_ITS)
        .where(_OWN.id == organization_id)
    )
    return connection.execute(query).mappings().one()


def set_customer(connection: Write, organization_id: OrganizationId, customer_id: str, *, now: datetime) -> None:
    """Keep who the organization is at Stripe."""
    connection.execute(
        update(organizations).where(_OWN.id == organization_id).values(stripe_customer_id=customer_id, updated_at=now)
    )


def set_standing(
    connection: Write,
    organization_id: OrganizationId,
    account: Account,
    standing: Standing,
    *,
    max_compressors: int | None,
    keeping: Keeping | None,
    now: datetime,
) -> None:
    """Let an organization be what its subscription says."""
    connection.execute(
        update(organizations)
        .where(_OWN.id == organization_id)
        .values(
            subscription_tier=standing.tier,
            subscription_status=standing.status,
            max_compressors=max_compressors,
            updated_at=now,
        )
    )
    values = {name: getattr(standing, name) for name in STANDING} | {
        "customer_id": account.customer_id,
        "keeps_as": keeping.tier if keeping else None,
        "keeps_until": keeping.until if keeping else None,
        "changed_at": now,
    }
    statement = insert(subscriptions).values(organization_id=organization_id, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=["organization_id"], set_=values))


def add_failures(
    connection: Write,
    organization_id: OrganizationId,
    failures: Iterable[Failure],
    *,
    grace_until: datetime | None,
    now: datetime,
) -> None:
    """Note payments that failed, of which the owners are to be told; each attempt once."""
    for each in failures:
        connection.execute(
            insert(payment_failures)
            .values(
                organization_id=organization_id,
                invoice_id=each.invoice_id,
                attempt=each.attempt,
                amount_cents=each.amount_cents,
                currency=each.currency,
                grace_until=grace_until,
                noticed_at=now,
                attempts=0,
                next_attempt_at=now,
            )
            .on_conflict_do_nothing()
        )


def mark_handled(
    connection: Write, organization_id: OrganizationId, event_ids: Collection[str], *, now: datetime
) -> None:
    """Note when events of the organization took effect."""
    event = billing_events.c
    connection.execute(
        update(billing_events)
        .where(
            event.organization_id == organization_id,
            event.stripe_event_id.in_(event_ids),
            event.handled_at.is_(None),
        )
        .values(handled_at=now)
    )


# organization-free: what waits, whosever it is
def claim_failures(connection: Everywhere, *, now: datetime, until: datetime, limit: int) -> Sequence[RowMapping]:
    """Take up to so many failed payments of which the owners are to be told, with the organization's name."""
    due = (
        select(_FAILURE.organization_id, _FAILURE.invoice_id, _FAILURE.attempt)
        .where(
            _FAILURE.next_attempt_at <= now,
            or_(_FAILURE.claimed_until.is_(None), _FAILURE.claimed_until <= now),
        )
        .order_by(_FAILURE.next_attempt_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("due")  # a subquery would be asked anew for each row, and would take them all
    )
    taken = (
        update(payment_failures)
        .where(
            and_(
                _FAILURE.organization_id == due.c.organization_id,
                _FAILURE.invoice_id == due.c.invoice_id,
                _FAILURE.attempt == due.c.attempt,
            )
        )
        .values(claimed_until=until, attempts=_FAILURE.attempts + 1)
        .returning(*payment_failures.columns)
        .cte("taken")
    )
    query = select(
        taken,
        _OWN.name.label("organization_name"),
        case((_OWN.subscription_status == SubscriptionStatus.PAST_DUE, True), else_=False).label("is_behind"),
    ).join(organizations, _OWN.id == taken.c.organization_id)
    return connection.execute(query).mappings().all()


def list_owners(connection: Everywhere, organization_id: OrganizationId) -> list[str]:
    """Return the e-mail addresses of the organization's owners."""
    person = users.c
    query = (
        select(person.email)
        .where(person.organization_id == organization_id, person.role == UserRole.OWNER)
        .order_by(person.email)
        .distinct()
    )
    return list(connection.scalars(query))


def conclude_failure(
    connection: Everywhere,
    organization_id: OrganizationId,
    failure: Mapping[Any, Any],
    *,
    told_at: datetime | None,
    next_attempt_at: datetime | None,
) -> None:
    """Keep whether the owners were told, or when to try again; neither: never."""
    connection.execute(
        update(payment_failures)
        .where(
            _FAILURE.organization_id == organization_id,
            _FAILURE.invoice_id == failure["invoice_id"],
            _FAILURE.attempt == failure["attempt"],
        )
        .values(told_at=told_at, next_attempt_at=next_attempt_at, claimed_until=null())
    )


def count_machines(connection: Read, organization_id: OrganizationId) -> int:
    """Return how many machines the organization has that are not retired."""
    machine = compressor_metadata.c
    query = select(func.count()).where(machine.organization_id == organization_id, machine.retired_at.is_(None))
    return connection.execute(query).scalar_one()
