from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import ProgrammingError

from functions.access.keys import Scope
from functions.api import create_app
from functions.settings import AccessSettings, Settings
from shared_code.alarms import Severity
from shared_code.database import transactions
from shared_code.database.engines import Database
from shared_code.database.tables import alert_history, audit_log
from shared_code.database.tables.organizations import UserRole
from shared_code.thresholds import thresholds
from tests.factories.fleet import Customer, a_colleague, a_customer, a_key, an_alert
from tests.functions.conftest import KEY
from tests.seams.api_client import ApiClient

SignIn = Callable[[Customer], ApiClient]
ALERTS = "/api/alerts"
UNTOUCHED: dict[str, Any] = {
    "status": "open",
    "acknowledged_by": None,
    "acknowledged_at": None,
    "acknowledged_note": None,
    "resolved_by": None,
    "resolved_at": None,
    "resolved_note": None,
    "shelved_until": None,
    "shelved_by": None,
    "shelved_reason": None,
}
SHELF = {"until": "2026-01-13T00:00:00Z", "reason": "Spare part comes tomorrow."}
BODIES: dict[str, Any] = {"shelve": SHELF, "comment": {"text": "The coupling again."}}
VERBS = ("acknowledge", "resolve", "shelve", "unshelve", "comment")


def listed(client: ApiClient, **asked: str | int) -> list[UUID]:
    answer = client.get(ALERTS, params=asked)
    assert answer.status_code == 200, answer.text
    return [UUID(item["alert_id"]) for item in answer.json()["items"]]


def entries(database: Database, customer: Customer) -> int:
    own = audit_log.c.organization_id == customer.organization_id
    with transactions.owner(database) as connection:
        return connection.execute(select(func.count()).select_from(audit_log).where(own)).scalar_one()


def test_anonymous_is_401_and_another_organization_sees_nothing(
    api: ApiClient, signed_in: SignIn, database: Database, customer: Customer
) -> None:
    an_alert(database, customer, "COMP-001", Severity.WARNING)

    assert api.get(ALERTS).status_code == 401
    assert signed_in(a_customer(database)).get(ALERTS, params={"status": "all"}).json() == {"items": [], "next": None}


@pytest.mark.parametrize(
    ("method", "action"), [("GET", ""), ("GET", "/history"), *(("POST", f"/{verb}") for verb in VERBS)]
)
def test_another_organizations_alert_is_like_a_missing_one(
    api: ApiClient, signed_in: SignIn, database: Database, customer: Customer, method: str, action: str
) -> None:
    theirs = an_alert(database, customer, "COMP-001", Severity.WARNING)
    stranger = signed_in(a_customer(database))

    body = BODIES.get(action[1:])
    foreign, missing = (stranger.request(method, f"{ALERTS}/{name}{action}", json=body) for name in (theirs, uuid4()))

    assert foreign.status_code == missing.status_code == 404
    assert foreign.json() | {"requestId": ""} == missing.json() | {"requestId": ""}
    assert api.request(method, f"{ALERTS}/{theirs}{action}").status_code == 401
    assert signed_in(customer).get(f"{ALERTS}/{theirs}").json()["status"] == "open"


