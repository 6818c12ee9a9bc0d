"""Whom to tell, and what became of messages, over HTTP."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select
from standardwebhooks import Webhook

from functions.access import sessions
from functions.api import create_app
from functions.notifications.actions import MOST_CHANNELS
from functions.settings import MailSettings, NotificationSettings, Settings
from shared_code.database import transactions
from shared_code.database.engines import Database
from shared_code.database.tables import audit_log, notification_channels
from shared_code.database.tables.organizations import UserRole
from tests.factories.fleet import Customer, a_colleague, a_customer, a_session
from tests.functions.conftest import KEY, NOW
from tests.functions.notifications.conftest import People
from tests.seams.api_client import ApiClient
from tests.seams.receiver import Receiver

CHANNELS = "/api/notifications/channels"
DELIVERIES = "/api/notifications/deliveries"
A_WEBHOOK: dict[str, Any] = {
    "kind": "webhook",
    "name": "On-call",
    "address": "https://hooks.customer.example/alerts?key=canary",
}


@pytest.fixture
def settings(database: Database, settings: Settings) -> Settings:
    """As it is where a server of one's own may be told, and e-mail goes out."""
    return Settings(
        settings.access,
        database.settings,
        KEY,
        mail=MailSettings(smtp_host="127.0.0.1", smtp_port=9, smtp_from="a@altaviz.example"),
        edge=settings.edge,
        notifications=NotificationSettings(notifications_private_networks=("127.0.0.0/8",)),
    )


@pytest.fixture
def public(database: Database, settings: Settings) -> ApiClient:
    """An application that sends no e-mail, and tells nobody inside."""
    return ApiClient(
        create_app(
            Settings(settings.access, database.settings, KEY, edge=settings.edge), lambda: database, clock=lambda: NOW
        )
    )


def a_channel(client: ApiClient, **more: object) -> dict[str, Any]:
    answer = client.post(CHANNELS, json=A_WEBHOOK | more)
    assert answer.status_code == 201, answer.text
    return answer.json()


def entries(database: Database, customer: Customer) -> list[tuple[str, dict[str, Any]]]:
    own = select(audit_log).where(audit_log.c.organization_id == customer.organization_id)
    with transactions.owner(database) as connection:
        return [(row.action, row.details) for row in connection.execute(own) if "channel" in row.action]


def test_a_webhook_is_made_with_a_secret_that_is_shown_once(
    client: ApiClient, database: Database, customer: Customer
) -> None:
    made = a_channel(client, quiet_hours={"start": "22:00", "until": "06:30"})

    assert made["secret"].startswith("whsec_")
    assert Webhook(made["secret"])
    del made["secret"]
    assert made["address"] == "https://hooks.customer.example/…"
    assert made["quiet_hours"] == {"start": "22:00", "until": "06:30", "critical": False}
    assert (made["enabled"], made["after_minutes"], made["least_severity"]) == (True, 0, "warning")
    assert client.get(CHANNELS).json() == {"items": [made], "next": None}
    assert entries(database, customer) == [("channel.created", {"kind": "webhook", "name": "On-call"})]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"address": "http://hooks.customer.example/"}, "address"),
        ({"address": "https://user:password@hooks.customer.example/"}, "address"),
        ({"address": "https:///alerts"}, "address"),
        ({"address": "https://hooks.customer.example:99999/"}, "address"),
        ({"address": "https://hooks.customer.example/a b"}, "address"),
        ({"address": "https://hooks.customer.example/\r\nHost: x"}, "address"),
        ({"address": "ftp://hooks.customer.example/"}, "address"),
        ({"address": "file:///etc/passwd"}, "address"),
        ({"address": "https://127.0.0.1/"}, "address"),
        ({"address": "https://[::1]/"}, "address"),
        ({"address": "https://169.254.169.254/metadata"}, "address"),
        ({"address": "https://2130706433/"}, "address"),
        ({"address": "https://0x7f000001/"}, "address"),
        ({"address": "https://hooks.customer.example/" + "x" * 2000}, "address"),
        ({"kind": "carrier pigeon"}, "kind"),
        ({"name": ""}, "name"),
        ({"after_minutes": -1}, "after_minutes"),
        ({"after_minutes": 1441}, "after_minutes"),
        ({"least_severity": "info"}, "least_severity"),
        ({"quiet_hours": {"start": "24:00", "until": "06:00"}}, "quiet_hours.start"),
        ({"quiet_hours": {"start": "22:00"}}, "quiet_hours.until"),
        ({"secret": "whsec_mine"}, "secret"),
    ],
    ids=str,
)
def test_what_is_wrong_with_a_channel_is_named(
    public: ApiClient, database: Database, customer: Customer, change: dict[str, Any], field: str
) -> None:
    token = sessions.sign(a_session(database, customer, now=NOW), KEY)
    answer = public.with_token(token).post(CHANNELS, json=A_WEBHOOK | change)

    assert answer.status_code == 422, answer.text
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_letters_go_to_members_alone(client: ApiClient, customer: Customer) -> None:
    mine = client.post(CHANNELS, json=A_WEBHOOK | {"kind": "email", "address": customer.member.email.upper()})
    strangers = client.post(CHANNELS, json=A_WEBHOOK | {"kind": "email", "address": "victim@elsewhere.example"})

    assert (mine.status_code, mine.json()["address"], mine.json()["secret"]) == (201, customer.member.email, None)
    assert (strangers.status_code, strangers.json()["errors"][0]["field"]) == (422, "address")


