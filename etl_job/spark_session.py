"""The Spark session: one set of settings, whether Spark runs on a laptop, a container or a cluster."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from pyspark.sql import SparkSession

from shared_code.settings import HOME, ROOT, JobSettings

LOGGING: Final = Path(__file__).parent / "log4j2.properties"
CLASS_ARCHIVE: Final = HOME / "spark.jsa"
"""Java's archive of the classes that a run loads; `make bench` and the container image make it."""

SESSION: Final = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    "spark.python.daemon.module": "etl_job.worker_daemon",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    # Delta keeps a table's state in 50 pieces by default; ours are small.
    "spark.databricks.delta.snapshotPartitions": "2",
    # A landing file may be large: hand the decoder a few at a time, not ten thousand.
    "spark.sql.execution.arrow.maxRecordsPerBatch": "4",
}


def start(settings: JobSettings, *, small: bool = False) -> SparkSession:
    """Return the running session, or start one.

    Args:
        settings: where Spark runs and with how much memory.
        small: the work is over before Java's optimizing compiler pays; leave that out.
    """
    # Executors' Python is the driver's, and finds our modules where the driver's does.
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.Builder().appName("altaviz-etl")
    if "SPARK_ENV_LOADED" not in os.environ:  # spark-submit has chosen the master already
        builder = builder.master(settings.master)
    if settings.master.startswith("local"):
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    for key, value in SESSION.items():
        builder = builder.config(key, value)
    builder = builder.config("spark.driver.memory", settings.driver_memory)
    builder = builder.config(
        "spark.driver.extraJavaOptions", " ".join([*_java_options(small=small), settings.java_options])
    )
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    return session


def _java_options(*, small: bool) -> list[str]:
    options = [f"-Dlog4j2.configurationFile={LOGGING.as_uri()}"]
    # PySpark asks Java for the call site of every column operation; building our plans takes twice as long with it.
    options.append("-Dspark.python.sql.dataFrameDebugging.enabled=false")
    if small:
        options += ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
    if CLASS_ARCHIVE.exists():
        # Java checks that the archive fits it and goes on without where it does not.
        options += [f'"-XX:SharedArchiveFile={CLASS_ARCHIVE}"', "-Xlog:cds=off", "-Xlog:cds+dynamic=off"]
    return options


def existing(session: SparkSession, paths: Iterable[str]) -> list[str]:
    """Return, fully qualified, those of the paths that are there, on whatever file system Spark reaches."""
    context: Any = session.sparkContext
    configuration = context._jsc.hadoopConfiguration()  # noqa: SLF001 - the only way to Hadoop's file systems
    found: list[str] = []
    for given in paths:
        path = context._jvm.org.apache.hadoop.fs.Path(given)  # noqa: SLF001 - likewise
        system = path.getFileSystem(configuration)
        if system.exists(path):
            found.append(system.makeQualified(path).toString())
    return found


def stop(session: SparkSession) -> None:
    """End the session and wait for its Java process, so that nothing is left running."""
    context: Any = session.sparkContext
    gateway = context._gateway  # noqa: SLF001 - who started Java must see it end
    session.stop()
    process = getattr(gateway, "proc", None)
    if process is not None:
        gateway.shutdown()
        process.stdin.close()
        process.wait()
        type(context)._gateway = type(context)._jvm = None  # noqa: SLF001 - so that a next session starts a new one