def test_an_alert_is_acknowledged_and_resolved(
    client: ApiClient, database: Database, customer: Customer, now: datetime
) -> None:
    at, minutes = now - timedelta(hours=1), timedelta(minutes=10)
    alert = an_alert(
        database,
        customer,
        "COMP-001",
        Severity.CRITICAL,
        at=at,
        rule="vibration_high",
        onset_at=at - 2 * minutes,
        critical_at=at + minutes,
        peak_value=9.5,
        peak_at=at + 2 * minutes,
    )
    rule = thresholds().alarms.rules["vibration_high"]
    raised = {
        "alert_id": str(alert),
        "compressor_id": "COMP-001",
        "rule": "vibration_high",
        "onset_at": "2026-01-11T22:40:00Z",
        "alert_timestamp": "2026-01-11T23:00:00Z",
        "group_at": "2026-01-11T23:00:00Z",
        "alert_type": "threshold_critical",
        "severity": "critical",
        "critical_at": "2026-01-11T23:10:00Z",
        "escalated_at": None,
        "priority": "high",
        "consequence": rule.consequence,
        "action": rule.action,
        "sensor_name": "vibration_mms",
        "sensor_value": 8.5,
        "latest_at": "2026-01-11T23:00:00Z",
        "peak_value": 9.5,
        "peak_at": "2026-01-11T23:20:00Z",
        "threshold_value": 8.0,
        "unit": "mm/s RMS",
        "message": "vibration is high",
        "cleared_at": None,
        "latched": False,
        "suppressed_by": None,
        "withdrawn_at": None,
    }
    assert client.get(ALERTS).json() == {"items": [raised | UNTOUCHED], "next": None}

    acknowledged = client.post(f"{ALERTS}/{alert}/acknowledge", json={"note": " On it.\nBearing? "})

    said = {
        "status": "acknowledged",
        "acknowledged_by": customer.member.email,
        "acknowledged_at": "2026-01-12T00:00:00Z",
        "acknowledged_note": "On it.\nBearing?",
    }
    assert (acknowledged.status_code, acknowledged.json()) == (200, raised | UNTOUCHED | said)
    assert client.get(f"{ALERTS}/{alert}").json() == acknowledged.json()
    resolved = client.post(f"{ALERTS}/{alert}/resolve")
    over = {"status": "resolved", "resolved_by": customer.member.email, "resolved_at": "2026-01-12T00:00:00Z"}
    assert resolved.json() == acknowledged.json() | over
    assert client.get(ALERTS).json()["items"] == []
    assert client.get(ALERTS, params={"status": "resolved"}).json()["items"] == [resolved.json()]
    log = client.get("/api/organization/audit-log").json()["items"]
    assert {entry["action"]: (entry["target"], entry["details"]["note"]) for entry in log} == {
        "alert.acknowledged": (str(alert), "On it.\nBearing?"),
        "alert.resolved": (str(alert), None),
    }


@pytest.mark.parametrize("action", ["acknowledge", "resolve"])
def test_what_is_done_twice_is_done_once_and_the_first_stays(
    client: ApiClient, signed_in: SignIn, database: Database, customer: Customer, action: str
) -> None:
    alert = an_alert(database, customer, "COMP-001", Severity.WARNING)
    first = client.post(f"{ALERTS}/{alert}/{action}", json={"note": "first"})
    second = signed_in(a_colleague(database, customer, UserRole.OPERATOR)).post(
        f"{ALERTS}/{alert}/{action}", json={"note": "second"}
    )

    assert (second.status_code, second.json()) == (200, first.json())
    assert entries(database, customer) == 1


def test_twenty_at_once_are_one(client: ApiClient, database: Database, customer: Customer) -> None:
    alert = an_alert(database, customer, "COMP-001", Severity.WARNING)

    answers = client.together([("POST", f"{ALERTS}/{alert}/acknowledge")] * 20)

    assert {(answer.status_code, answer.text) for answer in answers} == {(200, answers[0].text)}
    assert entries(database, customer) == 1


def test_a_resolved_alert_cannot_be_acknowledged(client: ApiClient, database: Database, customer: Customer) -> None:
    alert = an_alert(database, customer, "COMP-001", Severity.WARNING, resolved=True)

    refused = client.post(f"{ALERTS}/{alert}/acknowledge")

    assert (refused.status_code, refused.json()["detail"]) == (
        409,
        "this alert is resolved already; there is nothing to acknowledge",
    )
    assert client.get(f"{ALERTS}/{alert}").json()["acknowledged_at"] is None
    assert entries(database, customer) == 0


