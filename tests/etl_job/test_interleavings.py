"""Whatever comes in whatever order, in however many runs, the tables are those of one run over all of it."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from etl_job import housekeeping, pipeline
from etl_job.batch import Job
from etl_job.delta_tables import AGGREGATES, ALARMS, MACHINE_DAYS, PARTIALS, PREDICTIONS, SILVER
from etl_job.summary import Summary
from shared_code.database.engines import Database
from shared_code.database.tables import data_quality_metrics, ml_predictions, sensor_readings_agg
from tests.etl_job.commit_points import CommitPoints, Stopped, stop, watch
from tests.etl_job.customer import Customer, an_organization
from tests.etl_job.recomputation import assert_same_windows, recomputed
from tests.factories.landing import HOUR, MONDAY, NORMAL, deliver, deliver_fleet, readings, with_value

USUAL_EXAMPLES = 4
EXAMPLES = int(os.environ.get("INTERLEAVINGS", USUAL_EXAMPLES))
"""`make bench` asks for more, and for others each time."""

MACHINES = tuple(f"COMP-{number:03}" for number in range(1, 9))
"""Nothing that is computed of one depends on another, so each is a case of its own."""
COUNT = 32 * 6
"""Readings of a machine: a day and a third, so that midnight is among them."""
BEYOND = {
    "vibration_mms": (6.5, 9.0),
    "discharge_temp_f": (250.0, 251.0),
    "suction_pressure_psi": (25.0, 15.0),
    "discharge_pressure_psi": (1350.0, 1340.0),
    "gas_flow_mcf": (9_000.0, 9_000.0),  # stuck
}
LAST_DELIVERY = MONDAY + 100 * HOUR
OPERATIONS: dict[str, Callable[[SparkSession, Job], Summary]] = {
    "run": pipeline.run,
    "rebuild": pipeline.rebuild,
    "replay": pipeline.replay,
    "housekeeping": housekeeping.tidy,
}


@dataclass(frozen=True)
class File:
    """A landing file: readings of a machine, in some order, some of them unlike those that other files have."""

    machine: str
    rows: tuple[int, ...]
    oddities: tuple[tuple[int, str, float | None], ...]
    spells: tuple[tuple[int, int, str], ...]
    """From which row on, and for how many, a sensor is beyond its limit, or stuck."""
    hours_early: int


@dataclass(frozen=True)
class Step:
    """What comes in, and what the job is then asked to do; it may be stopped at one of its commit points."""

    files: tuple[File, ...]
    operation: str
    stopped_at: int | None


def a_file() -> st.SearchStrategy[File]:
    field = st.sampled_from(sorted(NORMAL))
    value = st.one_of(
        st.none(), st.sampled_from((float("nan"), float("inf"), -999.0, 0.0, 1e6)), st.floats(2.0, 2000.0)
    )
    spells = st.tuples(st.integers(0, COUNT - 1), st.integers(2, 30), st.sampled_from(sorted(BEYOND)))
    spans = st.tuples(st.integers(0, COUNT - 1), st.integers(1, COUNT), st.integers(1, 7))
    rows = spans.map(lambda span: range(span[0], min(span[0] + span[1], COUNT), span[2]))
    return st.builds(
        File,
        machine=st.sampled_from(MACHINES),
        rows=rows.flatmap(st.permutations).map(tuple),
        oddities=st.lists(st.tuples(st.integers(0, COUNT - 1), field, value), max_size=4).map(tuple),
        spells=st.lists(spells, max_size=3).map(tuple),
        hours_early=st.integers(0, 6),
    )


def a_step(files: int) -> st.SearchStrategy[Step]:
    return st.builds(
        Step,
        files=st.lists(a_file(), min_size=files, max_size=2 * files).map(tuple),
        operation=st.sampled_from(("run", "run", "run", "run", *OPERATIONS)),
        stopped_at=st.one_of(st.none(), st.none(), st.integers(0, 18)),
    )


def content(file: File) -> pa.Table:
    table = readings(file.machine, count=COUNT, shift=0.1 * MACHINES.index(file.machine))
    for first, length, field in file.spells:
        low, high = BEYOND[field]
        for row in range(first, min(first + length, COUNT)):
            table = with_value(table, field, row, high if row % 5 == 0 else low)
    for row, field, value in file.oddities:
        table = with_value(table, field, row, value)
    return table.take(pa.array(file.rows))


def work(customer: Customer, step: Step) -> None:
    """Do what a step asks for, and let it be stopped where it says."""
    with pytest.MonkeyPatch.context() as patch:
        if step.stopped_at is not None:
            watch(CommitPoints(step.stopped_at, stop), patch)
        try:
            customer.run(OPERATIONS[step.operation])
        except Stopped:
            assert step.stopped_at is not None


@pytest.mark.timeout(90 * EXAMPLES + 600)
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=EXAMPLES == USUAL_EXAMPLES,
    phases=[Phase.explicit, Phase.generate],  # an example takes seconds: it is shown as it was found
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(first=a_step(files=8), others=st.lists(a_step(files=4), max_size=2))
def test_any_interleaving_ends_in_the_state_of_one_run(
    spark: SparkSession, database: Database, tmp_path_factory: pytest.TempPathFactory, first: Step, others: list[Step]
) -> None:
    folder = tmp_path_factory.mktemp("interleaving")
    piecemeal, at_once = (
        Customer(spark, database, folder / name, an_organization(database)) for name in ("piecemeal", "at_once")
    )
    for customer in (piecemeal, at_once):
        deliver_fleet(customer.landing, MACHINES)
    for number, step in enumerate([first, *others, Step((), "run", None)]):
        for place, file in enumerate(step.files):
            name = f"{(number * 7 + place * 3) % 10}-{number}-{place}.parquet"  # in no order
            for customer in (piecemeal, at_once):
                deliver(customer.landing, name, content(file), at=LAST_DELIVERY - file.hours_early * HOUR)
        work(piecemeal, step)
    at_once.run()
    for layout in (SILVER, PARTIALS, AGGREGATES, PREDICTIONS, MACHINE_DAYS, ALARMS):
        assert piecemeal.content(layout) == at_once.content(layout), layout.folder
    for table in (sensor_readings_agg, data_quality_metrics, ml_predictions):
        assert piecemeal.in_sql(table) == at_once.in_sql(table), table.name
    assert piecemeal.alerts() == at_once.alerts()
    assert_same_windows(piecemeal.published().values(), recomputed(piecemeal.landing))
    context: Any = spark.sparkContext
    for state in context._jsc.getPersistentRDDs().values():  # noqa: SLF001 - the only way to all of them
        state.unpersist()  # what Delta remembers of tables that nobody reads again
