"""Bronze to Silver: who a row belongs to, which of several rows for one instant counts, and what is doubtful.

The rule for several rows with the same organization, compressor and timestamp: the one from the file delivered last
counts (then the greater path, then the later row). One that says the same is `repeated`; one that says something
else goes to quarantine as `conflicting_duplicate`.
"""

from collections.abc import Iterable
from datetime import date, timedelta
from functools import reduce
from operator import add
from typing import Final

from pyspark.sql import Column, DataFrame, Window, WindowSpec
from pyspark.sql import functions as f

from etl_job import quality
from etl_job.delta_tables import SILVER_SCHEMA
from shared_code.readings import COMPRESSOR, OPERATING_HOURS, ORGANIZATION, SENSOR_FIELDS, TIMESTAMP
from shared_code.thresholds import Thresholds

SAID: Final = (*SENSOR_FIELDS, OPERATING_HOURS)
PROVENANCE: Final = ("delivered_at", "source_file", "row_number")
CARRIED: Final = (ORGANIZATION, COMPRESSOR, TIMESTAMP, "date", *SAID, "unparsed_fields", "note", *PROVENANCE)

KEPT: Final = "kept"
REPEATED: Final = "repeated"
CONFLICTING: Final = "conflicting_duplicate"
SAME_ROW: Final = "same_row"


def its_instant() -> WindowSpec:
    """Return the window of the rows for one machine and timestamp; sorted as the windows of `quality` are."""
    return Window.partitionBy(ORGANIZATION, COMPRESSOR, "date", TIMESTAMP)


def by_precedence() -> WindowSpec:
    """Return the same window with the row that counts last."""
    return its_instant().orderBy(*PROVENANCE, "arrived")


def with_owner(rows: DataFrame, default_organization: str | None) -> DataFrame:
    """Give rows that name no organization to the default one, and every row its UTC date."""
    owner = f.coalesce(f.col(ORGANIZATION), f.lit(default_organization))
    kept = [name for name in rows.columns if name != ORGANIZATION]
    return rows.select(owner.alias(ORGANIZATION), *kept, f.to_date(TIMESTAMP).alias("date"))


def arrived(rows: DataFrame) -> DataFrame:
    """Return a batch's accepted rows, ready to meet those that Silver holds."""
    accepted = rows.where(f.col("problem").isNull())
    return accepted.select(
        *(f.map_keys("unparsed").alias(name) if name == "unparsed_fields" else f.col(name) for name in CARRIED),
        f.lit(col=True).alias("arrived"),
        f.lit(None).cast("long").alias("stored_hash"),
        f.lit(None).cast("string").alias("stored_by"),
    )


def stored(silver: DataFrame, dates: Iterable[date], machines: DataFrame) -> DataFrame:
    """Return Silver's rows that new readings on these dates may change, and those that judging them needs.

    A flag depends on the machine's own day and on the readings next to it. So a reading may change the flags of its
    own day and of its neighbours across midnight, and those have days and neighbours of their own.
    """
    texts = f.array_compact(
        f.array(*(f.when(f.col(f"{field}_flag") == "not_a_number", f.lit(field)) for field in SENSOR_FIELDS))
    )
    return (
        silver.where(f.col("date").isin(days_around(dates, 2)))
        .join(f.broadcast(machines), [ORGANIZATION, COMPRESSOR], "left_semi")
        .select(
            *(texts.alias(name) if name == "unparsed_fields" else f.col(name) for name in CARRIED),
            f.lit(col=False).alias("arrived"),
            _content_hash().alias("stored_hash"),
            f.col("batch_id").alias("stored_by"),
        )
    )


def days_around(dates: Iterable[date], reach: int) -> list[date]:
    """Return the dates and those up to `reach` days from one of them, in order."""
    return sorted({day + timedelta(days=step) for day in dates for step in range(-reach, reach + 1)})


def _content_hash() -> Column:
    """A number that changes with anything Silver says about a reading."""
    return f.xxhash64(*(name for name in SILVER_SCHEMA.names if name != "batch_id"))


