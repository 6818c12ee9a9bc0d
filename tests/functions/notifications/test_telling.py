"""People are told once, in time, of what they have to know, and of nothing else.

With the real database, a server of somebody else's, and a clock that is moved.
"""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import time, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import insert, update
from standardwebhooks import Webhook

from functions.mail import Letter
from functions.notifications import decisions, queries, sending, telling, wording
from functions.notifications.telling import Told
from shared_code.alarms import Severity
from shared_code.database import transactions
from shared_code.database.tables import notification_channels, notification_deliveries, station_locations
from tests.factories.fleet import a_compressor, a_customer, a_station
from tests.functions.notifications.conftest import SECRET, People

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
NOTHING = Told(0, 0, 0)


def events(people: People) -> list[tuple[str, str]]:
    """Return what arrived: type and alert of each event."""
    bodies = [json.loads(received.body) for received in people.receiver.received]
    return [(body["type"], body["data"].get("alert_id", "")) for body in bodies]


def stop(*_: object, **_named: object) -> None:
    raise KeyboardInterrupt


def test_an_alert_is_told_once(people: People) -> None:
    people.channel()
    alert = people.alert()

    assert people.tell() == Told(1, 1, 0)
    assert [people.tell(after=MINUTE) for _ in range(3)] == [NOTHING] * 3

    assert events(people) == [("alert.warning", str(alert))]
    (delivery,), (attempt,) = people.deliveries(), people.attempts()
    assert (delivery["state"], delivery["attempts"], delivery["delivered_at"]) == (
        "delivered",
        1,
        attempt["attempted_at"],
    )
    assert (attempt["status"], attempt["error"]) == (204, None)
    received = people.receiver.received[0]
    assert received.headers["webhook-id"] == str(delivery["delivery_id"])
    signed = Webhook(SECRET).sign(received.headers["webhook-id"], people.now - 3 * MINUTE, received.body.decode())
    assert received.headers["webhook-signature"] == signed


@pytest.mark.parametrize(
    "state",
    [
        {"resolved": True},
        {"suppressed_by": "most_open"},
        {"withdrawn_at": "now"},
        {"cleared_at": "now"},
        {"acknowledged": True, "acknowledged_at": "now"},
        {"shelved_until": "later"},
    ],
    ids=str,
)
def test_what_needs_nobody_is_told_to_nobody(people: People, state: dict[str, Any]) -> None:
    people.channel()
    alert = people.alert(Severity.CRITICAL)
    instants = {"now": people.now, "later": people.now + HOUR}
    people.change_alert(alert, **{name: instants.get(str(value), value) for name, value in state.items()})

    assert people.tell() == NOTHING


def test_a_shelf_that_has_ended_lets_it_be_told(people: People) -> None:
    people.channel()
    people.change_alert(people.alert(), shelved_until=people.now + HOUR)

    assert people.tell() == NOTHING
    assert people.tell(after=HOUR) == Told(1, 1, 0)


def test_a_channel_is_told_of_what_is_grave_enough_for_it(people: People) -> None:
    people.channel(least_severity="critical")
    alert = people.alert()

    assert people.tell() == NOTHING
    people.change_alert(alert, severity="critical", critical_at=people.now)
    assert people.tell(after=MINUTE) == Told(1, 1, 0)
    assert events(people) == [("alert.critical", str(alert))]


def test_what_becomes_critical_is_told_again_though_somebody_acknowledged_the_warning(people: People) -> None:
    people.channel()
    alert = people.alert()
    people.tell()
    people.change_alert(alert, acknowledged=True, acknowledged_at=people.now)
    people.tell(after=MINUTE)
    people.change_alert(alert, severity="critical", critical_at=people.now + MINUTE)
    people.tell(after=2 * MINUTE)
    people.change_alert(alert, severity="warning")
    people.tell(after=MINUTE)

    assert events(people) == [("alert.warning", str(alert)), ("alert.critical", str(alert))]


