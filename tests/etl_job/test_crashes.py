"""The job stopped at every instant between two of its commits: the next run leaves no trace of it."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from etl_job import pipeline
from etl_job.batch import Job
from etl_job.delta_tables import AGGREGATES, ALARMS, BRONZE, MACHINE_DAYS, PARTIALS, PREDICTIONS, QUARANTINE, SILVER
from etl_job.publish import STAGING
from etl_job.summary import Summary
from shared_code.database.tables import alert_history
from tests.etl_job.commit_points import CommitPoints, Stopped, stop, watch
from tests.etl_job.customer import Customer, Row, an_organization
from tests.factories.landing import HOUR, MONDAY, as_parquet, deliver, deliver_fleet, readings, with_value

ROOT = Path(__file__).resolve().parents[2]
LATER = MONDAY + 100 * HOUR

Work = Callable[[SparkSession, Job], Summary]

SQL = "SQL commit"
STAGED = (
    "stage alert_history",
    "stage sensor_readings_agg",
    "stage data_quality_metrics",
    "stage ml_predictions",
)
FORETOLD = (SQL, PREDICTIONS.folder, MACHINE_DAYS.folder)
GOLD = (PARTIALS.folder, AGGREGATES.folder, *FORETOLD, SQL, ALARMS.folder, SQL, *STAGED, SQL)
POINTS: dict[Work, tuple[str, ...]] = {
    pipeline.run: (SQL, "stream", SQL, BRONZE.folder, SILVER.folder, QUARANTINE.folder, *GOLD, "checkpoint"),
    pipeline.rebuild: ("note", *GOLD, "end of note"),
    pipeline.replay: (SQL, "note", SQL, QUARANTINE.folder, SILVER.folder, *GOLD, "quarantine release", "end of note"),
}
LAYOUTS = (BRONZE, SILVER, PARTIALS, AGGREGATES, PREDICTIONS, MACHINE_DAYS, ALARMS, QUARANTINE)
LATER_POINTS = (SQL, "stream", SQL, BRONZE.folder, QUARANTINE.folder, SILVER.folder, *GOLD, "checkpoint")
"""Those of a run that finds a lake: what leaves Silver is put aside before it goes."""
TAKING_IN = 2
"""The first point of a run that belongs to its batch; before it nothing of the batch is there."""
MACHINES = [f"COMP-{number:03}" for number in range(len(POINTS[pipeline.run]))]
ONE_OF_A_KIND = (0, 3, 6, len(MACHINES) - 2, len(MACHINES) - 1)
"""Before anything is there, in Bronze, in Gold, at the last commit in SQL, and when only the stream does not know."""
KILLED = range(len(MACHINES)) if os.environ.get("KILLED_AT") == "all" else ONE_OF_A_KIND
"""Each kill is a start of Spark; within one process, the job is stopped at all points each time."""


def deliver_hours(customer: Customer, machine: str) -> None:
    """Deliver ten hours of a machine, then a file that repeats, corrects and adds to them, and one that is broken.

    In the hours before the last it shakes, which is over in the file that comes after.
    """
    shaking = [(7.0 if 42 <= row < 54 else 3.0) + row % 3 * 0.1 for row in range(60)]
    ten_hours = readings(machine, count=60, columns={"vibration_mms": shaking})
    more = readings(machine, start=MONDAY + 9 * HOUR, count=9)
    deliver(customer.landing, f"{machine}-a.parquet", ten_hours, at=LATER)
    deliver(customer.landing, f"{machine}-b.parquet", with_value(more, "gas_flow_mcf", 2, 9000.0), at=LATER + HOUR)
    deliver(customer.landing, f"{machine}-c.parquet", as_parquet(more)[:-9], at=LATER)


def beside(customer: Customer, name: str) -> Customer:
    """Return another customer, with a landing folder and a lake beside the first one's."""
    folder = customer.folder / name
    folder.mkdir()
    return replace(customer, folder=folder, organization_id=an_organization(customer.database))


def state(customer: Customer) -> dict[str, list[Row]]:
    """Return everything that runs leave."""
    in_delta = {layout.folder: customer.content(layout) for layout in LAYOUTS}
    in_sql = {table.name: customer.in_sql(table) for table in (*STAGING, *STAGING.values())}
    return in_delta | in_sql | {alert_history.name: customer.alerts()}


def stop_everywhere(customer: Customer, work: Work) -> None:
    """Do a piece of work, stopped at its first point, then at its second, and so on; at last let it come to its end."""
    for point in range(len(POINTS[work])):
        with pytest.MonkeyPatch.context() as patch:
            watch(CommitPoints(point, stop), patch)
            with pytest.raises(Stopped):
                customer.run(work)
    customer.run(work)


