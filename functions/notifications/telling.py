"""Telling people of alerts, by itself, every minute.

What there is to tell is noticed, decided and written down before anything is sent: whatever stops this, the next run
goes on. A message may arrive twice, when this is stopped between sending it and noting that; none is lost.
"""

import logging
import secrets
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from functions.mail import Letter
from functions.notifications import decisions, queries, wording
from functions.notifications.decisions import Dropped
from functions.notifications.sending import AT_ONCE, GONE, Outcome, Post, Postman
from shared_code.database import transactions
from shared_code.database.engines import Database
from shared_code.database.tables.notifications import ChannelKind, DeliveryState
from shared_code.identifiers import OrganizationId

AT_A_TIME: Final = 500
"""Notifications that are decided in one transaction."""
CLAIMED_FOR: Final = timedelta(minutes=5)
"""Longer than any attempt takes."""
LONGEST: Final = timedelta(seconds=50)
"""When a run takes no more: the next one begins soon."""

NOT_SENT: Final = Outcome(0.0, error="its channel was switched off")
NOT_WRITTEN: Final = Outcome(0.0, error="it could not be written")
CHANCE: Final = secrets.SystemRandom().random

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Told:
    """What a run did."""

    noticed: int
    delivered: int
    failed: int


def tell(database: Database, *, postman: Postman, chance: Callable[[], float] = CHANCE) -> Told:
    """Notice what there is to tell, decide on what is due, and send what waits.

    Args:
        database: where.
        postman: takes messages out, and has the clock.
        chance: a random number from 0 to 1, for when to try again.
    """
    clock = postman.clock
    began = clock()
    with transactions.everywhere(database) as connection:
        noticed = queries.notice(connection, now=began)
        queries.close(connection, now=began)
    while _decide(database, now=clock()) == AT_A_TIME:
        pass
    delivered = failed = 0
    while clock() - began < LONGEST:
        outcomes = _send(database, postman, chance)
        if not outcomes:
            break
        good = sum(outcome.error is None for outcome in outcomes)
        delivered, failed = delivered + good, failed + len(outcomes) - good
    return Told(noticed, delivered, failed)


def _decide(database: Database, *, now: datetime) -> int:
    """Decide on notifications that are due, and write the messages of those that are told; return how many."""
    with transactions.everywhere(database) as connection:
        due = queries.lock_due(connection, now=now, limit=AT_A_TIME)
        decided = {row["notification_id"]: decisions.decide(row, now) for row in due}
        told = [row for row in due if decided[row["notification_id"]] == now]
        messages = list(_messages(told))
        delivery_of = {row["notification_id"]: delivery_id for delivery_id, rows in messages for row in rows}
        queries.add_deliveries(connection, [_delivery(delivery_id, rows, now) for delivery_id, rows in messages])
        queries.settle(connection, [_settled(row, decided, delivery_of, now) for row in due])
    return len(due)


def _messages(rows: Sequence[Mapping[Any, Any]]) -> list[tuple[UUID, list[Mapping[Any, Any]]]]:
    """Put alerts for the same people into one message; programs get one each. Return each with a new id."""
    groups: defaultdict[object, list[Mapping[Any, Any]]] = defaultdict(list)
    for row in rows:
        alone = row["notification_id"] if row["kind"] == ChannelKind.WEBHOOK else None
        groups[row["organization_id"], row["channel_id"], alone].append(row)
    return [
        (uuid4(), group[first : first + wording.MOST])
        for group in groups.values()
        for first in range(0, len(group), wording.MOST)
    ]


def _delivery(delivery_id: UUID, rows: Sequence[Mapping[Any, Any]], now: datetime) -> dict[str, Any]:
    return {
        "organization_id": rows[0]["organization_id"],
        "delivery_id": delivery_id,
        "channel_id": rows[0]["channel_id"],
        "message": wording.of_alerts(rows, at=now),
        "state": DeliveryState.WAITING,
        "attempts": 0,
        "created_at": now,
        "next_attempt_at": now,
    }


