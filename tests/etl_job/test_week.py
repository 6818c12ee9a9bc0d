# What Arrow's stubs leave open.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""The simulator's standard week, taken in once, against a recomputation from its landing files in another language."""

import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from etl_job.delta_tables import AGGREGATES, ALARMS, QUARANTINE, SILVER
from etl_job.summary import Summary
from functions.alerts.rules import Backtest, backtest_rule
from functions.settings import LakeSettings
from shared_code.alarms import AlertType
from shared_code.database import transactions
from shared_code.database.engines import Database
from shared_code.database.tables import alert_history, ml_predictions
from shared_code.database.tables.organizations import Tier
from shared_code.identifiers import OrganizationId
from shared_code.readings import DISTANCE, SENSOR_FIELDS, UNCHANGED
from shared_code.thresholds import RuleChanges, thresholds
from tests.etl_job.customer import Customer, an_organization
from tests.etl_job.recomputation import assert_same_windows, recomputed
from tests.factories.landing import HOUR, MINUTE, MONDAY

ROOT = Path(__file__).resolve().parents[2]
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Week:
    customer: Customer
    summary: Summary


@pytest.fixture(scope="module")
def week(spark: SparkSession, database: Database, tmp_path_factory: pytest.TempPathFactory) -> Week:
    customer = Customer(spark, database, tmp_path_factory.mktemp("week"), an_organization(database))
    command = [sys.executable, "-m", "simulator", "--out", str(customer.landing)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)  # noqa: S603 - our own program
    return Week(customer, customer.run())


@pytest.fixture(scope="module")
def expected(week: Week) -> pa.Table:
    return recomputed(week.customer.landing)


def test_every_row_of_the_week_is_accounted_for(week: Week) -> None:
    summary = week.summary
    assert summary.rows_read == summary.rows_written + summary.rows_repeated + summary.rows_quarantined
    assert summary.rows_read > 10_000
    assert len(week.customer.table(SILVER)) == summary.rows_written
    assert len(week.customer.table(QUARANTINE)) == summary.rows_quarantined == sum(summary.quarantined.values())
    assert summary.fleet_refused == []


def test_every_window_in_the_lake_equals_a_recomputation(week: Week, expected: pa.Table) -> None:
    assert_same_windows(week.customer.table(AGGREGATES), expected)


def test_every_window_in_sql_equals_a_recomputation(week: Week, expected: pa.Table) -> None:
    assert len(week.customer.published()) == week.summary.windows_published
    assert_same_windows(week.customer.published().values(), expected)


def test_the_failing_machines_worst_readings_all_count(week: Week) -> None:
    silver = [row for row in week.customer.table(SILVER) if row["compressor_id"] == "COMP-003"]
    critical = [row for row in silver if 8 < (row["vibration_mms"] or 0) <= 50]
    assert len(critical) > 20
    assert {(row["vibration_mms_flag"], row["clock_flag"]) for row in critical} == {(None, None)}
    worst: dict[Any, float] = {}
    for row in critical:
        ended = row["timestamp"].replace(minute=0, second=0, microsecond=0) + HOUR
        worst[ended] = max(worst.get(ended, 0.0), row["vibration_mms"])
    published = week.customer.published()
    assert {ended: published["COMP-003", "1hr", ended]["vibration_max"] for ended in worst} == worst


def test_the_sensors_that_stuck_are_found_and_no_others(week: Week) -> None:
    truth = pq.read_table(week.customer.landing / "truth" / "faults.parquet").to_pylist()
    injected = {(fault["compressor_id"], fault["sensor"]): fault for fault in truth if fault["kind"] == "stuck"}
    found: dict[tuple[str, str], list[datetime]] = {}
    for row in week.customer.table(SILVER):
        for field in SENSOR_FIELDS:
            if row[f"{field}_flag"] == "stuck":
                found.setdefault((row["compressor_id"], field), []).append(row["timestamp"])
    assert len(found) > 1
    assert {sensor: (min(times), max(times) + 10 * MINUTE) for sensor, times in found.items()} == {
        sensor: (fault["start"], fault["end"]) for sensor, fault in injected.items()
    }


def test_the_failing_machine_is_seen_to_fail(week: Week) -> None:
    published = week.customer.published()
    means = [published["COMP-003", "24hr", MONDAY + day * DAY]["vibration_mean"] for day in (3, 4, 5, 6)]
    assert means == sorted(means)
    assert means[-1] > 1.5 * means[0]


def test_every_problem_is_told_in_time_and_healthy_machines_raise_nothing(week: Week) -> None:
    truth = pq.read_table(week.customer.landing / "truth" / "faults.parquet").to_pylist()
    onset = {fault["compressor_id"]: fault["start"] for fault in truth if fault["kind"] == "degradation"}
    failure = {fault["compressor_id"]: fault["start"] for fault in truth if fault["kind"] == "failure"}
    stuck = {(fault["compressor_id"], UNCHANGED[fault["sensor"]]) for fault in truth if fault["kind"] == "stuck"}
    raised = week.customer.in_sql(alert_history)
    sensors = [alert for alert in raised if alert["sensor_name"] in UNCHANGED.values()]
    alerts = [alert for alert in raised if alert not in sensors]
    first = {machine: min(a["alert_timestamp"] for a in alerts if a["compressor_id"] == machine) for machine in onset}

    assert set(failure) == {"COMP-003"}
    assert {alert["compressor_id"] for alert in alerts} == set(onset) == {"COMP-003", "COMP-007"}
    assert all(first[machine] >= onset[machine] for machine in onset)
    assert failure["COMP-003"] - first["COMP-003"] > DAY
    assert len({(alert["compressor_id"], alert["rule"]) for alert in alerts}) == len(alerts)
    assert sorted((alert["compressor_id"], alert["sensor_name"]) for alert in sensors) == sorted(stuck)
    assert week.summary.alerts_published == len(raised) < 12