@pytest.mark.parametrize(("role", "status"), [(UserRole.VIEWER, 403), (UserRole.OPERATOR, 200), (UserRole.ADMIN, 200)])
@pytest.mark.parametrize("action", VERBS)
def test_viewers_and_keys_read_and_operators_write(
    api: ApiClient,
    signed_in: SignIn,
    database: Database,
    customer: Customer,
    now: datetime,
    role: UserRole,
    status: int,
    action: str,
) -> None:
    alert = an_alert(database, customer, "COMP-001", Severity.WARNING)
    person = signed_in(a_colleague(database, customer, role))
    key = api.with_token(a_key(database, customer, Scope.READ, now=now))

    body = BODIES.get(action)
    assert [each.get(f"{ALERTS}/{alert}").status_code for each in (person, key)] == [200, 200]
    assert [each.get(f"{ALERTS}/{alert}/history").status_code for each in (person, key)] == [200, 200]
    assert key.post(f"{ALERTS}/{alert}/{action}", json=body).status_code == 403
    done = 201 if (status, action) == (200, "comment") else status
    assert person.post(f"{ALERTS}/{alert}/{action}", json=body).status_code == done


def test_an_alert_of_no_rule_of_ours_has_no_priority(client: ApiClient, database: Database, customer: Customer) -> None:
    alert = an_alert(database, customer, "COMP-001", Severity.WARNING, rule="silent")

    shown = client.get(f"{ALERTS}/{alert}").json()

    assert (shown["rule"], shown["priority"], shown["consequence"], shown["action"]) == ("silent", None, None, None)


def test_a_shelved_alert_leaves_the_list_until_its_time_and_still_counts(
    client: ApiClient, database: Database, customer: Customer, now: datetime
) -> None:
    alert = an_alert(database, customer, "COMP-001", Severity.CRITICAL)

    shelved = client.post(f"{ALERTS}/{alert}/shelve", json=SHELF).json()

    assert (shelved["shelved_until"], shelved["shelved_by"], shelved["shelved_reason"], shelved["status"]) == (
        "2026-01-13T00:00:00Z",
        customer.member.email,
        "Spare part comes tomorrow.",
        "open",
    )
    assert [listed(client, status=status) for status in ("active", "open", "shelved", "all")] == [
        [],
        [],
        [alert],
        [alert],
    ]
    assert client.get("/api/fleet").json()["active_alerts"] == {"warning": 0, "critical": 1}
    again = client.post(f"{ALERTS}/{alert}/shelve", json={"until": "2026-01-12T01:00:00+01:00", "reason": "x"})
    assert again.status_code == 422  # that is now
    replaced = client.post(f"{ALERTS}/{alert}/shelve", json={"until": "2026-01-12T01:30:00+01:00", "reason": "x"})
    assert (replaced.json()["shelved_until"], replaced.json()["shelved_reason"]) == ("2026-01-12T00:30:00Z", "x")
    later = ApiClient(
        create_app(
            Settings(AccessSettings(), database.settings, KEY),
            lambda: database,
            clock=lambda: now + timedelta(minutes=30),
        ),
        client.headers,
    )
    assert (listed(later), listed(later, status="shelved")) == ([alert], [])


def test_unshelving_shows_it_again_and_twice_is_once(client: ApiClient, database: Database, customer: Customer) -> None:
    alert = an_alert(database, customer, "COMP-001", Severity.WARNING)
    client.post(f"{ALERTS}/{alert}/shelve", json=SHELF)

    first, second = (client.post(f"{ALERTS}/{alert}/unshelve") for _ in range(2))

    assert (first.status_code, first.json()["shelved_until"], first.json()["shelved_reason"]) == (200, None, None)
    assert first.json() == second.json()
    assert listed(client) == [alert]
    assert entries(database, customer) == 2