def run_and_kill(customer: Customer, point: int) -> str:
    """Run the program as a process of its own that is killed at a point; return the point's name."""
    own = {
        "ALTAVIZ_DATABASE_DIR": str(customer.database.settings.data_dir),
        "ETL_ORGANIZATION_ID": str(customer.organization_id),
        "SPARK_MASTER": "local[1]",
        "ETL_DRIVER_MEMORY": "1g",
    }
    folders = ["--landing", str(customer.landing), "--lake", str(customer.folder / "lake")]
    command = [sys.executable, "-m", "tests.etl_job.killed_run", str(point), *folders]
    done = subprocess.run(  # noqa: S603 - our own program
        command,
        cwd=ROOT,
        env={**os.environ, **own},
        check=False,
        capture_output=True,
        text=True,
        start_new_session=True,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    return done.stdout


def kill_at_each(customer: Customer, points: Iterable[int]) -> None:
    """Kill a process at each of these points, while it takes in a machine's readings.

    It finishes first what the process before it left, and is killed in the batch after that.
    """
    names, of_the_batch_before = POINTS[pipeline.run], 0
    for point in points:
        deliver_hours(customer, MACHINES[point])
        assert run_and_kill(customer, of_the_batch_before + point) == names[point]
        if point >= TAKING_IN:
            names, of_the_batch_before = LATER_POINTS, len(LATER_POINTS) - TAKING_IN


@pytest.mark.parametrize("work", POINTS, ids=lambda work: work.__name__)
def test_these_are_all_points_between_commits(customer: Customer, work: Work) -> None:
    """Count Delta's commits as well, so that a new one cannot go without a test."""
    deliver_fleet(customer.landing, MACHINES[:1])
    for machine in MACHINES[:2]:
        deliver_hours(customer, machine)
    if work is not pipeline.run:
        customer.run()
        deliver_fleet(customer.landing, MACHINES[:2])
        customer.delta(PARTIALS).delete()
        customer.delta(AGGREGATES).delete()
    lake = customer.folder / "lake"
    before = set(lake.glob("**/_delta_log/*.json"))
    points = CommitPoints()
    with pytest.MonkeyPatch.context() as patch:
        watch(points, patch)
        customer.run(work)
    assert points.passed == list(POINTS[work])
    commits = set(lake.glob("**/_delta_log/*.json")) - before
    in_delta = {"quarantine release", *(layout.folder for layout in LAYOUTS)}
    assert len(commits) == len([name for name in points.passed if name in in_delta])


@pytest.mark.timeout(1800)  # with KILLED_AT=all as many starts of Spark as there are points
@pytest.mark.xdist_group("killed")
def test_a_process_killed_anywhere_is_finished_by_the_next(customer: Customer) -> None:
    undisturbed, *killed = (beside(customer, name) for name in ("undisturbed", "even", "odd"))
    for each in (undisturbed, *killed):
        deliver_fleet(each.landing, MACHINES)
    for point in KILLED:
        deliver_hours(undisturbed, MACHINES[point])
    with ThreadPoolExecutor() as side_by_side:
        tuple(side_by_side.map(kill_at_each, killed, (KILLED[::2], KILLED[1::2])))
    for each in (undisturbed, *killed):
        each.run()
    even, odd, expected = map(state, (*killed, undisturbed))
    assert {name: sorted(even[name] + odd[name], key=str) for name in expected} == expected


def test_a_first_run_stopped_everywhere_comes_to_its_end(customer: Customer) -> None:
    undisturbed = beside(customer, "undisturbed")
    for each in (customer, undisturbed):
        deliver_fleet(each.landing, MACHINES[:1])
        deliver_hours(each, MACHINES[0])
    stop_everywhere(customer, pipeline.run)
    undisturbed.run()
    assert state(customer) == state(undisturbed)


def test_a_rebuild_stopped_everywhere_comes_to_its_end(customer: Customer) -> None:
    deliver_fleet(customer.landing, MACHINES[:1])
    deliver_hours(customer, MACHINES[0])
    customer.run()
    expected = state(customer)
    customer.delta(PARTIALS).update(set={"vibration_mms_mean": "99D"})
    customer.delta(AGGREGATES).delete()
    stop_everywhere(customer, pipeline.rebuild)
    assert state(customer) == expected


def test_a_replay_stopped_everywhere_comes_to_its_end(customer: Customer) -> None:
    undisturbed = beside(customer, "undisturbed")
    for each in (customer, undisturbed):
        for machine in MACHINES[:2]:
            deliver_hours(each, machine)
        deliver_fleet(each.landing, MACHINES[:1] if each is customer else MACHINES[:2])
        each.run()
    deliver_fleet(customer.landing, MACHINES[:2])
    stop_everywhere(customer, pipeline.replay)
    ours, theirs = state(customer), state(undisturbed)
    del ours[BRONZE.folder], theirs[BRONZE.folder]  # which says what became of a row when it arrived
    assert ours == theirs