@pytest.mark.parametrize(
    ("acknowledged_after", "told"),
    [(None, {"first": 0, "second": 15, "third": 60}), (14, {"first": 0}), (16, {"first": 0, "second": 15})],
)
def test_who_is_next_is_told_when_nobody_acknowledged_it(
    people: People, acknowledged_after: int | None, told: dict[str, int]
) -> None:
    chain = {
        str(people.channel(after_minutes=minutes)): name
        for name, minutes in (("first", 0), ("second", 15), ("third", 60))
    }
    alert, began = people.alert(), people.now
    arrived: dict[str, int] = {}
    for minute in range(62):
        people.now = began + minute * MINUTE
        if minute == acknowledged_after:
            people.change_alert(alert, acknowledged=True, acknowledged_at=people.now)
        people.tell()
        for received in people.receiver.received:
            arrived.setdefault(chain[received.path.strip("/")], minute)

    assert arrived == told
    assert people.dropped() == ["acknowledged"] * (3 - len(told))


def test_a_warning_waits_for_the_end_of_the_night_at_its_station_and_a_critical_one_does_not(people: People) -> None:
    people.channel(quiet_from=time(11, 30), quiet_until=time(13))
    warning = people.alert()
    critical = people.alert(Severity.CRITICAL, compressor_id="COMP-002")

    people.tell()
    assert events(people) == [("alert.critical", str(critical))]
    people.tell(after=59 * MINUTE)
    assert len(events(people)) == 1
    people.tell(after=MINUTE)
    assert events(people)[1:] == [("alert.warning", str(warning))]


def test_what_is_over_by_the_end_of_the_night_is_never_told(people: People) -> None:
    people.channel(quiet_from=time(11, 30), quiet_until=time(13))
    alert = people.alert()
    people.tell()
    people.change_alert(alert, resolved=True, resolved_at=people.now)
    people.tell(after=HOUR)

    assert (events(people), people.dropped()) == ([], ["over"])


def test_whoever_was_told_is_told_when_it_is_over(people: People) -> None:
    told, untold = people.channel(), people.channel(tells_resolved=False)
    people.channel(after_minutes=60)
    alert = people.alert()
    people.tell()
    people.change_alert(alert, resolved=True, resolved_at=people.now, cleared_at=people.now)
    for _ in range(3):
        people.tell(after=HOUR)

    paths = [(received.path, json.loads(received.body)["type"]) for received in people.receiver.received]
    assert sorted(paths) == sorted(
        [(f"/{told}", "alert.warning"), (f"/{untold}", "alert.warning"), (f"/{told}", "alert.resolved")]
    )
    assert people.dropped() == ["over"]


def test_people_get_one_message_of_what_came_together_and_programs_one_each(people: People) -> None:
    slack, webhook = people.channel("slack"), people.channel()
    for machine in ("COMP-001", "COMP-002", "COMP-003"):
        people.alert(compressor_id=machine)

    assert people.tell() == Told(6, 4, 0)
    received = [received.path.strip("/") for received in people.receiver.received]
    assert (received.count(str(slack)), received.count(str(webhook))) == (1, 3)
    digest = next(each for each in people.receiver.received if each.path.strip("/") == str(slack))
    assert json.loads(digest.body)["text"] == "3 alerts at 3 machines"


def test_a_flood_is_a_few_messages(people: People) -> None:
    people.channel("teams")
    for number in range(50):
        people.alert(rule=f"rule_{number}")

    assert people.tell() == Told(50, 3, 0)
    assert sorted(len(each["message"]["alerts"]) for each in people.deliveries()) == [10, 20, 20]


def test_a_message_that_fails_is_tried_again_the_same_under_the_same_id_and_in_the_end_given_up(people: People) -> None:
    people.channel()
    people.alert()
    people.receiver.answer(*[500] * 20)
    waits: list[timedelta] = []
    people.tell()
    while people.deliveries()[0]["state"] == "waiting":
        wait = people.deliveries()[0]["next_attempt_at"] - people.now
        assert people.tell(after=wait - MINUTE / 2) == NOTHING
        assert people.tell(after=MINUTE / 2) == Told(0, 0, 1)
        waits.append(wait)

    assert waits == list(decisions.WAITS)
    (delivery,) = people.deliveries()
    assert (delivery["state"], delivery["attempts"], delivery["next_attempt_at"]) == ("failed", len(waits) + 1, None)
    assert {(row["status"], row["error"]) for row in people.attempts()} == {(500, "answered 500")}
    assert len(people.attempts()) == len(waits) + 1
    assert len({received.body for received in people.receiver.received}) == 1
    assert len({received.headers["webhook-id"] for received in people.receiver.received}) == 1
    assert people.tell(after=48 * HOUR) == NOTHING


