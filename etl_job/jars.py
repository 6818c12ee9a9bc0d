"""`python -m etl_job.jars`: fetches Delta's jars once and puts them beside Spark's own.

Spark's resolver fetches the pinned packages below and nothing they would pull in beside them, because Spark carries
those already. From then on a session starts without resolving anything, offline too.
"""

import shutil
import tempfile
from pathlib import Path

import pyspark
from pyspark.sql import SparkSession

PACKAGES = (
    "io.delta:delta-spark_2.13:4.4.0",
    "io.delta:delta-storage:4.4.0",
    "io.delta:delta-kernel-api:4.4.0",
    "io.delta:delta-kernel-defaults:4.4.0",
    "io.delta:delta-kernel-unitycatalog:4.4.0",
    "io.unitycatalog:unitycatalog-client:0.6.0",
    "io.unitycatalog:unitycatalog-hadoop:0.6.0",
)
CARRIED_BY_SPARK = ("com.*:*", "commons*:*", "dev.*:*", "jakarta.*:*", "javax.*:*", "net.*:*", "org.*:*")
SPARK_JARS = Path(pyspark.__file__).parent / "jars"