def test_a_resolved_alert_cannot_be_shelved(client: ApiClient, database: Database, customer: Customer) -> None:
    alert = an_alert(database, customer, "COMP-001", Severity.WARNING, resolved=True)

    refused = client.post(f"{ALERTS}/{alert}/shelve", json=SHELF)

    assert (refused.status_code, refused.json()["detail"]) == (
        409,
        "this alert is resolved already; there is nothing to shelve",
    )


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "until"),
        ({"until": SHELF["until"]}, "reason"),
        (SHELF | {"reason": " "}, "reason"),
        (SHELF | {"until": "2026-01-12T00:00:00Z"}, "until"),
        (SHELF | {"until": "2026-02-11T00:00:01Z"}, "until"),
        (SHELF | {"until": "2026-01-13T00:00:00"}, "until"),
        (SHELF | {"until": 1}, "until"),
        (SHELF | {"by": "me"}, "by"),
    ],
    ids=str,
)
def test_a_wrong_shelf_is_422_and_names_the_field(
    client: ApiClient, database: Database, customer: Customer, body: dict[str, str], field: str
) -> None:
    alert = an_alert(database, customer, "COMP-001", Severity.WARNING)

    answer = client.post(f"{ALERTS}/{alert}/shelve", json=body)

    assert answer.status_code == 422
    assert field in [error["field"] for error in answer.json()["errors"]]
    assert entries(database, customer) == 0


def test_thirty_days_are_not_too_long(client: ApiClient, database: Database, customer: Customer) -> None:
    alert = an_alert(database, customer, "COMP-001", Severity.WARNING)

    assert client.post(f"{ALERTS}/{alert}/shelve", json=SHELF | {"until": "2026-02-11T00:00:00Z"}).status_code == 200


def test_what_is_suppressed_counts_for_nothing_and_is_listed_where_it_is_asked_for(
    client: ApiClient, database: Database, customer: Customer
) -> None:
    hidden = an_alert(database, customer, "COMP-001", Severity.WARNING, suppressed_by="most_open")

    assert [listed(client, status=status) for status in ("active", "open", "suppressed", "all")] == [
        [],
        [],
        [hidden],
        [hidden],
    ]
    assert client.get("/api/fleet").json()["active_alerts"] == {"warning": 0, "critical": 0}
    assert client.get("/api/compressors/COMP-001").json()["open_alerts"] == 0


def test_whoever_acknowledges_a_latched_alert_that_is_over_resolves_it(
    client: ApiClient, database: Database, customer: Customer, now: datetime
) -> None:
    over = now - timedelta(hours=1)
    alert = an_alert(database, customer, "COMP-001", Severity.CRITICAL, latched=True, cleared_at=over)

    acknowledged = client.post(f"{ALERTS}/{alert}/acknowledge", json={"note": "Seen."}).json()

    assert (acknowledged["status"], acknowledged["acknowledged_by"]) == ("resolved", customer.member.email)
    assert (acknowledged["resolved_by"], acknowledged["resolved_at"]) == (None, "2026-01-11T23:00:00Z")
    history = client.get(f"{ALERTS}/{alert}/history").json()["items"]
    assert {(entry["action"], entry["actor_name"]) for entry in history} == {
        ("alert.acknowledged", customer.member.email),
        ("alert.resolved", "Altaviz"),
    }


