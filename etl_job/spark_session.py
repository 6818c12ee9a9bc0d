"""The Spark session: one set of settings, whether Spark runs on a laptop, a container or a cluster."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from pyspark.sql import SparkSession

from shared_code.errors import SettingsError
from shared_code.settings import ROOT, JobSettings

OLDEST_JAVA: Final = 17

SESSION: Final = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    # Delta keeps a table's state in 50 pieces by default; ours are small.
    "spark.databricks.delta.snapshotPartitions": "2",
    # A landing file may be large: hand the decoder a few at a time, not ten thousand.
    "spark.sql.execution.arrow.maxRecordsPerBatch": "4",
}


def check_java() -> None:
    """Make sure that there is a Java that Spark can run on.

    Raises:
        SettingsError: there is none, or it is too old; the sentence says what to install.
    """
    home = os.environ.get("JAVA_HOME")
    program = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    found = "none was found"
    if program and Path(program).exists():
        said = subprocess.run([program, "-version"], check=False, capture_output=True, text=True)  # noqa: S603 - asks java for its version
        version = re.search(r'version "(?:1\.)?(\d+)', said.stderr + said.stdout)
        if version and int(version.group(1)) >= OLDEST_JAVA:
            return
        found = f"{program} is version {version.group(1)}" if version else f"{program} does not work"
    raise SettingsError(f"Spark needs Java {OLDEST_JAVA} or newer ({found}): install a JDK such as openjdk-17-jre-headless")


def start(settings: JobSettings, *, java_options: str = "") -> SparkSession:
    """Return the running session, or start one."""
    # Executors' Python finds our modules where the driver's does.
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    if settings.master.startswith("local"):
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    builder = SparkSession.Builder().appName("altaviz-etl")
    if "SPARK_ENV_LOADED" not in os.environ:
        builder = builder.master(settings.master)
    for key, value in SESSION.items():
        builder = builder.config(key, value)
    session = (
        builder.config("spark.driver.memory", settings.driver_memory)
        .config("spark.driver.extraJavaOptions", java_options)
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("ERROR")
    return session


def stop(session: SparkSession) -> None:
    """End the session and wait for its Java process, so that nothing is left running."""
    gateway = session.sparkContext._gateway  # pyright: ignore[reportPrivateUsage]
    session.stop()
    process = getattr(gateway, "proc", None)
    if process is not None:
        gateway.shutdown()
        process.stdin.close()
        process.wait()
