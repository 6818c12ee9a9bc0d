"""Figures about alerts, each against what a reader counts by eye."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from shared_code.alarms import Severity
from shared_code.database.engines import Database
from shared_code.database.tables.access import ALTAVIZ
from shared_code.database.tables.organizations import Tier
from tests.factories.fleet import Customer, a_customer, an_alert
from tests.seams.api_client import ApiClient

SignIn = Callable[[Customer], ApiClient]
PERFORMANCE = "/api/alerts/performance"
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def figures(client: ApiClient, **asked: str) -> dict[str, Any]:
    answer = client.get(PERFORMANCE, params=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()


def raised(database: Database, customer: Customer, *times: datetime, **more: Any) -> None:  # noqa: ANN401 - columns
    """Raise alerts of COMP-001 that are over, each of its own rule unless `rule` says otherwise."""
    for at in times:
        an_alert(database, customer, "COMP-001", Severity.WARNING, at=at, resolved=True, resolved_at=at, **more)


def test_anonymous_is_401_and_another_organization_counts_nothing(
    api: ApiClient, signed_in: SignIn, database: Database, customer: Customer, now: datetime
) -> None:
    an_alert(database, customer, "COMP-001", Severity.WARNING, at=now - 3 * DAY)

    assert api.get(PERFORMANCE).status_code == 401
    theirs = figures(signed_in(a_customer(database)))
    assert (theirs["annunciated"], theirs["stale"]["count"], theirs["top_ten"]["items"]) == (0, 0, [])


def test_without_alerts_every_day_is_there_and_nothing_is_divided_by_nothing(client: ApiClient) -> None:
    shown = figures(client)

    assert (shown["start"], shown["end"]) == ("2025-12-13T00:00:00Z", "2026-01-12T00:00:00Z")
    assert [day["day"] for day in shown["days"]][:2] == ["2025-12-13", "2025-12-14"]
    assert (len(shown["days"]), shown["days"][-1]["day"]) == (30, "2026-01-11")
    assert (shown["annunciated"], shown["per_day"], shown["top_ten"]["share"]) == (0, 0, 0)
    assert shown["floods"] == {"count": 0, "share_of_time": 0, "gravest": []}
    nobody = {"median_minutes": None, "p90_minutes": None, "count": 0, "never": 0}
    assert shown["time_until_acknowledged"] == shown["time_until_resolved"] == nobody
    assert [each["share"] for each in shown["priorities"]] == [0, 0, 0, 0]


def test_days_count_what_was_told_and_apart_from_it_what_was_not(
    client: ApiClient, database: Database, customer: Customer, now: datetime
) -> None:
    first = now - 3 * DAY
    told: list[tuple[datetime, Severity, dict[str, Any]]] = [
        (first, Severity.WARNING, {}),  # at the very start
        (first + 23 * HOUR, Severity.CRITICAL, {}),
        (first + HOUR, Severity.WARNING, {"suppressed_by": "most_open"}),
        (first + HOUR, Severity.WARNING, {"suppressed_by": "most_open", "withdrawn_at": now, "resolved": True}),
        (now - HOUR, Severity.CRITICAL, {}),
        (first - MINUTE, Severity.CRITICAL, {}),  # before the period
        (now, Severity.CRITICAL, {}),  # after it
    ]
    for at, severity, more in told:
        an_alert(database, customer, "COMP-001", severity, at=at, **more)

    shown = figures(client, start="2026-01-08T18:00:00-06:00")

    assert shown["days"] == [
        {"day": "2026-01-09", "warning": 1, "critical": 1, "suppressed": 1, "withdrawn": 1},
        {"day": "2026-01-10", "warning": 0, "critical": 0, "suppressed": 0, "withdrawn": 0},
        {"day": "2026-01-11", "warning": 0, "critical": 1, "suppressed": 0, "withdrawn": 0},
    ]
    assert (shown["annunciated"], shown["suppressed"], shown["withdrawn"]) == (3, 1, 1)
    assert (shown["per_day"], shown["per_hour"]) == (1, 3 / 72)


def test_a_flood_begins_with_ten_in_ten_minutes_and_ends_when_there_are_fewer_than_five(
    client: ApiClient, database: Database, customer: Customer, now: datetime
) -> None:
    at = now - DAY
    # Nine, then one a minute: the tenth begins it. From 00:10 on the nine are ten minutes ago and no longer count,
    # which leaves those of 00:01 to 00:10; each minute one more leaves, until at 00:16 there are four.
    raised(database, customer, *[at] * 9, *(at + minute * MINUTE for minute in range(1, 11)))
    # Ten within eleven minutes are none.
    raised(database, customer, *[at + 6 * HOUR] * 5, *[at + 6 * HOUR + 11 * MINUTE] * 5)
    # All at once; over when ten minutes have passed.
    raised(database, customer, *[at + 12 * HOUR] * 12)
    # Readings every ten minutes: nine and nine are in no ten minutes together.
    raised(database, customer, *[at + 18 * HOUR] * 9, *[at + 18 * HOUR + 10 * MINUTE] * 9)

    floods = figures(client, start="2026-01-11T00:00:00Z")["floods"]

    assert floods["gravest"] == [
        {"start": "2026-01-11T00:01:00Z", "end": "2026-01-11T00:16:00Z", "peak": 18},
        {"start": "2026-01-11T12:00:00Z", "end": "2026-01-11T12:10:00Z", "peak": 12},
    ]
    assert floods["count"] == 2
    assert floods["share_of_time"] == pytest.approx(25 / (24 * 60))


def test_a_flood_that_lasts_ends_with_the_period(
    client: ApiClient, database: Database, customer: Customer, now: datetime
) -> None:
    raised(database, customer, *[now - 4 * MINUTE] * 10)

    floods = figures(client, start="2026-01-11T23:00:00Z")["floods"]

    assert (floods["gravest"][0]["end"], floods["share_of_time"]) == ("2026-01-12T00:00:00Z", pytest.approx(4 / 60))


def test_what_is_suppressed_makes_no_flood(
    client: ApiClient, database: Database, customer: Customer, now: datetime
) -> None:
    raised(database, customer, *[now - HOUR] * 9)
    raised(database, customer, now - HOUR, suppressed_by="most_open")

    assert figures(client)["floods"]["count"] == 0


def test_rules_that_come_three_times_within_a_day_repeat_and_within_an_hour_chatter(
    client: ApiClient, database: Database, customer: Customer, now: datetime
) -> None:
    at = now - 10 * DAY
    raised(database, customer, at, at + 30 * MINUTE, at + HOUR, at + 5 * DAY, rule="gas_flow_low")
    raised(database, customer, at, at + HOUR, at + DAY, rule="vibration_high")
    raised(database, customer, at, at + HOUR, at + DAY + MINUTE, rule="horsepower_high")
    an_alert(database, customer, "COMP-002", Severity.WARNING, at=at + 2 * HOUR, rule="horsepower_high")

    shown = figures(client)

    assert shown["repeating"] == {
        "count": 2,
        "chattering": 1,
        "quickest": [
            {"compressor_id": "COMP-001", "rule": "gas_flow_low", "raised": 4, "shortest_minutes": 60},
            {"compressor_id": "COMP-001", "rule": "vibration_high", "raised": 3, "shortest_minutes": 1440},
        ],
    }


def test_the_ten_most_frequent_and_which_part_of_all_they_are(
    client: ApiClient, database: Database, customer: Customer, now: datetime
) -> None:
    at = now - 10 * DAY
    raised(database, customer, at, at + 2 * DAY, at + 4 * DAY, rule="vibration_high")
    raised(database, customer, at, at + 2 * DAY, rule="gas_flow_low")
    raised(database, customer, *[at] * 15)

    top = figures(client)["top_ten"]

    assert (len(top["items"]), top["share"]) == (10, pytest.approx(13 / 20))
    assert top["items"][:2] == [
        {"compressor_id": "COMP-001", "rule": "vibration_high", "raised": 3, "share": 3 / 20},
        {"compressor_id": "COMP-001", "rule": "gas_flow_low", "raised": 2, "share": 2 / 20},
    ]


def test_times_are_those_of_people_and_of_what_has_happened(
    client: ApiClient, database: Database, customer: Customer, now: datetime
) -> None:
    at = now - 10 * DAY
    for minutes in (10, 20, 30, 40, 100):
        an_alert(
            database,
            customer,
            "COMP-001",
            Severity.WARNING,
            at=at,
            acknowledged=True,
            acknowledged_by="somebody@customer.example",
            acknowledged_at=at + minutes * MINUTE,
            resolved=minutes > 20,
            resolved_at=at + 2 * minutes * MINUTE if minutes > 20 else None,
        )
    an_alert(
        database,
        customer,
        "COMP-001",
        Severity.WARNING,
        at=at,
        acknowledged=True,
        acknowledged_by=ALTAVIZ,
        acknowledged_at=at + 7 * DAY,
    )
    an_alert(database, customer, "COMP-001", Severity.WARNING, at=at)

    shown = figures(client)

    # Of 10, 20, 30, 40, 100 nine tenths lie below 40 + 0.6 x 60; of 60, 80, 200 below 80 + 0.8 x 120.
    assert shown["time_until_acknowledged"] == {"median_minutes": 30, "p90_minutes": 76, "count": 5, "never": 2}
    assert shown["time_until_resolved"] == {"median_minutes": 80, "p90_minutes": 176, "count": 3, "never": 4}


def test_an_alert_that_moved_to_after_its_acknowledgement_took_no_time(
    client: ApiClient, database: Database, customer: Customer, now: datetime
) -> None:
    said: dict[str, Any] = {"acknowledged": True, "acknowledged_by": "a@b.example", "acknowledged_at": now - 2 * HOUR}
    an_alert(database, customer, "COMP-001", Severity.WARNING, at=now - HOUR, **said)

    assert figures(client)["time_until_acknowledged"]["median_minutes"] == 0


def test_stale_is_what_stands_for_more_than_a_day_now_whatever_the_period(
    client: ApiClient, database: Database, customer: Customer, now: datetime
) -> None:
    older = an_alert(database, customer, "COMP-002", Severity.WARNING, at=now - 50 * DAY, rule="vibration_high")
    an_alert(database, customer, "COMP-001", Severity.WARNING, at=now - DAY - MINUTE)
    an_alert(database, customer, "COMP-001", Severity.WARNING, at=now - DAY)
    long_ago = now - 9 * DAY
    an_alert(database, customer, "COMP-001", Severity.WARNING, at=long_ago, suppressed_by="most_open")
    an_alert(database, customer, "COMP-001", Severity.WARNING, at=long_ago, shelved_until=now + HOUR)
    raised(database, customer, long_ago)

    stale = figures(client, start="2026-01-11T12:00:00Z")["stale"]

    assert stale["count"] == 2
    assert stale["oldest"][0] == {
        "alert_id": str(older),
        "compressor_id": "COMP-002",
        "rule": "vibration_high",
        "alert_timestamp": "2025-11-23T00:00:00Z",
    }


def test_priorities_are_those_of_the_rules(
    client: ApiClient, database: Database, customer: Customer, now: datetime
) -> None:
    at = now - 10 * DAY
    raised(database, customer, at, at + DAY, rule="vibration_high")
    raised(database, customer, at, rule="gas_flow_low")
    raised(database, customer, at, rule="silent")

    assert figures(client)["priorities"] == [
        {"priority": "low", "raised": 0, "share": 0},
        {"priority": "medium", "raised": 1, "share": 0.25},
        {"priority": "high", "raised": 2, "share": 0.5},
        {"priority": None, "raised": 1, "share": 0.25},
    ]


def test_one_machine_alone(client: ApiClient, database: Database, customer: Customer, now: datetime) -> None:
    an_alert(database, customer, "COMP-001", Severity.WARNING, at=now - 3 * DAY)
    an_alert(database, customer, "COMP-002", Severity.WARNING, at=now - 3 * DAY)

    shown = figures(client, compressor_id="COMP-002")

    assert (shown["annunciated"], shown["stale"]["count"]) == (1, 1)
    assert [each["compressor_id"] for each in shown["top_ten"]["items"]] == ["COMP-002"]


def test_the_targets_stand_beside_the_figures(client: ApiClient) -> None:
    assert figures(client)["targets"] == {
        "per_day": 150,
        "per_hour": 6,
        "flood_share": 0.01,
        "chattering": 0,
        "stale": 5,
        "top_ten_share": 0.05,
        "low": 0.8,
        "medium": 0.15,
        "high": 0.05,
    }


@pytest.mark.parametrize(
    ("tier", "asked", "period"),
    [
        (Tier.FREE, {}, ("2026-01-05T00:00:00Z", "2026-01-12T00:00:00Z")),
        (Tier.ENTERPRISE, {"start": "2001-01-01T00:00:00Z"}, ("2025-01-12T00:00:00Z", "2026-01-12T00:00:00Z")),
        (Tier.ENTERPRISE, {"end": "2030-01-01T00:00:00Z"}, ("2025-12-13T00:00:00Z", "2026-01-12T00:00:00Z")),
        (Tier.PRO, {"end": "2025-12-31T12:00:00Z"}, ("2025-12-01T12:00:00Z", "2025-12-31T12:00:00Z")),
    ],
)
def test_a_period_is_no_more_than_can_be_known(
    signed_in: SignIn, database: Database, tier: Tier, asked: dict[str, str], period: tuple[str, str]
) -> None:
    shown = figures(signed_in(a_customer(database, tier=tier)), **asked)

    assert (shown["start"], shown["end"]) == period


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"start": "2026-01-02T00:00:00Z", "end": "2026-01-02T00:00:00Z"}, "start"),
        ({"start": "2026-01-12T00:00:00Z"}, "end"),
        ({"end": "2025-01-12T00:00:00Z"}, "end"),
        ({"end": "0001-01-01T00:00:00Z"}, "end"),
        ({"start": "2026-01-02T00:00:00"}, "start"),
        ({"compressor_id": ""}, "compressor_id"),
    ],
    ids=str,
)
def test_a_wrong_question_is_422_and_names_the_field(client: ApiClient, asked: dict[str, str], field: str) -> None:
    answer = client.get(PERFORMANCE, params=asked)

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