def test_where_no_mail_goes_out_that_is_said_at_once(public: ApiClient, database: Database, customer: Customer) -> None:
    token = sessions.sign(a_session(database, customer, now=NOW), KEY)
    body = A_WEBHOOK | {"kind": "email", "address": customer.member.email}
    answer = public.with_token(token).post(CHANNELS, json=body)

    assert (answer.status_code, "SMTP_HOST" in answer.json()["detail"]) == (409, True)


def test_a_channel_is_changed_in_what_is_named_and_nothing_else(
    client: ApiClient, database: Database, customer: Customer
) -> None:
    made = a_channel(client, quiet_hours={"start": "22:00", "until": "06:30", "critical": True})
    path = f"{CHANNELS}/{made['channel_id']}"

    changed = client.request("PATCH", path, json={"after_minutes": 15, "enabled": False}).json()
    quiet = client.request("PATCH", path, json={"quiet_hours": None}).json()
    same = client.request("PATCH", path, json={}).json()

    del made["secret"]
    assert changed == made | {"after_minutes": 15, "enabled": False}
    assert quiet == same == changed | {"quiet_hours": None}
    assert ("channel.changed", {"kind": "webhook", "name": "On-call", "changed": ["after_minutes", "enabled"]}) in (
        entries(database, customer)
    )
    assert client.request("PATCH", path, json={"address": "ftp://x.example"}).status_code == 422


def test_a_channel_that_is_removed_is_gone_and_its_secret_forgotten(
    client: ApiClient, database: Database, customer: Customer
) -> None:
    path = f"{CHANNELS}/{a_channel(client)['channel_id']}"

    assert client.request("DELETE", path).status_code == 204
    assert client.request("DELETE", path).status_code == 404
    assert client.request("PATCH", path, json={}).status_code == 404
    assert client.get(CHANNELS).json()["items"] == []
    own = notification_channels.c.organization_id == customer.organization_id
    with transactions.owner(database) as connection:
        (row,) = connection.execute(select(notification_channels).where(own)).all()
    assert (row.secret, row.enabled) == (None, False)


def test_a_secret_is_rotated_and_the_old_one_signs_for_a_while(client: ApiClient) -> None:
    made = a_channel(client)
    path = f"{CHANNELS}/{made['channel_id']}/secret"

    rotated = client.post(path, json={"overlap_hours": 2}).json()

    assert rotated["secret"] != made["secret"]
    assert rotated["previous_until"] == (NOW + timedelta(hours=2)).isoformat().replace("+00:00", "Z")
    slack = a_channel(client, kind="slack")
    assert client.post(f"{CHANNELS}/{slack['channel_id']}/secret").status_code == 409


def test_there_are_so_many_channels_at_most_however_many_come_at_once(client: ApiClient) -> None:
    for _ in range(MOST_CHANNELS - 1):
        a_channel(client)
    calls = [("POST", CHANNELS, client.headers, A_WEBHOOK)] * 4
    answers = client.each_at_once([(method, path, dict(headers), body) for method, path, headers, body in calls])

    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]


def test_a_test_says_what_became_of_it(client: ApiClient, receiver: Receiver) -> None:
    made = a_channel(client, address=f"http://127.0.0.1:{receiver.port}/alerts")
    path = f"{CHANNELS}/{made['channel_id']}/test"
    receiver.answer(204, 500)

    good, bad = client.post(path).json(), client.post(path).json()

    assert (good["state"], good["type"], good["log"][0]["status"]) == ("delivered", "test", 204)
    assert (bad["state"], bad["next_attempt_at"], bad["log"][0]["error"]) == ("failed", None, "answered 500")
    assert json.loads(receiver.received[0].body)["type"] == "test"
    assert {each["delivery_id"] for each in client.get(DELIVERIES).json()["items"]} == {
        good["delivery_id"],
        bad["delivery_id"],
    }