def test_the_history_says_who_did_what_the_newest_first_in_pages(
    client: ApiClient, signed_in: SignIn, database: Database, customer: Customer
) -> None:
    alert, other = (an_alert(database, customer, "COMP-001", Severity.WARNING) for _ in range(2))
    colleague = a_colleague(database, customer, UserRole.OPERATOR)
    for verb in ("acknowledge", "shelve", "unshelve", "comment"):
        signed_in(colleague).post(f"{ALERTS}/{alert}/{verb}", json=BODIES.get(verb))
    client.post(f"{ALERTS}/{other}/comment", json=BODIES["comment"])
    client.post(f"{ALERTS}/{alert}/resolve")

    seen: list[dict[str, Any]] = []
    asked: dict[str, str | int] = {"limit": 2}
    while True:
        page = client.get(f"{ALERTS}/{alert}/history", params=asked).json()
        seen += page["items"]
        if page["next"] is None:
            break
        asked["cursor"] = page["next"]

    said = {entry["action"]: entry for entry in seen}
    assert len(seen) == len(said) == 5
    assert {entry["actor_name"] for entry in seen} == {colleague.member.email, customer.member.email}
    assert said["alert.commented"] == {
        "id": said["alert.commented"]["id"],
        "occurred_at": "2026-01-12T00:00:00Z",
        "action": "alert.commented",
        "actor_kind": "user",
        "actor_name": colleague.member.email,
        "details": {"compressor_id": "COMP-001", "severity": "warning", "text": "The coupling again."},
    }
    assert [entry["id"] for entry in seen] == sorted((entry["id"] for entry in seen), reverse=True)


def test_filters(client: ApiClient, database: Database, customer: Customer, now: datetime) -> None:
    hours = [now - timedelta(hours=hour) for hour in range(4)]
    opened = an_alert(database, customer, "COMP-001", Severity.CRITICAL, at=hours[0])
    acknowledged = an_alert(database, customer, "COMP-002", Severity.WARNING, at=hours[1])
    resolved = an_alert(database, customer, "COMP-001", Severity.WARNING, at=hours[2])
    both = an_alert(database, customer, "COMP-002", Severity.CRITICAL, at=hours[3])
    for alert, actions in (
        (acknowledged, ["acknowledge"]),
        (resolved, ["resolve"]),
        (both, ["acknowledge", "resolve"]),
    ):
        for action in actions:
            client.post(f"{ALERTS}/{alert}/{action}")

    assert listed(client) == listed(client, status="active") == [opened, acknowledged]
    assert listed(client, status="open") == [opened]
    assert listed(client, status="acknowledged") == [acknowledged]
    assert listed(client, status="resolved") == [resolved, both]
    assert listed(client, status="all") == [opened, acknowledged, resolved, both]
    assert listed(client, status="all", severity="critical") == [opened, both]
    assert listed(client, status="all", compressor_id="COMP-001") == [opened, resolved]
    assert listed(client, status="all", compressor_id="COMP-002", severity="warning") == [acknowledged]
    assert listed(client, compressor_id="NO-SUCH") == []
    fields = client.get(ALERTS, params={"fields": "status,alert_id", "limit": 1}).json()["items"]
    assert fields == [{"status": "open", "alert_id": str(opened)}]


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_pages_across_alerts_of_one_instant(
    client: ApiClient, database: Database, customer: Customer, now: datetime, limit: int
) -> None:
    older = an_alert(database, customer, "COMP-001", Severity.WARNING, at=now - timedelta(hours=1))
    ids = [UUID(int=number, version=4) for number in (4, 2, 5, 1, 3)]
    for alert in ids:
        an_alert(database, customer, "COMP-001", Severity.WARNING, at=now, alert_id=alert)
    seen: list[UUID] = []
    asked: dict[str, str | int] = {"limit": limit}
    while True:
        page = client.get(ALERTS, params=asked).json()
        seen += [UUID(item["alert_id"]) for item in page["items"]]
        if page["next"] is None:
            break
        asked["cursor"] = page["next"]
        an_alert(database, customer, "COMP-001", Severity.WARNING, at=now + timedelta(minutes=1))  # meanwhile

    assert seen == [*sorted(ids, reverse=True), older]


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ("?status=snoozed", "status"),
        ("?severity=grave", "severity"),
        ("?compressor_id=", "compressor_id"),
        ("?limit=0", "limit"),
        ("?cursor=nonsense", "cursor"),
        ("?fields=nonsense", "fields"),
        ("/not-an-id", "alert_id"),
    ],
)
def test_a_wrong_question_is_422_and_names_the_field(client: ApiClient, asked: str, field: str) -> None:
    answer = client.get(f"{ALERTS}{asked}")

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


