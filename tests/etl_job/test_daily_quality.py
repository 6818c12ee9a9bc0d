"""What is published about the quality of a machine's day."""

import json
from datetime import timedelta
from typing import Any

import pyarrow as pa
from sqlalchemy import select

from shared_code.database import transactions
from shared_code.database.tables import data_quality_metrics
from shared_code.thresholds import thresholds
from tests.etl_job.customer import Customer
from tests.factories.landing import HOUR, MINUTE, MONDAY, deliver, deliver_fleet, readings, with_value

DAY = timedelta(days=1)


def metrics(customer: Customer) -> dict[tuple[str, str], dict[str, Any]]:
    """Return what is published by machine and metric, one day of each."""
    ours = data_quality_metrics.c.organization_id == customer.organization_id
    with transactions.job(customer.database) as connection:
        rows = [dict(row) for row in connection.execute(select(data_quality_metrics).where(ours)).mappings()]
    found = {(row["compressor_id"], row["metric_type"]): row for row in rows}
    assert len(found) == len(rows)
    assert {row["metric_timestamp"] for row in rows} == {MONDAY + DAY}
    return found


def test_a_day_with_gaps_and_faults_is_measured(customer: Customer) -> None:
    whole = readings(count=144)
    for row in range(10, 15):
        whole = with_value(whole, "gas_flow_mcf", row, -999.0)
    for row in range(20, 22):
        whole = with_value(whole, "vibration_mms", row, None)
    whole = with_value(whole, "operating_hours", 30, 5.0)  # a counter that disagrees: the clock is in doubt
    there = pa.concat_tables([whole.slice(0, 60), whole.slice(77, 64)])  # 17 are missing, and the last three
    deliver_fleet(customer.landing, ["COMP-001", "COMP-002"])
    deliver(customer.landing, "a.parquet", there, at=MONDAY + 100 * HOUR)
    deliver(customer.landing, "b.parquet", readings("COMP-002", count=144), at=MONDAY + 100 * HOUR)
    customer.run()
    found = metrics(customer)
    passing = thresholds().quality.passing
    limits = {
        "completeness": passing.completeness,
        "consistency": passing.consistency,
        "accuracy": passing.accuracy,
        "freshness": passing.freshness_minutes,
    }
    received = 124 * 6 - 2
    doubtful = {
        "completeness": 124 / 144,
        "consistency": 1 - 1 / 124,
        "accuracy": (received - 5 - 6) / received,
        "freshness": 40.0,
    }
    sound = {"completeness": 1.0, "consistency": 1.0, "accuracy": 1.0, "freshness": 10.0}
    for machine, expected in (("COMP-001", doubtful), ("COMP-002", sound)):
        for metric, value in expected.items():
            row = found[machine, metric]
            assert (row["metric_value"], row["pass_threshold"]) == (value, limits[metric]), (machine, metric)
            passed = value <= limits[metric] if metric == "freshness" else value >= limits[metric]
            assert row["passed"] is passed, (machine, metric)
    details = found["COMP-001", "accuracy"]["details"]
    assert (details if isinstance(details, dict) else json.loads(details)) == {
        "readings": 124,
        "expected": 144,
        "received": received,
        "usable": received - 11,
        "clock": 1,
    }


def test_a_day_that_is_not_over_is_measured_up_to_its_last_delivery(customer: Customer) -> None:
    deliver_fleet(customer.landing, ["COMP-001"])
    deliver(customer.landing, "a.parquet", readings(count=6), at=MONDAY + 2 * HOUR)
    customer.run()
    found = metrics(customer)
    assert found["COMP-001", "completeness"]["metric_value"] == 6 / 12
    assert found["COMP-001", "freshness"]["metric_value"] == 70 * (MINUTE / MINUTE)
    deliver(customer.landing, "b.parquet", readings(start=MONDAY + HOUR, count=6), at=MONDAY + 2 * HOUR)
    customer.run()
    found = metrics(customer)
    assert found["COMP-001", "completeness"]["metric_value"] == 1.0
    assert found["COMP-001", "freshness"]["metric_value"] == 10.0
