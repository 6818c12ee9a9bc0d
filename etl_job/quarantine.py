"""What was put aside, tried again: rows and files that the rules, as they are now, let through leave quarantine.

A row is tried from its raw text and a file from its bytes, both kept when they were put aside. They keep the name and
time of their delivery, so that what has been corrected since is not undone.
"""

from functools import partial
from typing import Final

from delta.tables import DeltaTable
from pyspark.sql import DataFrame
from pyspark.sql import functions as f
from pyspark.sql.types import BooleanType, StructField, StructType

from etl_job.clean import CONFLICTING
from etl_job.decode import UNREADABLE, Rules, redecode_batches
from etl_job.delta_tables import BRONZE, QUARANTINE, Lake

RETRIED_SCHEMA: Final = StructType([*BRONZE.schema, StructField("was_file", BooleanType())])
FINAL: Final = (CONFLICTING, "doubled_column")
"""Problems that no mend takes away: another row overruled this one, or the file said two things of one field."""
NEEDED: Final = ("source_file", "delivered_at", "row_number", "raw", "content")


def mended(lake: Lake, rules: Rules, batch_id: str) -> DataFrame:
    """Return what can go on now, in Bronze's schema with `was_file`.

    A file that was put aside whole comes with all its rows, good or bad, once it can be read.
    """
    known = lake.spark.sparkContext.broadcast(rules)
    tried = ~f.col("problem").isin(*FINAL) & f.coalesce(f.col("raw").cast("binary"), "content").isNotNull()
    aside = lake.read(QUARANTINE).where(tried)
    retried = aside.select(*NEEDED).mapInArrow(
        partial(redecode_batches, rules=known, batch_id=batch_id), RETRIED_SCHEMA
    )
    return retried.where(f.col("problem").isNull() | (f.col("was_file") & (f.col("problem") != UNREADABLE)))


def release(lake: Lake, gone_on: DataFrame) -> None:
    """Take out of quarantine what has gone on; bad rows of a file that could be read at last stay, now one by one."""
    if not lake.exists(QUARANTINE):
        return
    row_number = f.when(~f.col("was_file"), f.col("row_number")).alias("row_number")
    places = gone_on.select("source_file", "delivered_at", row_number).distinct()
    same_place = " AND ".join(f"aside.{name} <=> gone.{name}" for name in places.columns)
    (
        DeltaTable.forPath(lake.spark, lake.path(QUARANTINE))
        .alias("aside")
        .merge(places.alias("gone"), f"{same_place} AND aside.problem <> '{CONFLICTING}'")
        .whenMatchedDelete()
        .execute()
    )