@pytest.mark.parametrize(
    ("body", "field"),
    [({"note": ""}, "note"), ({"note": "x" * 2001}, "note"), ({"note": "\x00"}, "note"), ({"by": "me"}, "by")],
    ids=str,
)
@pytest.mark.parametrize("action", ["acknowledge", "resolve"])
def test_a_wrong_note_is_422_and_names_the_field(
    client: ApiClient, database: Database, customer: Customer, action: str, body: dict[str, str], field: str
) -> None:
    alert = an_alert(database, customer, "COMP-001", Severity.WARNING)

    answer = client.post(f"{ALERTS}/{alert}/{action}", json=body)

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert listed(client, status="open") == [alert]


def test_an_alert_counts_until_it_is_resolved_and_every_answer_shows_it_at_once(
    client: ApiClient, database: Database, customer: Customer
) -> None:
    alert = an_alert(database, customer, "COMP-001", Severity.CRITICAL)
    paths = ["/api/fleet", "/api/compressors/COMP-001", ALERTS, f"{ALERTS}/{alert}"]

    def tags() -> dict[str, str]:
        return {path: client.get(path).headers["ETag"] for path in paths}

    def held(before: dict[str, str]) -> list[int]:
        return [
            client.get(path, headers=client.headers | {"If-None-Match": tag}).status_code
            for path, tag in before.items()
        ]

    before = tags()
    assert held(before) == [304] * 4
    client.post(f"{ALERTS}/{alert}/acknowledge")
    assert held(before) == [200] * 4
    assert client.get("/api/fleet").json()["active_alerts"] == {"warning": 0, "critical": 1}
    assert client.get("/api/compressors/COMP-001").json()["health"] == "critical"
    before = tags()
    client.post(f"{ALERTS}/{alert}/resolve")
    assert held(before) == [200] * 4
    assert client.get("/api/fleet").json()["active_alerts"] == {"warning": 0, "critical": 0}
    machine = client.get("/api/compressors/COMP-001").json()
    assert (machine["health"], machine["open_alerts"]) == ("unknown", 0)


def test_the_job_says_what_a_rule_says_and_touches_nothing_that_people_did(
    client: ApiClient, database: Database, customer: Customer
) -> None:
    ours, theirs = (an_alert(database, customer, "COMP-001", Severity.WARNING) for _ in range(2))
    client.post(f"{ALERTS}/{ours}/acknowledge", json={"note": "on it"})
    client.post(f"{ALERTS}/{theirs}/resolve", json={"note": "over"})
    people = client.get(ALERTS, params={"status": "all"}).json()
    mine = alert_history.c.organization_id == customer.organization_id

    for statement in (
        update(alert_history).where(mine).values(acknowledged=False),
        update(alert_history).where(mine).values(acknowledged_note="the job's"),
        update(alert_history).where(mine).values(resolved_by="the job"),
        update(alert_history).where(mine).values(shelved_until=None),
        delete(alert_history).where(mine),
    ):
        with pytest.raises(ProgrammingError, match="permission denied"), transactions.job(database) as connection:
            connection.execute(statement)
    assert client.get(ALERTS, params={"status": "all"}).json() == people
    with transactions.job(database) as connection:
        again = update(alert_history).where(mine).values(resolved=False, severity=Severity.CRITICAL)
        assert connection.execute(again).rowcount == 1
    changed = {
        alert: client.get(f"{ALERTS}/{alert}", params={"fields": "severity,status,acknowledged_note"}).json()
        for alert in (ours, theirs)
    }
    assert changed[ours] == {"severity": "critical", "status": "acknowledged", "acknowledged_note": "on it"}
    assert changed[theirs] == {"severity": "warning", "status": "resolved", "acknowledged_note": None}
