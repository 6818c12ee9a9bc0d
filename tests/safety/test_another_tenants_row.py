"""Every operation, by every kind of caller, with the ids of another organization: generated from the OpenAPI document.

No unexpected 2xx; a foreign id is answered byte for byte like a missing one, the request's id apart; the other
organization's rows stay as they are, and none of what they hold is ever said.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import insert, select

from functions.access import sessions
from functions.access.keys import Scope
from functions.access.roles import ANYBODY, RANKS, RULES
from shared_code.alarms import Severity
from shared_code.database import transactions
from shared_code.database.engines import Database
from shared_code.database.tables import api_keys, invitations, notification_channels, notification_deliveries, users
from shared_code.database.tables.organizations import UserRole
from shared_code.database.tables.readings import QualityMetric
from tests.factories.fleet import (
    Customer,
    a_colleague,
    a_compressor,
    a_customer,
    a_key,
    a_maintenance_event,
    a_metric,
    a_prediction,
    a_session,
    a_station,
    a_window,
    an_alert,
)
from tests.functions.conftest import KEY, NOW
from tests.seams.api_client import ApiClient
from tests.seams.operations import described
from tests.shared_code.database.rows import TENANT_TABLES, organization_column

MARK = "VICTIM"
STATION, MACHINE = f"{MARK}-STATION", f"{MARK}-COMP"
CALLERS = ("anonymous", *(f"{role} elsewhere" for role in RANKS), "read key elsewhere", "ingest key elsewhere")
MISSING = {"station_id": "ABSENT-STATION", "compressor_id": "ABSENT-COMP", "rule": "no_such_rule"}
FOREIGN_IN_BODIES = {
    "create_compressor": "station_id",
    "record_maintenance": "compressor_id",
    "update_compressor": "station_id",
}
SESSIONS_OWN = {"sign_out", "sign_in_for_development", "refresh_session"}


@dataclass(frozen=True)
class Victim:
    """An organization with one of everything, and the ids of it all."""

    customer: Customer
    ids: dict[str, str]

    def rows(self, database: Database) -> dict[str, list[Any]]:
        with transactions.owner(database) as connection:
            return {
                table.name: sorted(
                    connection.execute(
                        select(table).where(table.c[organization_column(table)] == self.customer.organization_id)
                    ).all(),
                    key=str,
                )
                for table in TENANT_TABLES
            }


@pytest.fixture
def victim(database: Database) -> Victim:
    customer = a_customer(database)
    a_station(database, customer, STATION)
    a_compressor(database, customer, MACHINE, station_id=STATION)
    a_window(database, customer, MACHINE, end=NOW)
    a_metric(database, customer, MACHINE, QualityMetric.ACCURACY, day_end=NOW)
    a_maintenance_event(database, customer, MACHINE, at=NOW)
    a_prediction(database, customer, MACHINE, at=NOW)
    alert = an_alert(database, customer, MACHINE, Severity.CRITICAL)
    a_key(database, customer, Scope.READ, now=NOW)
    member = a_colleague(database, customer, UserRole.VIEWER)
    invitation, channel, delivery = uuid4(), uuid4(), uuid4()
    whose = {"organization_id": customer.organization_id, "channel_id": channel, "created_at": NOW}
    with transactions.owner(database) as connection:
        connection.execute(
            insert(invitations).values(
                organization_id=customer.organization_id,
                id=invitation,
                email=f"{MARK}@victim.example",
                role="viewer",
                invited_by=f"{MARK}@victim.example",
                created_at=NOW,
                expires_at=NOW + timedelta(days=7),
            )
        )
        connection.execute(
            insert(notification_channels).values(
                **whose,
                kind="webhook",
                name=f"{MARK}'s webhook",
                address=f"https://{MARK}.victim.example/",
                secret=f"whsec_{MARK}",
                least_severity="warning",
                after_minutes=0,
                tells_resolved=True,
                quiet_for_critical=False,
                enabled=True,
                created_by=f"{MARK}@victim.example",
            )
        )
        connection.execute(
            insert(notification_deliveries).values(
                **whose, delivery_id=delivery, message={"type": MARK, "alerts": []}, state="failed", attempts=1
            )
        )
        connection.execute(
            users.update().where(users.c.organization_id == customer.organization_id).values(name=f"A {MARK}")
        )
        mine = select(api_keys.c.id).where(api_keys.c.organization_id == customer.organization_id)
        key_id = connection.execute(mine).scalar_one()
    return Victim(
        customer,
        {
            "station_id": STATION,
            "compressor_id": MACHINE,
            "alert_id": str(alert),
            "key_id": str(key_id),
            "user_id": str(member.member.sub),
            "invitation_id": str(invitation),
            "channel_id": str(channel),
            "delivery_id": str(delivery),
            "organization_id": str(customer.organization_id),
            "rule": "no_such_rule",  # rules belong to nobody
        },
    )


@dataclass(frozen=True)
class Call:
    name: str
    method: str
    path: str
    body: Any


def calls(api: ApiClient, ids: dict[str, str]) -> Iterator[Call]:
    """Yield each operation with these ids in its path, its filters and its body."""
    for method, path, operation in described(api):
        name = operation["operationId"]
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("example")
        if isinstance(body, dict):
            fields = cast("dict[str, Any]", body)
            body = {field: ids[field] if _refers(name, field) else value for field, value in fields.items()}
        filters = [each["name"] for each in operation.get("parameters", []) if each["in"] == "query"]
        query = "&".join(f"{each}={ids[each]}" for each in filters if each in ids)
        filled = path.format_map({**dict.fromkeys(ids, "x"), **ids}) if "{" in path else path
        yield Call(name, method, f"{filled}?{query}" if query else filled, body)


def _refers(name: str, field: str) -> bool:
    return FOREIGN_IN_BODIES.get(name) == field or (name, field) == ("switch_organization", "organization_id")


def caller(kind: str, api: ApiClient, database: Database, home: Customer) -> ApiClient:
    """Return somebody of another organization, signed in anew: some operations end the session."""
    what = kind.partition(" ")[0]
    if what == "anonymous":
        return api
    if what in {"read", "ingest"}:
        return api.with_token(a_key(database, home, Scope(what), now=NOW))
    person = a_colleague(database, home, UserRole(what))
    return api.with_token(sessions.sign(a_session(database, person, now=NOW), KEY))


def may(kind: str, name: str) -> bool:
    rule, what = RULES[name], kind.partition(" ")[0]
    if rule == ANYBODY or what == "anonymous":
        return rule == ANYBODY
    if what in {"read", "ingest"}:
        return rule.scope == what
    return rule.role is not None and RANKS.index(UserRole(what)) >= RANKS.index(rule.role)


def told(answer: httpx.Response) -> tuple[int, object]:
    if "application/problem+json" in answer.headers.get("Content-Type", ""):
        return answer.status_code, answer.json() | {"requestId": ""}
    return answer.status_code, answer.content


@pytest.mark.parametrize("kind", CALLERS)
def test_no_caller_gets_at_another_organization_by_any_operation(
    api: ApiClient, database: Database, victim: Victim, kind: str
) -> None:
    home = a_customer(database)
    before = victim.rows(database)
    unexpected: list[str] = []
    different: list[str] = []
    said: list[str] = []
    missing = {name: MISSING.get(name) or str(UUID(int=7)) for name in victim.ids}
    asked = list(zip(calls(api, victim.ids), calls(api, missing), strict=True))
    for foreign, absent in asked:
        if foreign.name in SESSIONS_OWN:
            continue
        answers = [
            caller(kind, api, database, home).request(each.method, each.path, json=each.body)
            for each in (foreign, absent)
        ]
        refers = foreign != absent
        if answers[0].is_success and (not may(kind, foreign.name) or (refers and foreign.method != "GET")):
            unexpected.append(f"{foreign.name}: {answers[0].status_code}")
        if answers[0].is_success and "{" not in foreign.path and refers and answers[0].json().get("items", []):
            unexpected.append(f"{foreign.name}: shows items")
        if refers and told(answers[0]) != told(answers[1]):
            different.append(f"{foreign.name}: {answers[0].text} is not {answers[1].text}")
        said += [foreign.name for answer in answers if MARK in answer.text]

    assert len(asked) == len(RULES)
    assert sum(foreign != absent for foreign, absent in asked) >= 14
    assert (unexpected, different, said) == ([], [], [])
    assert victim.rows(database) == before


@pytest.mark.parametrize(
    "path",
    [
        "/api/alerts",
        "/api/compressors",
        "/api/data-quality",
        "/api/maintenance",
        "/api/predictions",
        "/api/stations",
        "/api/organization/members",
    ],
)
def test_a_cursor_of_another_organization_shows_ones_own(
    signed_in: Callable[[Customer], ApiClient], database: Database, victim: Victim, path: str
) -> None:
    a_station(database, victim.customer, "ZZZ")
    a_compressor(database, victim.customer, "ZZZ", station_id="ZZZ")
    an_alert(database, victim.customer, "ZZZ", Severity.WARNING)
    a_metric(database, victim.customer, "ZZZ", QualityMetric.ACCURACY, day_end=NOW)
    a_maintenance_event(database, victim.customer, "ZZZ", at=NOW)
    a_prediction(database, victim.customer, "ZZZ", at=NOW)
    theirs = signed_in(victim.customer).get(path, params={"limit": 1}).json()["next"]
    assert theirs

    shown = signed_in(a_customer(database)).get(path, params={"cursor": theirs})

    assert shown.status_code == 200
    assert MARK not in shown.text
    assert "ZZZ" not in shown.text
