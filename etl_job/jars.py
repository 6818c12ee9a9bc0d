"""`python -m etl_job.jars`: fetches Delta's jars once and puts them beside Spark's own.

Spark's own resolver fetches the packages below, checked against their published checksums, and nothing they would
pull in: Spark carries those already. From then on a session starts without resolving anything, offline too.
"""

import shutil
import tempfile
from pathlib import Path
from typing import Final

import pyspark
from pyspark.sql import SparkSession

from etl_job import spark_session

PACKAGES: Final = (
    "io.delta:delta-spark_2.13:4.4.0",
    "io.delta:delta-storage:4.4.0",
    "io.delta:delta-kernel-api:4.4.0",
    "io.delta:delta-kernel-defaults:4.4.0",
    "io.delta:delta-kernel-unitycatalog:4.4.0",
    "io.unitycatalog:unitycatalog-client:0.6.0",
    "io.unitycatalog:unitycatalog-hadoop:0.6.0",
)
CARRIED_BY_SPARK: Final = ("com.*:*", "commons*:*", "dev.*:*", "jakarta.*:*", "javax.*:*", "net.*:*", "org.*:*")
SPARK_JARS: Final = Path(pyspark.__file__).parent / "jars"


def file_name(package: str) -> str:
    """Return the name under which a package stands beside Spark's jars."""
    group, artifact, version = package.split(":")
    return f"{group}_{artifact}-{version}.jar"


def missing() -> list[str]:
    """Return the packages that are not there yet."""
    return [package for package in PACKAGES if not (SPARK_JARS / file_name(package)).exists()]


def fetch() -> None:
    """Fetch what is missing; the resolver works in a folder of its own that is thrown away."""
    with tempfile.TemporaryDirectory() as folder:
        resolver = SparkSession.Builder().master("local[1]").config("spark.ui.enabled", "false")
        resolver = resolver.config("spark.jars.packages", ",".join(PACKAGES))
        resolver = resolver.config("spark.jars.excludes", ",".join(CARRIED_BY_SPARK))
        spark_session.stop(resolver.config("spark.jars.ivy", folder).getOrCreate())
        for package in PACKAGES:
            arriving = SPARK_JARS / f".{file_name(package)}"
            shutil.copyfile(Path(folder) / "jars" / file_name(package), arriving)
            arriving.rename(SPARK_JARS / file_name(package))


if __name__ == "__main__" and missing():
    fetch()
