"""The Spark session: one set of settings, whether Spark runs on a laptop, a container or a cluster."""

import os
import sys
from pathlib import Path
from typing import Any, Final

from pyspark.sql import SparkSession
from pyspark.sql.types import StringType

from etl_job.delta_tables import AGGREGATES_SCHEMA, BRONZE_SCHEMA, SILVER_SCHEMA
from shared_code.settings import ROOT, JobSettings

LOGGING: Final = Path(__file__).parent / "log4j2.properties"
CLASS_ARCHIVE: Final = Path(sys.prefix) / "spark.jsa"
"""Java's archive of the classes that a run loads, made where Python's packages are installed."""

TEXT_COLUMNS: Final = sorted(
    {
        field.name
        for schema in (BRONZE_SCHEMA, SILVER_SCHEMA, AGGREGATES_SCHEMA)
        for field in schema
        if field.dataType == StringType()
    }
)

SESSION: Final = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    "spark.python.daemon.module": "etl_job.worker_daemon",
    # PySpark asks Java for the call site of every column operation; building our plans takes twice as long with it.
    "spark.python.sql.dataFrameDebugging.enabled": "false",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    # Delta keeps a table's state in 50 pieces by default; ours are small.
    "spark.databricks.delta.snapshotPartitions": "2",
    # Files of a batch are looked up by so many tasks, not by one for each of a thousand files.
    "spark.sql.sources.parallelPartitionDiscovery.parallelism": "8",
    # Parquet's dictionaries are for text; of measured numbers it would fill one, find it too large and start again.
    "spark.hadoop.parquet.enable.dictionary": "false",
    **{f"spark.hadoop.parquet.enable.dictionary#{name}": "true" for name in TEXT_COLUMNS},
    # A task writes a machine's days side by side; without this it would sort all its rows by date first.
    "spark.sql.maxConcurrentOutputFileWriters": "100",
    # Rows limit a batch on its way to Python; with a limit of bytes too, Spark would add up its size after every row.
    "spark.sql.execution.arrow.maxBytesPerBatch": str(2**31 - 1),
}

SMALL: Final = {
    # Compiling a plan to Java costs more than a few thousand rows save.
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
}


def start(settings: JobSettings, *, small: bool = False) -> SparkSession:
    """Return the running session, or start one.

    Args:
        settings: where Spark runs and with how much memory.
        small: the work is over before compiling pays, of plans to Java and of Java by its second compiler.
    """
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.Builder().appName("altaviz-etl")
    for key, value in {**SESSION, **(SMALL if small else {})}.items():
        builder = builder.config(key, value)
    # Executors find our modules where the driver does.
    modules = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    builder = builder.config("spark.executorEnv.PYTHONPATH", modules)
    java_options = _java_options(small=small)
    builder = builder.config("spark.executor.extraJavaOptions", " ".join(java_options))
    if "PYSPARK_GATEWAY_PORT" not in os.environ:  # else spark-submit or a platform has started Java, and knows where
        driver_options = [*java_options, *_class_archive(), settings.java_options]
        builder = builder.master(settings.master)
        builder = builder.config("spark.driver.memory", settings.driver_memory)
        builder = builder.config("spark.driver.extraJavaOptions", " ".join(driver_options))
        if settings.master.startswith("local"):
            os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    return session


def _java_options(*, small: bool) -> list[str]:
    # Wide tables make long methods, and Java would interpret those for ever.
    options = [f"-Dlog4j2.configurationFile={LOGGING.as_uri()}", "-XX:-DontCompileHugeMethods"]
    return [*options, "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"] if small else options


def _class_archive() -> list[str]:
    """Java checks that the archive fits it, which it does the driver, and goes on without where it does not."""
    if not CLASS_ARCHIVE.exists():
        return []
    return [f'"-XX:SharedArchiveFile={CLASS_ARCHIVE}"', "-Xlog:cds=off", "-Xlog:cds+dynamic=off"]


def stop(session: SparkSession) -> None:
    """End the session and wait for its Java process, so that nothing is left running.

    Where spark-submit or a platform started Java, both are theirs to end.
    """
    context: Any = session.sparkContext
    gateway = context._gateway  # noqa: SLF001 - who started Java must see it end
    process = getattr(gateway, "proc", None)
    if process is None:
        return
    session.stop()
    gateway.shutdown()
    process.stdin.close()
    process.wait()
    type(context)._gateway = type(context)._jvm = None  # noqa: SLF001 - so that a next session starts a new one