def test_a_receiver_says_how_long_to_wait(people: People) -> None:
    people.channel()
    people.alert()
    people.receiver.answer(429, Retry_After="3600")
    people.tell()

    assert people.tell(after=59 * MINUTE) == NOTHING
    assert people.tell(after=MINUTE) == Told(0, 1, 0)


def test_a_receiver_that_is_gone_is_told_nothing_more(people: People) -> None:
    channel = people.channel()
    people.alert()
    people.receiver.answer(410)
    people.tell()
    people.alert(compressor_id="COMP-002")

    assert [people.tell(after=MINUTE) for _ in range(3)] == [NOTHING] * 3
    (row,) = people.rows(notification_channels)
    assert (row["channel_id"], row["enabled"], people.deliveries()[0]["state"]) == (channel, False, "failed")


def test_a_channel_that_was_switched_off_meanwhile_is_not_told(people: People) -> None:
    channel = people.channel(after_minutes=15)
    people.alert()
    people.tell()
    people.change_channel(channel, enabled=False)

    assert people.tell(after=15 * MINUTE) == NOTHING
    assert people.dropped() == ["channel_off"]


def test_a_message_to_a_channel_that_was_removed_meanwhile_is_not_sent(people: People) -> None:
    channel = people.channel()
    people.alert()
    people.receiver.answer(500)
    people.tell()
    people.change_channel(channel, enabled=False, removed_at=people.now, secret=None)

    assert people.tell(after=HOUR) == Told(0, 0, 1)
    assert people.deliveries()[0]["state"] == "failed"
    assert len(people.receiver.received) == 1


def test_while_the_old_secret_is_good_both_sign(people: People) -> None:
    other = "whsec_" + "RUZHSA" * 7 + "RQ=="
    people.channel(previous_secret=other, previous_until=people.now + HOUR)
    people.alert()
    people.tell()
    people.alert(compressor_id="COMP-002")
    people.tell(after=HOUR)

    signatures = [received.headers["webhook-signature"].split() for received in people.receiver.received]
    assert [len(each) for each in signatures] == [2, 1]


@pytest.mark.parametrize("stopped_at", ["claim", "conclude"])
def test_stopped_before_it_is_sent_or_noted_it_is_sent_by_the_next_under_the_same_id(
    people: People, monkeypatch: pytest.MonkeyPatch, stopped_at: str
) -> None:
    """Where the message went out and that was not noted, it goes out twice; the receiver knows it by its id."""
    people.channel()
    people.alert()

    with monkeypatch.context() as patch:
        patch.setattr(queries, stopped_at, stop)
        with pytest.raises(KeyboardInterrupt):
            people.tell()
    people.tell(after=MINUTE)
    people.tell(after=telling.CLAIMED_FOR)

    ids = [received.headers["webhook-id"] for received in people.receiver.received]
    assert len(set(ids)) == 1
    assert len(ids) == (1 if stopped_at == "claim" else 2)
    assert people.deliveries()[0]["state"] == "delivered"


def test_hosts_side_by_side_tell_everything_once(people: People) -> None:
    for _ in range(3):
        people.channel()
    alerts = {str(people.alert(rule=f"rule_{number}")) for number in range(40)}

    def one(_: int) -> Told:
        return people.tell()

    with ThreadPoolExecutor(4) as hosts:
        told = list(hosts.map(one, range(4)))
    people.tell(after=MINUTE)

    assert sum(each.noticed for each in told) == 120
    assert sorted(alert for _, alert in events(people)) == sorted([*alerts] * 3)
    assert {each["attempts"] for each in people.deliveries()} == {1}


