"""The rules in effect, and a changed one run over the organization's own past."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import delete, update
from sqlalchemy.exc import ProgrammingError

from etl_job import publish_alarms
from functions.access.keys import Scope
from functions.settings import LakeSettings, Settings
from shared_code.database import transactions
from shared_code.database.engines import Database
from shared_code.database.tables import alert_rule_settings
from shared_code.database.tables.fleet import MaintenanceType
from shared_code.database.tables.organizations import Tier, UserRole
from shared_code.readings import SENSOR_FIELDS
from shared_code.thresholds import RuleChanges
from tests.factories.fleet import (
    Customer,
    a_colleague,
    a_compressor,
    a_contact,
    a_customer,
    a_key,
    a_maintenance_event,
    a_station,
)
from tests.factories.silver import Machine, deliver
from tests.seams.api_client import ApiClient

SignIn = Callable[[Customer], ApiClient]
RULES = "/api/alerts/rules"
BACKTEST = "/api/alerts/rules/backtest"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ASKED: dict[str, Any] = {"rule": "vibration_high", "changes": {}}
AS_FOR_EVERYBODY = {
    "warning_limit": None,
    "critical_limit": None,
    "deadband": None,
    "on_delay_minutes": None,
    "off_delay_minutes": None,
    "latch": None,
    "enabled": None,
}
VIBRATION = "/api/alerts/rules/vibration_high"
GOOD = 3.0
A_DAY = 144


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    return tmp_path / "lake"


@pytest.fixture
def settings(settings: Settings, lake: Path) -> Settings:
    return replace(settings, lake=LakeSettings(altaviz_lake=str(lake)))


@pytest.fixture
def start(now: datetime) -> datetime:
    """Three days before now: when the readings of these tests begin."""
    return now - 3 * DAY


def shaking(*spans: tuple[int, int, float], count: int = A_DAY) -> dict[str, Sequence[float]]:
    """Vibration that is at a level in these spans of readings, from a place up to, not including, another."""
    values = [GOOD] * count
    for first, stop, level in spans:
        values[first:stop] = [level] * (stop - first)
    return {"vibration_mms": values}


def heard(database: Database, customer: Customer, lake: Path, *machines: Machine) -> None:
    """Let machines have sent readings, which the job has taken in."""
    deliver(lake, *machines)
    for machine in machines:
        a_contact(
            database, customer, machine.compressor_id, at=machine.start + (machine.count - 1) * timedelta(minutes=10)
        )


def backtested(client: ApiClient, **body: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    answer = client.post(BACKTEST, json=ASKED | body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def times(episodes: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(each["compressor_id"], each["alert_timestamp"][8:16]) for each in episodes]


def test_anonymous_is_401_and_viewers_and_keys_see_rules_that_operators_test(
    api: ApiClient, signed_in: SignIn, database: Database, customer: Customer, now: datetime
) -> None:
    assert [api.get(RULES).status_code, api.post(BACKTEST, json=ASKED).status_code] == [401, 401]
    viewer = signed_in(a_colleague(database, customer, UserRole.VIEWER))
    key = api.with_token(a_key(database, customer, Scope.READ, now=now))
    operator = signed_in(a_colleague(database, customer, UserRole.OPERATOR))

    assert [each.get(RULES).status_code for each in (viewer, key, operator)] == [200] * 3
    assert [each.post(BACKTEST, json=ASKED).status_code for each in (viewer, key, operator)] == [403, 403, 409]


def test_rules_are_shown_with_their_limits_and_what_they_mean(client: ApiClient) -> None:
    shown = client.get(RULES).json()

    assert len(shown["items"]) == 9 + len(SENSOR_FIELDS)
    assert shown["items"][0] == {
        "rule": "vibration_high",
        "channel": "vibration_mms",
        "words": "vibration",
        "unit": "mm/s RMS",
        "side": "above",
        "warning_limit": 6,
        "critical_limit": 8,
        "deadband": 0.5,
        "on_delay_minutes": 20,
        "off_delay_minutes": 60,
        "latch": False,
        "enabled": True,
        "priority": "high",
        "consequence": "A bearing, a coupling or the foundation is giving way; the machine may destroy itself.",
        "action": "Compare with the spectrum of last month; look at bearings, alignment and bolts; plan a stop.",
        "inhibited_by": [],
        "wanted": AS_FOR_EVERYBODY,
    }
    by_name = {each["rule"]: each for each in shown["items"]}
    assert (by_name["gas_flow_low"]["critical_limit"], by_name["gas_flow_low"]["unit"]) == (None, "Mcf/day")
    assert by_name["discharge_temp_rate_high"]["unit"] == "deg F/h"
    assert by_name["pressure_differential_high"]["inhibited_by"] == ["discharge_pressure_high", "suction_pressure_low"]
    assert {name: shown[name] for name in shown if name != "items"} == {
        "next": None,
        "normal_readings": 3,
        "gap_minutes": 60,
        "group_minutes": 30,
        "most_open": 5,
    }


def test_a_higher_limit_raises_fewer_and_says_which(
    client: ApiClient, database: Database, customer: Customer, lake: Path, start: datetime
) -> None:
    ours = customer.organization_id
    heard(
        database,
        customer,
        lake,
        Machine(ours, "COMP-001", start, A_DAY, shaking((30, 36, 6.5), (60, 66, 9.0))),
        Machine(ours, "COMP-002", start, A_DAY),
    )

    answer = backtested(client, changes={"warning_limit": 7})

    assert (answer["start"], answer["end"]) == ("2025-12-11T00:00:00Z", "2026-01-10T00:00:00Z")
    assert (answer["readings"], answer["machines"]) == (2 * A_DAY, 2)
    as_it_is, as_it_would_be = answer["as_it_is"], answer["as_it_would_be"]
    # Raised when it has lasted twenty minutes: the third reading of each span.
    assert times(as_it_is["episodes"]) == [("COMP-001", "09T10:20"), ("COMP-001", "09T05:20")]
    assert times(as_it_would_be["episodes"]) == times(as_it_is["episodes"])[:1]
    assert (times(answer["lost"]), answer["gained"]) == (times(as_it_is["episodes"])[1:], [])
    assert (as_it_is["alerts"], as_it_is["critical"], as_it_is["suppressed"]) == (2, 1, 0)
    assert (as_it_is["alerts_per_machine_month"], as_it_would_be["alerts_per_machine_month"]) == (1, 0.5)
    assert (as_it_is["rule"]["warning_limit"], as_it_would_be["rule"]["warning_limit"]) == (6, 7)
    assert as_it_would_be["rule"]["critical_limit"] == 8
    assert as_it_is["episodes"][0] == {
        "compressor_id": "COMP-001",
        "onset_at": "2026-01-09T10:00:00Z",
        "alert_timestamp": "2026-01-09T10:20:00Z",
        "severity": "critical",
        "critical_at": "2026-01-09T10:20:00Z",
        "peak_value": 9,
        "peak_at": "2026-01-09T10:00:00Z",
        "latest_at": "2026-01-09T11:50:00Z",
        "cleared_at": "2026-01-09T12:00:00Z",
        "suppressed_by": None,
    }


@pytest.mark.parametrize(
    ("changes", "spans", "raised"),
    [
        ({"warning_limit": 5}, [(30, 36, 5.5)], ["09T05:20"]),
        ({"on_delay_minutes": 40}, [(30, 36, 7.0)], ["09T05:40"]),
        ({"on_delay_minutes": 60}, [(30, 36, 7.0)], []),
        # In between it is healthy for an hour and ten minutes: over by one delay, still open by the other.
        ({"off_delay_minutes": 60}, [(30, 36, 7.0), (44, 50, 7.0)], ["09T07:40", "09T05:20"]),
        ({"off_delay_minutes": 90}, [(30, 36, 7.0), (44, 50, 7.0)], ["09T05:20"]),
        ({"deadband": 0.5}, [(30, 36, 7.0), (36, 60, 5.4), (60, 66, 7.0)], ["09T10:20", "09T05:20"]),
        ({"deadband": 1}, [(30, 36, 7.0), (36, 60, 5.4), (60, 66, 7.0)], ["09T05:20"]),
    ],
    ids=str,
)
def test_each_change_does_what_it_says(
    client: ApiClient,
    database: Database,
    customer: Customer,
    lake: Path,
    start: datetime,
    changes: dict[str, float],
    spans: list[tuple[int, int, float]],
    raised: list[str],
) -> None:
    heard(database, customer, lake, Machine(customer.organization_id, "COMP-001", start, A_DAY, shaking(*spans)))

    assert [at for _, at in times(backtested(client, changes=changes)["as_it_would_be"]["episodes"])] == raised


def test_a_critical_limit_of_its_own_makes_a_warning_critical(
    client: ApiClient, database: Database, customer: Customer, lake: Path, start: datetime
) -> None:
    columns = {"gas_flow_mcf": [5000.0] * A_DAY}
    heard(database, customer, lake, Machine(customer.organization_id, "COMP-001", start, A_DAY, columns))

    answer = backtested(client, rule="gas_flow_low", changes={"critical_limit": 5500})

    assert (answer["as_it_is"]["critical"], answer["as_it_would_be"]["critical"]) == (0, 1)
    assert answer["as_it_would_be"]["episodes"][0]["cleared_at"] is None
    assert (answer["gained"], answer["lost"]) == ([], [])


def test_what_another_rule_explains_is_suppressed_here_too(
    client: ApiClient, database: Database, customer: Customer, lake: Path, start: datetime
) -> None:
    columns = {"discharge_pressure_psi": [1350.0] * A_DAY}
    heard(database, customer, lake, Machine(customer.organization_id, "COMP-001", start, A_DAY, columns))

    as_it_is = backtested(client, rule="pressure_differential_high")["as_it_is"]

    assert (as_it_is["alerts"], as_it_is["suppressed"]) == (0, 1)
    assert as_it_is["episodes"][0]["suppressed_by"] == "discharge_pressure_high"


def test_what_was_raised_before_the_period_is_not_raised_in_it(
    client: ApiClient, database: Database, customer: Customer, lake: Path, start: datetime
) -> None:
    columns = shaking((30, 36, 7.0), (90, A_DAY, 7.0))
    heard(database, customer, lake, Machine(customer.organization_id, "COMP-001", start, A_DAY, columns))

    # The second one is raised at 15:20.
    for begins, raised in (("05:20", 2), ("05:21", 1), ("15:20", 1), ("15:30", 0)):
        answer = backtested(client, start=f"2026-01-09T{begins}:00Z")
        assert len(answer["as_it_is"]["episodes"]) == raised
    assert (
        len(backtested(client, start="2026-01-09T00:00:00Z", end="2026-01-09T15:20:00Z")["as_it_is"]["episodes"]) == 1
    )


def test_only_the_machines_that_are_asked_for(
    client: ApiClient, database: Database, customer: Customer, lake: Path, start: datetime
) -> None:
    ours, columns = customer.organization_id, shaking((30, 36, 7.0))
    machines = [Machine(ours, name, start, A_DAY, columns) for name in ("COMP-001", "COMP-002")]
    heard(database, customer, lake, *machines)

    answer = backtested(client, compressor_ids=["COMP-002"])

    assert (answer["readings"], answer["machines"]) == (A_DAY, 1)
    assert times(answer["as_it_is"]["episodes"]) == [("COMP-002", "09T05:20")]


def test_another_organizations_readings_are_not_judged_and_its_machines_are_like_missing_ones(
    signed_in: SignIn, database: Database, customer: Customer, lake: Path, start: datetime
) -> None:
    columns = shaking((30, 36, 7.0))
    theirs = Machine(customer.organization_id, "COMP-001", start, A_DAY, columns)
    stranger = a_customer(database)
    a_compressor(database, stranger, "COMP-009", station_id=a_station(database, stranger))
    ours = Machine(stranger.organization_id, "COMP-009", start, A_DAY)
    deliver(lake, theirs, ours)
    a_contact(database, customer, "COMP-001", at=start + DAY)
    a_contact(database, stranger, "COMP-009", at=start + DAY)
    client = signed_in(stranger)

    answer = backtested(client)
    foreign, missing = (
        client.post(BACKTEST, json=ASKED | {"compressor_ids": ["COMP-009", name]}) for name in ("COMP-001", "NO-SUCH")
    )

    assert (answer["machines"], answer["as_it_is"]["episodes"]) == (1, [])
    assert foreign.status_code == missing.status_code == 422
    assert foreign.json() | {"requestId": ""} == missing.json() | {"requestId": ""}


def test_failures_say_how_long_before_them_each_rule_warned(
    client: ApiClient, database: Database, customer: Customer, lake: Path, start: datetime
) -> None:
    ours = customer.organization_id
    climbing = shaking((30, 60, 6.5), (60, A_DAY, 7.5))
    heard(database, customer, lake, Machine(ours, "COMP-001", start, A_DAY, climbing))
    failed = MaintenanceType.FAILURE
    a_maintenance_event(database, customer, "COMP-001", at=start + 20 * HOUR, event_type=failed)
    a_maintenance_event(database, customer, "COMP-002", at=start + 10 * HOUR, event_type=failed)
    a_maintenance_event(database, customer, "COMP-001", at=start + 15 * HOUR)  # an inspection

    answer = backtested(client, changes={"warning_limit": 7})

    # Raised at 05:20, or at 10:20.
    assert answer["failures"] == [
        {
            "compressor_id": "COMP-001",
            "event_date": "2026-01-09T20:00:00Z",
            "hours_of_warning": pytest.approx(14 + 40 / 60),
            "hours_of_warning_if_changed": pytest.approx(9 + 40 / 60),
        },
        {
            "compressor_id": "COMP-002",
            "event_date": "2026-01-09T10:00:00Z",
            "hours_of_warning": None,
            "hours_of_warning_if_changed": None,
        },
    ]


def test_a_test_changes_nothing(
    client: ApiClient, database: Database, customer: Customer, lake: Path, start: datetime
) -> None:
    columns = shaking((30, 36, 7.0))
    heard(database, customer, lake, Machine(customer.organization_id, "COMP-001", start, A_DAY, columns))
    before = client.get("/api/fleet").headers["ETag"], client.get(RULES).json()

    backtested(client, changes={"warning_limit": 5})

    assert (client.get("/api/fleet").headers["ETag"], client.get(RULES).json()) == before
    assert client.get("/api/organization/audit-log").json()["items"] == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"rule": "no_such_rule"}, "rule"),
        ({"changes": {"warning_limit": 9}}, "changes.warning_limit"),
        ({"changes": {"critical_limit": 5}}, "changes.critical_limit"),
        ({"changes": {"warning_limit": 51, "critical_limit": 52}}, "changes.warning_limit"),
        ({"changes": {"critical_limit": 51}}, "changes.critical_limit"),
        ({"changes": {"deadband": 7}}, "changes.deadband"),
        ({"changes": {"deadband": -0.1}}, "changes.deadband"),
        ({"changes": {"on_delay_minutes": 361}}, "changes.on_delay_minutes"),
        ({"changes": {"off_delay_minutes": 29}}, "changes.off_delay_minutes"),
        ({"changes": {"priority": "low"}}, "changes.priority"),
        ({"rule": "suction_pressure_low", "changes": {"warning_limit": 19}}, "changes.warning_limit"),
        ({"start": "2026-01-10T00:00:00Z", "end": "2026-01-09T00:00:00Z"}, "start"),
        ({"start": "2025-06-01T00:00:00Z"}, "start"),
        ({"end": "2024-06-01T00:00:00Z"}, "end"),
        ({"end": "0001-01-01T00:00:00Z"}, "end"),
        ({"end": "2026-01-09T00:00:00"}, "end"),
        ({"compressor_ids": []}, "compressor_ids"),
        ({"limit": 1}, "limit"),
    ],
    ids=str,
)
def test_a_wrong_question_is_422_and_names_the_field(
    client: ApiClient,
    database: Database,
    customer: Customer,
    lake: Path,
    start: datetime,
    body: dict[str, Any],
    field: str,
) -> None:
    heard(database, customer, lake, Machine(customer.organization_id, "COMP-001", start, 1))

    answer = client.post(BACKTEST, json=ASKED | body)

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_no_number_is_not_taken_for_a_limit(client: ApiClient) -> None:
    body = b'{"rule": "vibration_high", "changes": {"warning_limit": NaN}}'

    answer = client.post(BACKTEST, content=body, headers=client.headers | {"Content-Type": "application/json"})

    assert answer.status_code == 422


def test_what_is_older_than_the_plan_keeps_is_not_judged(
    signed_in: SignIn, database: Database, lake: Path, now: datetime
) -> None:
    customer = a_customer(database, tier=Tier.FREE)
    a_compressor(database, customer, station_id=a_station(database, customer))
    machine = Machine(customer.organization_id, "COMP-001", now - 8 * DAY, 8 * A_DAY, shaking(count=8 * A_DAY))
    heard(database, customer, lake, machine)

    assert backtested(signed_in(customer))["start"] == "2026-01-05T00:00:00Z"


def test_without_readings_there_is_nothing_to_test(
    client: ApiClient, database: Database, customer: Customer, lake: Path, start: datetime
) -> None:
    answers = [client.post(BACKTEST, json=ASKED)]
    a_contact(database, customer, "COMP-001", at=start)
    answers.append(client.post(BACKTEST, json=ASKED))  # a contact, and no lake
    deliver(lake, Machine(customer.organization_id, "COMP-001", start, 1))

    assert [answer.status_code for answer in answers] == [409, 409]
    assert backtested(client, end="2026-01-01T00:00:00Z")["as_it_is"]["alerts_per_machine_month"] is None


def test_a_lake_that_cannot_be_read_is_503(
    client: ApiClient, database: Database, customer: Customer, lake: Path, start: datetime
) -> None:
    heard(database, customer, lake, Machine(customer.organization_id, "COMP-001", start, 1))
    for file in lake.rglob("*.parquet"):
        file.write_bytes(uuid4().bytes)

    answer = client.post(BACKTEST, json=ASKED)

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert str(lake) not in answer.text


def test_of_many_at_once_each_is_answered(
    client: ApiClient, database: Database, customer: Customer, lake: Path, start: datetime
) -> None:
    heard(database, customer, lake, Machine(customer.organization_id, "COMP-001", start, A_DAY))

    answers = client.together([("POST", BACKTEST)] * 8, json=ASKED)

    assert {answer.status_code for answer in answers} == {200}


def patch(client: ApiClient, path: str, wishes: object) -> httpx.Response:
    return client.request("PATCH", path, json=wishes)


def changed(client: ApiClient, **wishes: float | bool | None) -> dict[str, Any]:
    answer = patch(client, VIBRATION, wishes)
    assert answer.status_code == 200, answer.text
    return answer.json()


def shown(client: ApiClient, rule: str = "vibration_high") -> dict[str, Any]:
    return {each["rule"]: each for each in client.get(RULES).json()["items"]}[rule]


def test_a_rule_is_changed_and_everybody_elses_stays(
    client: ApiClient, signed_in: SignIn, database: Database, customer: Customer
) -> None:
    before = shown(client)

    answer = changed(client, warning_limit=7, latch=True)

    wanted = AS_FOR_EVERYBODY | {"warning_limit": 7, "latch": True}
    assert answer == before | {"warning_limit": 7, "latch": True, "wanted": wanted}
    assert shown(client) == answer
    assert shown(signed_in(a_customer(database))) == before
    (entry,) = client.get("/api/organization/audit-log").json()["items"]
    assert {name: entry[name] for name in ("action", "target", "actor_name", "details")} == {
        "action": "alert_rule.changed",
        "target": "vibration_high",
        "actor_name": customer.member.email,
        "details": {"warning_limit": {"from": None, "to": 7}, "latch": {"from": None, "to": True}},
    }


def test_what_is_not_named_stays_and_null_is_as_for_everybody(client: ApiClient) -> None:
    before = shown(client)
    changed(client, warning_limit=7, critical_limit=9, deadband=1)

    answer = changed(client, critical_limit=None)

    assert (answer["warning_limit"], answer["critical_limit"], answer["deadband"]) == (7, 8, 1)
    assert changed(client, warning_limit=None, deadband=None) == before


def test_the_same_again_is_no_change(client: ApiClient) -> None:
    first = changed(client, enabled=False)
    second = changed(client, enabled=False)

    assert first == second
    assert len(client.get("/api/organization/audit-log").json()["items"]) == 1


def test_a_change_shows_at_once_where_an_answer_was_held(client: ApiClient) -> None:
    tag = client.get(RULES).headers["ETag"]
    held = client.headers | {"If-None-Match": tag}
    assert client.get(RULES, headers=held).status_code == 304

    changed(client, warning_limit=7)

    assert client.get(RULES, headers=held).status_code == 200


@pytest.mark.parametrize(("role", "status"), [(UserRole.VIEWER, 403), (UserRole.OPERATOR, 403), (UserRole.ADMIN, 200)])
def test_admins_change_rules(
    signed_in: SignIn, database: Database, customer: Customer, role: UserRole, status: int
) -> None:
    person = signed_in(a_colleague(database, customer, role))

    assert patch(person, VIBRATION, {"deadband": 1}).status_code == status


def test_anonymous_is_401_and_a_rule_that_there_is_not_is_404(api: ApiClient, client: ApiClient) -> None:
    assert patch(api, VIBRATION, {"deadband": 1}).status_code == 401
    for name in ("no_such_rule", "silent", "x" * 500, "%00"):
        assert patch(client, f"{RULES}/{name}", {"deadband": 1}).status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"warning_limit": 8}, "warning_limit"),
        ({"critical_limit": 6}, "critical_limit"),
        ({"deadband": 7}, "deadband"),
        ({"on_delay_minutes": -1}, "on_delay_minutes"),
        ({"off_delay_minutes": 29}, "off_delay_minutes"),
        ({"latch": "yes"}, "latch"),
        ({"enabled": 1}, "enabled"),
        ({"priority": "low"}, "priority"),
    ],
    ids=str,
)
def test_a_wrong_change_is_422_names_the_field_and_changes_nothing(
    client: ApiClient, body: dict[str, Any], field: str
) -> None:
    before = shown(client)

    answer = patch(client, VIBRATION, body)

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert shown(client) == before


def test_limits_that_two_change_at_once_make_a_rule_together(client: ApiClient) -> None:
    answers = client.each_at_once(
        [
            ("PATCH", VIBRATION, client.headers, {"warning_limit": 7.5}),
            ("PATCH", VIBRATION, client.headers, {"critical_limit": 7}),
        ]
        * 4
    )

    assert {answer.status_code for answer in answers} == {200, 422}
    rule = shown(client)
    assert rule["critical_limit"] > rule["warning_limit"]


def test_a_backtest_starts_from_the_organizations_own_rule(
    client: ApiClient, database: Database, customer: Customer, lake: Path, start: datetime
) -> None:
    columns = shaking((30, 36, 6.5), (60, 66, 7.5))
    heard(database, customer, lake, Machine(customer.organization_id, "COMP-001", start, A_DAY, columns))
    changed(client, warning_limit=7)

    answer = backtested(client, changes={"on_delay_minutes": 60})

    assert (answer["as_it_is"]["alerts"], answer["as_it_would_be"]["alerts"]) == (1, 0)
    assert answer["as_it_would_be"]["rule"]["warning_limit"] == 7
    changed(client, enabled=False)
    switched_on = backtested(client, changes={"enabled": True})
    assert (switched_on["as_it_is"]["alerts"], switched_on["as_it_would_be"]["alerts"]) == (0, 1)


def test_another_rules_limit_counts_for_what_it_suppresses(
    client: ApiClient, database: Database, customer: Customer, lake: Path, start: datetime
) -> None:
    columns = {"discharge_pressure_psi": [1350.0] * A_DAY}
    heard(database, customer, lake, Machine(customer.organization_id, "COMP-001", start, A_DAY, columns))
    patch(client, f"{RULES}/discharge_pressure_high", {"enabled": False})

    as_it_is = backtested(client, rule="pressure_differential_high")["as_it_is"]

    assert (as_it_is["alerts"], as_it_is["suppressed"]) == (1, 0)


def test_the_job_reads_what_organizations_want_and_no_more(
    client: ApiClient, database: Database, customer: Customer
) -> None:
    changed(client, warning_limit=7)

    with transactions.job(database) as connection:
        wanted = publish_alarms.wanted_rules(connection)
    assert wanted[str(customer.organization_id)] == {"vibration_high": RuleChanges(warning_limit=7)}
    for statement in (update(alert_rule_settings).values(deadband=0), delete(alert_rule_settings)):
        with pytest.raises(ProgrammingError, match="permission denied"), transactions.job(database) as connection:
            connection.execute(statement)