def with_outcome(rows: DataFrame, batch_id: str) -> DataFrame:
    """Say which row counts for its instant and what becomes of the others.

    Adds `outcome`, and `confirms`: whether a row that counts only says again what an earlier batch stored.
    """
    words = f.xxhash64(*SAID)
    outcome = (
        f.when(_next("arrived").isNull(), KEPT)
        .when(_equal_next(PROVENANCE), SAME_ROW)
        .when(_equal_next(SAID), REPEATED)
        .otherwise(CONFLICTING)
    )
    before = f.max(f.when(f.col("stored_by") != batch_id, words)).over(its_instant())
    return rows.select("*", outcome.alias("outcome"), f.coalesce(before == words, f.lit(col=False)).alias("confirms"))


def _next(column: str) -> Column:
    return f.lead(column).over(by_precedence())


def _equal_next(columns: Iterable[str]) -> Column:
    equal = f.lit(col=True)
    for column in columns:
        equal = equal & _next(column).eqNullSafe(f.col(column))
    return equal


def outcome_counts() -> list[Column]:
    """Return what to count over rows with an outcome: each row that arrived falls under exactly one."""
    counted = {
        "written": (f.col("outcome") == KEPT) & ~f.col("confirms"),
        "repeated": f.col("outcome").isin(REPEATED, SAME_ROW) | ((f.col("outcome") == KEPT) & f.col("confirms")),
        "conflicting": f.col("outcome") == CONFLICTING,
    }
    return [
        *(f.count_if(f.col("arrived") & condition).alias(name) for name, condition in counted.items()),
        f.count_if(~f.col("arrived") & (f.col("outcome") == CONFLICTING)).alias("superseded"),
    ]


def conflicting(rows: DataFrame, batch_id: str) -> DataFrame:
    """Return the rows that another one for the same instant overruled, as they go to quarantine."""
    overruled = rows.where(f.col("outcome") == CONFLICTING)
    carried = [name for name in CARRIED if name not in {"date", "unparsed_fields"}]
    return overruled.select(*carried, f.lit(batch_id).alias("batch_id"), f.lit(CONFLICTING).alias("problem"))


def judged(rows: DataFrame, limits: Thresholds, batch_id: str) -> DataFrame:
    """Return the rows that count, each doubt flagged, as Silver rows with `arrived` and `stored_hash` beside them."""
    flagged = quality.flag(rows.where(f.col("outcome") == KEPT), limits)
    written = [f.lit(batch_id).alias(name) if name == "batch_id" else f.col(name) for name in SILVER_SCHEMA.names]
    return flagged.select(*written, "arrived", "stored_hash")


def changed(judged_rows: DataFrame, dates: Iterable[date]) -> DataFrame:
    """Return the rows that Silver does not hold yet, or holds otherwise.

    Rows on the outermost dates were read only as neighbours; what stands there is not judged anew.
    """
    differs = f.col("stored_hash").isNull() | (f.col("stored_hash") != _content_hash())
    return judged_rows.where(f.col("date").isin(days_around(dates, 1)) & differs)


def silver_rows(rows: DataFrame) -> DataFrame:
    """Return the rows in Silver's schema."""
    return rows.select(*SILVER_SCHEMA.names)


def flag_counts() -> list[Column]:
    """Return what to count over judged rows: each named flag, a value at a time, among rows that arrived."""
    flags = {name: reduce(add, (_is(field, name) for field in SENSOR_FIELDS)) for name in quality.VALUE_FLAGS}
    clock = f.col("clock_flag").isNotNull()
    doubted = reduce(Column.__or__, (f.col(f"{field}_flag").isNotNull() for field in SENSOR_FIELDS), clock)
    return [
        *(f.sum(f.when(f.col("arrived"), count)).alias(name) for name, count in flags.items()),
        f.count_if(f.col("arrived") & clock).alias(quality.CLOCK_FLAG),
        f.count_if(f.col("arrived") & doubted).alias("rows"),
    ]


def _is(field: str, flag: str) -> Column:
    return f.coalesce(f.col(f"{field}_flag") == flag, f.lit(col=False)).cast("int")