def test_a_channel_with_much_to_be_told_lets_the_others_have_their_turn(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A receiver that answers slowly, or never, holds up its own messages."""
    people.channel()
    for number in range(40):
        people.alert(rule=f"rule_{number}")
    people.receiver.answer(*[500] * 40)
    people.tell()
    quick = people.channel(least_severity="critical")
    people.alert(Severity.CRITICAL, compressor_id="COMP-002")
    with monkeypatch.context() as patch:
        patch.setattr(queries, "claim", stop)
        with pytest.raises(KeyboardInterrupt):
            people.tell(after=2 * MINUTE)

    with transactions.everywhere(people.database) as connection:
        claimed = queries.claim(connection, now=people.now, until=people.now + HOUR, limit=3)

    assert quick in {row["channel_id"] for row in claimed}
    assert len(claimed) == 3


def test_of_two_hosts_that_both_sent_it_the_later_has_the_last_word(people: People) -> None:
    """The first was away for longer than a claim lasts."""
    people.channel()
    people.alert()
    people.tell()
    (delivery,) = people.deliveries()
    attempt = {"attempted_at": people.now + MINUTE, "seconds": 0.1, "status": 500, "error": "answered 500"}
    with transactions.everywhere(people.database) as connection:
        kept = queries.conclude(
            connection,
            people.customer.organization_id,
            delivery["delivery_id"],
            attempts=0,
            attempt=attempt,
            state=telling.DeliveryState.WAITING,
            next_attempt_at=people.now,
        )

    assert not kept
    assert people.deliveries()[0]["state"] == "delivered"
    assert len(people.attempts()) == 2


def test_nobody_is_told_of_anothers_alerts(people: People) -> None:
    channel = people.channel()
    other = a_customer(people.database)
    a_compressor(people.database, other, station_id=a_station(people.database, other))
    elsewhere = People(people.database, people.receiver, other)
    theirs, ours = elsewhere.alert(), people.alert()
    their_channel = elsewhere.channel()

    people.tell()

    arrived = {(received.path, json.loads(received.body)["data"]["alert_id"]) for received in people.receiver.received}
    assert arrived == {(f"/{channel}", str(ours)), (f"/{their_channel}", str(theirs))}


def test_what_is_wrong_with_one_customers_message_keeps_nobody_elses(people: People) -> None:
    """A station's time zone comes in a file, and a message from whichever version of this wrote it."""
    people.channel(quiet_from=time(1), quiet_until=time(2))
    people.alert()
    with transactions.owner(people.database) as connection:
        own = station_locations.c.organization_id == people.customer.organization_id
        connection.execute(update(station_locations).where(own).values(timezone="Middle/Earth"))
    other = a_customer(people.database)
    a_compressor(people.database, other, station_id=a_station(people.database, other))
    elsewhere = People(people.database, people.receiver, other)
    broken = elsewhere.channel("slack")
    with transactions.owner(people.database) as connection:
        connection.execute(
            insert(notification_deliveries).values(
                organization_id=other.organization_id,
                delivery_id=uuid4(),
                channel_id=broken,
                message={"type": "alert.warning", "alerts": [{}]},
                state="waiting",
                attempts=0,
                created_at=people.now,
                next_attempt_at=people.now,
            )
        )

    assert people.tell() == Told(1, 1, 1)
    assert elsewhere.attempts()[0]["error"] == "it could not be written"
    assert "UTC" in wording.letter(people.deliveries()[0]["message"], "a@customer.example").text


def test_who_is_no_member_any_more_gets_no_letter(people: People) -> None:
    people.channel("email", address="left@customer.example")
    people.alert()

    assert people.tell() == Told(1, 0, 0)
    assert people.dropped() == ["no_member"]


def test_a_member_gets_a_letter_however_their_address_is_written(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    people.channel("email", address=people.customer.member.email.upper())
    people.alert()
    letters: list[Letter] = []

    def take(_settings: object, letter: Letter) -> None:
        letters.append(letter)

    monkeypatch.setattr(sending, "send", take)

    assert people.tell() == Told(1, 1, 0)
    assert [letter.subject for letter in letters] == ["[Altaviz] Warning: vibration, COMP-001 at Name of STATION-A"]


def test_a_day_of_nothing_reaches_nobody(people: People) -> None:
    people.channel()
    assert [people.tell(after=HOUR) for _ in range(24)] == [NOTHING] * 24