@pytest.fixture
def told(people: People, settings: Settings) -> tuple[People, ApiClient]:
    """People who were told of two alerts, one of which did not arrive, and a client with their session."""
    application = create_app(settings, lambda: people.database, clock=people.clock)
    token = sessions.sign(a_session(people.database, people.customer, now=people.now), KEY)
    people.channel()
    people.receiver.answer(204, 410)
    people.alert()
    people.tell()
    people.alert(compressor_id="COMP-002")
    people.tell(after=timedelta(minutes=1))
    return people, ApiClient(application).with_token(token)


def test_the_log_of_messages_is_listed_and_each_is_shown_with_its_attempts(told: tuple[People, ApiClient]) -> None:
    _, client = told
    second, first = client.get(DELIVERIES).json()["items"]
    page = client.get(DELIVERIES, params={"limit": 1}).json()
    rest = client.get(DELIVERIES, params={"limit": 1, "cursor": page["next"]}).json()

    assert (first["state"], first["type"], first["channel_name"]) == ("delivered", "alert.warning", "On-call")
    assert (second["state"], len(second["alert_ids"])) == ("failed", 1)
    assert page["items"] + rest["items"] == [second, first]
    assert client.get(DELIVERIES, params={"state": "failed"}).json()["items"] == [second]
    assert len(client.get(DELIVERIES, params={"channel_id": first["channel_id"]}).json()["items"]) == 2
    shown = client.get(f"{DELIVERIES}/{second['delivery_id']}").json()
    assert [(each["status"], each["error"]) for each in shown["log"]] == [(410, "answered 410")]
    assert shown["alerts"][0]["compressor_id"] == "COMP-002"


def test_a_message_is_replayed_under_its_id_when_its_channel_is_on(told: tuple[People, ApiClient]) -> None:
    people, client = told
    failed = client.get(DELIVERIES, params={"state": "failed"}).json()["items"][0]
    path = f"{DELIVERIES}/{failed['delivery_id']}/replay"

    assert client.post(path).status_code == 409  # its receiver was gone, so the channel is off
    people.change_channel(UUID(failed["channel_id"]), enabled=True)
    assert client.post(path).json()["state"] == "waiting"
    assert client.post(path).json()["state"] == "waiting"
    assert people.tell(after=timedelta(minutes=1)).delivered == 1

    shown = client.get(f"{DELIVERIES}/{failed['delivery_id']}").json()
    assert (shown["state"], shown["attempts"], [each["status"] for each in shown["log"]]) == (
        "delivered",
        1,
        [410, 204],
    )
    ids = [received.headers["webhook-id"] for received in people.receiver.received]
    assert ids[1:] == [failed["delivery_id"]] * 2


@pytest.mark.parametrize(
    ("role", "manages", "replays"),
    [(UserRole.VIEWER, 403, 403), (UserRole.OPERATOR, 403, 404), (UserRole.ADMIN, 201, 404)],
)
def test_members_see_who_is_told_and_admins_say_who_is(
    signed_in: Callable[[Customer], ApiClient],
    database: Database,
    customer: Customer,
    role: UserRole,
    manages: int,
    replays: int,
) -> None:
    client = signed_in(a_colleague(database, customer, role))

    assert client.get(CHANNELS).status_code == 200
    assert client.get(DELIVERIES).status_code == 200
    assert client.post(CHANNELS, json=A_WEBHOOK).status_code == manages
    assert client.post(f"{DELIVERIES}/{UUID(int=0)}/replay").status_code == replays


def test_anothers_channels_and_messages_are_like_none(
    client: ApiClient, signed_in: Callable[[Customer], ApiClient], database: Database, receiver: Receiver
) -> None:
    made = a_channel(client, address=f"http://127.0.0.1:{receiver.port}/alerts")
    delivery = client.post(f"{CHANNELS}/{made['channel_id']}/test").json()
    other = signed_in(a_customer(database))

    assert other.get(CHANNELS).json()["items"] == other.get(DELIVERIES).json()["items"] == []
    for method, path in (
        ("PATCH", f"{CHANNELS}/{made['channel_id']}"),
        ("DELETE", f"{CHANNELS}/{made['channel_id']}"),
        ("POST", f"{CHANNELS}/{made['channel_id']}/test"),
        ("POST", f"{CHANNELS}/{made['channel_id']}/secret"),
        ("GET", f"{DELIVERIES}/{delivery['delivery_id']}"),
        ("POST", f"{DELIVERIES}/{delivery['delivery_id']}/replay"),
    ):
        assert other.request(method, path, json={} if method == "PATCH" else None).status_code == 404
    assert len(receiver.received) == 1
