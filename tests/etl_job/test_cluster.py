"""The same program on a real Spark cluster: a master and two workers, each a process of its own, on loopback."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pyspark
import pytest

from shared_code.database.demo import DEMO_ORGANIZATION
from shared_code.database.home import open_database
from shared_code.settings import DatabaseSettings, read
from tests.etl_job.customer import Customer, Key, Row, published
from tests.factories.landing import HOUR, MONDAY, deliver, deliver_fleet, readings

ROOT = Path(__file__).resolve().parents[2]
SPARK_HOME = Path(pyspark.__file__).parent
DAY = timedelta(days=1)
MACHINES = ["COMP-001", "COMP-002", "COMP-003", "COMP-004"]
PATIENCE = 60.0
"""Seconds that a cluster may take to stand."""

SPARK_DEFAULTS = """\
spark.master.rest.enabled false
spark.executor.memory 700m
# Work begins when both executors are there, or one of them could do all of it.
spark.scheduler.minRegisteredResourcesRatio 1.0
spark.scheduler.maxRegisteredResourcesWaitingTime 120s
spark.eventLog.enabled true
spark.eventLog.dir file://{events}
spark.eventLog.rolling.enabled false
spark.eventLog.compress false
"""
# Its standard input held open keeps a daemon alive: when this process closes it, or dies, all that it started dies.
UNTIL_LET_GO = '"$@" & cat; kill -KILL 0'


@dataclass(frozen=True, slots=True)
class Cluster:
    folder: Path
    master: str
    environment: dict[str, str]

    @property
    def landing(self) -> Path:
        return self.folder / "landing"

    def run(self, *command: str, **environment: str) -> dict[str, Any]:
        """Run the job, started by a command, with a database of its own; return what it printed."""
        done = subprocess.run(  # noqa: S603 - our own program
            [*command, "--landing", str(self.landing), "--lake", f"file://{self.folder}/lake", "--json"],
            cwd=self.folder,
            env={**self.environment, "ALTAVIZ_DATABASE_DIR": str(self.folder / "database"), **environment},
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    def published(self) -> dict[Key, Row]:
        """Return the windows in the job's own database."""
        database = open_database(read(DatabaseSettings, data_dir=self.folder / "database"), now=MONDAY)
        try:
            return published(database, DEMO_ORGANIZATION)
        finally:
            database.dispose()

    def workers_at_work(self) -> list[set[str]]:
        """Return, for each run in turn, the workers whose executors finished a task."""
        runs: list[set[str]] = []
        for log in sorted((self.folder / "events").iterdir()):
            events = map(json.loads, log.read_text().splitlines())
            ended = [event for event in events if event["Event"] == "SparkListenerTaskEnd"]
            done = {
                event["Task Info"]["Executor ID"] for event in ended if event["Task End Reason"]["Reason"] == "Success"
            }
            executors = self.folder.glob(f"worker-*/{log.name}/*")
            runs.append({executor.parts[-3] for executor in executors if executor.name in done})
        return runs

    def java_commands(self) -> list[str]:
        """Return the command that started each executor, as its worker wrote it down."""
        return [log.read_text().splitlines()[0] for log in self.folder.glob("worker-*/app-*/*/stderr")]


@contextmanager
def daemon(folder: Path, name: str, environment: dict[str, str], *arguments: str) -> Generator[Path]:
    """Run a daemon of Spark's, in a process group with all that it starts; yield its log."""
    log = folder / f"{name}.log"
    command = [str(SPARK_HOME / "bin" / "spark-class"), *arguments, "--host", "127.0.0.1", "--webui-port", "0"]
    with (
        log.open("wb") as written,
        subprocess.Popen(  # noqa: S603 - Spark's own program
            ["/bin/sh", "-c", UNTIL_LET_GO, "sh", *command],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=written,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ),
    ):
        yield log


def wait_for(log: Path, pattern: str, *, times: int = 1) -> list[str]:
    """Return what a pattern finds in a log, as soon as it is there so many times."""
    until = monotonic() + PATIENCE
    while len(found := re.findall(pattern, log.read_text())) < times:
        assert monotonic() < until, log.read_text()
        sleep(0.1)
    return found


@pytest.fixture
def cluster(tmp_path: Path) -> Generator[Cluster]:
    folder = tmp_path / "cluster"
    for name in ("conf", "events"):
        (folder / name).mkdir(parents=True)
    (folder / "conf" / "spark-defaults.conf").write_text(SPARK_DEFAULTS.format(events=folder / "events"))
    environment = {
        **{
            name: value for name, value in os.environ.items() if name != "PYTHONPATH"
        },  # the workers' has no part of ours
        "SPARK_HOME": str(SPARK_HOME),
        "SPARK_CONF_DIR": str(folder / "conf"),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_LOCAL_DIRS": str(folder / "scratch"),
        "SPARK_DAEMON_MEMORY": "256m",
        "SPARK_DAEMON_JAVA_OPTS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    }
    with ExitStack() as running:
        master = "org.apache.spark.deploy.master.Master", "--port", "0"
        log = running.enter_context(daemon(folder, "master", environment, *master))
        (url,) = wait_for(log, r"Starting Spark master at (spark://\S+)")
        for name in ("worker-1", "worker-2"):
            own = "--cores", "1", "--memory", "1g", "--work-dir", str(folder / name), url
            running.enter_context(daemon(folder, name, environment, "org.apache.spark.deploy.worker.Worker", *own))
        wait_for(log, "Registering worker", times=2)
        yield Cluster(folder, url, environment)


def deliver_a_day(landing: Path) -> None:
    deliver_fleet(landing, MACHINES)
    for place, machine in enumerate(MACHINES):
        deliver(landing, f"{machine}.parquet", readings(machine, count=48, shift=place / 10), at=MONDAY + DAY)


def deliver_late(landing: Path) -> None:
    late = readings("COMP-002", start=MONDAY - 2 * HOUR, count=9)
    deliver(landing, "late.parquet", late, at=MONDAY + DAY + HOUR)


def windows(of: dict[Key, Row]) -> dict[Key, Row]:
    """Return windows without what differs between two customers."""
    own = {"organization_id", "batch_id"}
    return {key: {name: value for name, value in row.items() if name not in own} for key, row in of.items()}


def test_a_cluster_of_two_workers_publishes_what_one_machine_does(cluster: Cluster, customer: Customer) -> None:
    both = (cluster.landing, customer.landing)
    for landing in both:
        deliver_a_day(landing)
    by_itself = {"SPARK_MASTER": cluster.master, "ETL_DRIVER_MEMORY": "1g", "PYTHONPATH": str(ROOT)}
    first = cluster.run(sys.executable, "-m", "etl_job", **by_itself)
    assert first == first | {"rows_read": 192, "rows_written": 192, "windows_published": 96}
    customer.run()
    assert windows(cluster.published()) == windows(customer.published())

    for landing in both:
        deliver_late(landing)
    options = ["--master", cluster.master, "--driver-memory", "1g", "--driver-java-options", "-XX:TieredStopAtLevel=1"]
    program = [str(SPARK_HOME / "bin" / "spark-submit"), *options, str(ROOT / "etl_job" / "__main__.py")]
    second = cluster.run(*program, PYSPARK_PYTHON=sys.executable, PYTHONPATH=str(ROOT))
    assert second == second | {"files_read": 1, "rows_read": 9, "rows_written": 9}
    customer.run()
    assert windows(cluster.published()) == windows(customer.published())

    assert cluster.workers_at_work() == [{"worker-1", "worker-2"}] * 2
    assert all("-XX:-DontCompileHugeMethods" in command for command in cluster.java_commands())