def test_both_failures_are_foretold_a_day_before_and_no_other(week: Week) -> None:
    truth = pq.read_table(week.customer.landing / "truth" / "faults.parquet").to_pylist()
    failure = {fault["compressor_id"]: fault["end"] for fault in truth if fault["kind"] == "degradation"}
    alerts = [a for a in week.customer.in_sql(alert_history) if a["alert_type"] == AlertType.PREDICTION]
    assert sorted(alert["compressor_id"] for alert in alerts) == ["COMP-003", "COMP-007"]
    assert all(failure[alert["compressor_id"]] - alert["alert_timestamp"] >= DAY for alert in alerts)


def test_every_hour_has_a_prediction_and_bounds_mostly_hold(week: Week) -> None:
    truth = pq.read_table(week.customer.landing / "truth" / "faults.parquet").to_pylist()
    failure = {fault["compressor_id"]: fault["end"] for fault in truth if fault["kind"] == "degradation"}
    predictions = week.customer.in_sql(ml_predictions)
    windows = week.customer.published()
    assert week.summary.predictions_published == len(predictions)
    assert {(row["compressor_id"], "1hr", row["prediction_timestamp"]) for row in predictions} == {
        key for key in windows if key[1] == "1hr"
    }
    told = [row for row in predictions if row["rul_days"] is not None]
    held = [
        row["rul_days"] * DAY <= failure[row["compressor_id"]] - row["prediction_timestamp"]
        for row in told
        if row["prediction_timestamp"] < failure[row["compressor_id"]]
    ]
    assert len(held) > 100
    assert sum(held) / len(held) >= 0.5  # of two failures alone; of many it is nine in ten, docs/model-card.md
    assert all(row["health"] >= row["threshold"] for row in told)


OF_READINGS = [name for name, rule in thresholds().alarms.rules.items() if rule.channel != DISTANCE]
OF_AN_EPISODE = (
    "compressor_id",
    "onset_at",
    "alert_timestamp",
    "severity",
    "critical_at",
    "peak_value",
    "peak_at",
    "latest_at",
    "cleared_at",
    "suppressed_by",
)


def backtested(week: Week, rule: str, **changes: float) -> dict[str, Any]:
    """Back-test a rule over the week, as the API does."""
    organization_id = OrganizationId(week.customer.organization_id)
    asked = Backtest(rule, RuleChanges.model_validate(changes), start=MONDAY, end=None, compressor_ids=None)
    lake = LakeSettings(altaviz_lake=str(week.customer.folder / "lake"))
    with transactions.read(week.customer.database, organization_id) as connection:
        return dict(
            backtest_rule(
                connection, organization_id, asked=asked, lake=lake, tier=Tier.ENTERPRISE, now=MONDAY + 8 * DAY
            )
        )


def test_a_backtest_tells_what_the_job_told(week: Week) -> None:
    silver = week.customer.table(SILVER)
    found: list[tuple[Any, ...]] = []
    for rule in OF_READINGS:
        tested = backtested(week, rule)
        assert tested["as_it_is"]["episodes"] == tested["as_it_would_be"]["episodes"]
        assert (tested["gained"], tested["lost"]) == ([], [])
        assert (tested["readings"], tested["machines"]) == (len(silver), len({row["compressor_id"] for row in silver}))
        found += [(rule, *(each[name] for name in OF_AN_EPISODE)) for each in tested["as_it_is"]["episodes"]]

    alerts = [alert for alert in week.customer.in_sql(alert_history) if alert["rule"] in OF_READINGS]
    assert len(found) == len([row for row in week.customer.table(ALARMS) if row["rule"] in OF_READINGS]) > 3
    assert sorted(found, key=str) == sorted(
        ((alert["rule"], *(alert[name] for name in OF_AN_EPISODE)) for alert in alerts), key=str
    )


def test_a_backtest_shows_what_a_higher_limit_would_have_cost(week: Week) -> None:
    tested = backtested(week, "vibration_high", warning_limit=7.5, critical_limit=12)

    (failure,) = tested["failures"]
    assert failure["compressor_id"] == "COMP-003"
    assert failure["hours_of_warning"] > 24
    assert 0 < failure["hours_of_warning_if_changed"] < failure["hours_of_warning"]
    assert tested["as_it_would_be"]["alerts"] <= tested["as_it_is"]["alerts"]
    assert backtested(week, "vibration_high", warning_limit=40, critical_limit=45)["as_it_would_be"]["episodes"] == []


def test_a_second_run_finds_nothing_and_changes_nothing(week: Week) -> None:
    before = week.customer.published(), week.customer.table(AGGREGATES)
    again = week.customer.run()
    assert set(again.counts().values()) == {0}
    assert (week.customer.published(), week.customer.table(AGGREGATES)) == before