def _settled(
    row: Mapping[Any, Any],
    decided: Mapping[UUID, Dropped | datetime],
    delivery_of: Mapping[UUID, UUID],
    now: datetime,
) -> dict[str, Any]:
    decision = decided[row["notification_id"]]
    return {
        "organization_id": row["organization_id"],
        "notification_id": row["notification_id"],
        "due_at": now if isinstance(decision, Dropped) else decision,
        "delivery_id": delivery_of.get(row["notification_id"]),
        "dropped": decision if isinstance(decision, Dropped) else None,
    }


def _send(database: Database, postman: Postman, chance: Callable[[], float]) -> list[Outcome]:
    """Send some of what waits; return what became of it."""
    now = postman.clock()
    with transactions.everywhere(database) as connection:
        claimed = queries.claim(connection, now=now, until=now + CLAIMED_FOR, limit=AT_ONCE)
    made = [_made(row, now) for row in claimed]
    sent = iter(postman.deliver(each for each in made if not isinstance(each, Outcome)))
    outcomes = [each if isinstance(each, Outcome) else next(sent) for each in made]
    with transactions.everywhere(database) as connection:
        for row, outcome in zip(claimed, outcomes, strict=True):
            _note(connection, row, outcome, now=now, chance=chance())
    return outcomes


def _made(delivery: Mapping[Any, Any], now: datetime) -> Post | Letter | Outcome:
    """Return a message as its channel takes it, or why none goes out."""
    if not delivery["enabled"] or delivery["removed_at"] is not None:
        return NOT_SENT
    try:
        return written(delivery, now)
    except Exception:  # whatever is wrong with one customer's message, the others' go out
        logger.exception("delivery %s could not be written", delivery["delivery_id"])
        return NOT_WRITTEN


def written(delivery: Mapping[Any, Any], now: datetime) -> Post | Letter:
    """Return a message as its channel takes it; `delivery` is a row of `queries.claim`."""
    message, address = delivery["message"], delivery["address"]
    match ChannelKind(delivery["kind"]):
        case ChannelKind.EMAIL:
            return wording.letter(message, address)
        case ChannelKind.SLACK:
            return wording.slack(message, address)
        case ChannelKind.TEAMS:
            return wording.teams(message, address)
        case ChannelKind.WEBHOOK:
            known = [delivery["secret"]]
            if delivery["previous_until"] is not None and delivery["previous_until"] > now:
                known.append(delivery["previous_secret"])
            return wording.webhook(message, address, delivery_id=delivery["delivery_id"], secrets=known, now=now)


def _note(
    connection: transactions.Everywhere, delivery: Mapping[Any, Any], outcome: Outcome, *, now: datetime, chance: float
) -> None:
    """Keep how an attempt went, and when to try again."""
    organization_id = OrganizationId(delivery["organization_id"])
    again, state = None, DeliveryState.DELIVERED
    if outcome.error is not None:
        if outcome.status != GONE and outcome is not NOT_SENT:
            again = decisions.next_attempt(delivery["attempts"], now, chance=chance, retry_after=outcome.retry_after)
        state = DeliveryState.FAILED if again is None else DeliveryState.WAITING
        logger.warning("delivery %s failed: %s", delivery["delivery_id"], outcome.error)
    queries.conclude(
        connection,
        organization_id,
        delivery["delivery_id"],
        attempts=delivery["attempts"],
        attempt=attempt_values(outcome, now),
        state=state,
        next_attempt_at=again,
    )
    if outcome.status == GONE:
        queries.switch_off(connection, organization_id, delivery["channel_id"])


def attempt_values(outcome: Outcome, at: datetime) -> dict[str, Any]:
    """Return what is kept of an attempt."""
    return {"attempted_at": at, "seconds": outcome.seconds, "status": outcome.status, "error": outcome.error}
