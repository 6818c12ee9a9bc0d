"""Bronze to Silver: who a row belongs to, which of several rows for one instant counts, and what is doubtful.

The rule for several rows with the same organization, compressor and timestamp: the one from the file delivered last
counts (then the greater path, then the later row). One that says the same is `repeated`; one that says something
else goes to quarantine as `conflicting_duplicate`.
"""

# Arrow's stubs leave its arrays untyped:
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeArgument=false, reportCallIssue=false
# pyright: reportArgumentType=false

from collections.abc import Iterable, Iterator
from functools import reduce
from operator import add, or_
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as f

from etl_job import quality
from etl_job.arrays import Groups, booleans, named, nulls, ranks
from etl_job.delta_tables import JUDGED_SCHEMA, SILVER_SCHEMA
from etl_job.extent import Extent
from shared_code.arrays import Booleans, codes, floats, integers
from shared_code.readings import COMPRESSOR, OPERATING_HOURS, ORGANIZATION, SENSOR_FIELDS, TIMESTAMP
from shared_code.thresholds import Thresholds

SAID: Final = (*SENSOR_FIELDS, OPERATING_HOURS)
PROVENANCE: Final = ("delivered_at", "source_file", "row_number")
CARRIED: Final = (ORGANIZATION, COMPRESSOR, TIMESTAMP, *SAID, "note", *PROVENANCE)

FLAGS: Final = (*(f"{field}_flag" for field in SENSOR_FIELDS), "clock_flag")
"""What Silver says of a reading beside what arrived."""

KEPT: Final = "kept"
REPEATED: Final = "repeated"
CONFLICTING: Final = "conflicting_duplicate"
SAME_ROW: Final = "same_row"
OUTCOMES: Final = (KEPT, REPEATED, CONFLICTING, SAME_ROW)


def with_owner(rows: DataFrame, default_organization: str | None) -> DataFrame:
    """Give rows that name no organization to the default one, and every row its UTC date."""
    owner = f.coalesce(f.col(ORGANIZATION), f.lit(default_organization))
    kept = [name for name in rows.columns if name != ORGANIZATION]
    return rows.select(owner.alias(ORGANIZATION), *kept, f.to_date(TIMESTAMP).alias("date"))


def accepted_date() -> Column:
    """The UTC date of a row that can go on."""
    return f.when(f.col("problem").isNull(), f.to_date(TIMESTAMP)).alias("date")


def accepted_machine() -> Column:
    """The compressor_id of a row that can go on."""
    return f.when(f.col("problem").isNull(), f.col(COMPRESSOR))


def arrival_counts() -> list[Column]:
    """Return what to count over Bronze rows."""
    return [
        f.count("*").alias("rows"),
        f.count_if(f.coalesce(f.col("row_number") == 0, f.lit(col=True))).alias("files"),
        f.count_if(f.col("problem").isNotNull() | f.col("note").isNotNull()).alias("remarkable"),
        *Extent.measures(accepted_date(), accepted_machine()),
    ]


def arrived(rows: DataFrame) -> DataFrame:
    """Return a batch's accepted rows, ready to meet those that Silver holds."""
    unparsed = f.map_keys("unparsed")
    return rows.where(f.col("problem").isNull()).select(
        *CARRIED,
        _marks({field: f.array_contains(unparsed, field) for field in SENSOR_FIELDS}).alias("unparsed"),
        f.lit(col=True).alias("arrived"),
        *(f.lit(None).cast("string").alias(flag) for flag in FLAGS),
        f.lit(None).cast("string").alias("stored_by"),
    )


def stored(silver: DataFrame, extent: Extent, machines: DataFrame) -> DataFrame:
    """Return Silver's rows that new readings of these machines may change, and those that judging them needs.

    A flag depends on the machine's own day and on the readings next to it. So a reading may change the flags of its
    own day and of its neighbours across midnight, and those have days and neighbours of their own.
    """
    return (
        silver.where(extent.around(2))
        .join(f.broadcast(machines), [ORGANIZATION, COMPRESSOR], "left_semi")
        .select(
            *CARRIED,
            f.lit(0).alias("unparsed"),
            f.lit(col=False).alias("arrived"),
            *FLAGS,
            f.col("batch_id").alias("stored_by"),
        )
    )


def _marks(conditions: dict[str, Column]) -> Column:
    """One number from yes-or-no columns: the sensor at place n of `SENSOR_FIELDS` is bit n."""
    bits = (f.when(conditions[field], 1 << place).otherwise(0) for place, field in enumerate(SENSOR_FIELDS))
    return reduce(add, bits)


def judge(rows: DataFrame, limits: Thresholds, batch_id: str) -> DataFrame:
    """Say of every row what becomes of it, and of those that count what is doubtful.

    Args:
        rows: from `arrived` and `stored`; of each machine all that its flags depend on.
        limits: from `config/thresholds.yaml`.
        batch_id: rows that this batch stored in an earlier attempt are not news from before.

    Returns:
        The rows that arrived, and of those that Silver holds the ones that come out otherwise, in the judged schema:
        Silver's, with `outcome`, with `news` where Silver does not hold a row that counts, or not so, and with
        `confirms` where one that counts only says again what an earlier batch stored.
    """

    def judge_machines(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        received = list(batches)
        if received:
            rows = judged(pa.Table.from_batches(received), limits, batch_id)
            yield from rows.filter(_matters(rows)).to_batches(max_chunksize=10_000)

    return rows.repartition(ORGANIZATION, COMPRESSOR).mapInArrow(judge_machines, JUDGED_SCHEMA)


def judged(rows: pa.Table, limits: Thresholds, batch_id: str) -> pa.Table:
    """Judge the rows of whole machines, in any order, and return them all; see `judge`."""
    rows = _in_order(rows.combine_chunks())
    machine, at = codes(rows.column(ORGANIZATION), rows.column(COMPRESSOR)), integers(rows.column(TIMESTAMP))
    instants = Groups(machine, at)
    outcomes = _outcomes(rows, instants)
    counts = outcomes == OUTCOMES.index(KEPT)
    judging = rows.select([*SAID, "unparsed", *FLAGS])
    kept = judging if counts.all() else judging.filter(pa.array(counts))
    texts = integers(kept.column("unparsed"))
    channels = {
        field: quality.Channel(
            floats(kept.column(field)),
            nulls(kept.column(field)),
            not_a_number=(texts & (1 << place) != 0)
            | booleans(pc.equal(kept.column(f"{field}_flag"), quality.NOT_A_NUMBER)),
        )
        for place, field in enumerate(SENSOR_FIELDS)
    }
    flags, clock = quality.flag(
        quality.Timeline(machine[counts], at[counts]), channels, floats(kept.column(OPERATING_HOURS)), limits
    )
    columns = {name: rows.column(name) for name in (*CARRIED, "arrived")}
    columns |= {f"{field}_flag": named(_among(counts, found), quality.VALUE_FLAGS) for field, found in flags.items()}
    columns["clock_flag"] = named(_among(counts, np.where(clock, 0, -1).astype(np.int8)), [quality.CLOCK_FLAG])
    same_flags = _equal(rows, pa.table({flag: columns[flag] for flag in FLAGS}), FLAGS)
    # What an earlier attempt at this batch wrote counts as written by this one.
    written = booleans(rows.column("arrived")) | booleans(pc.equal(rows.column("stored_by"), batch_id))
    columns["news"] = pa.array(counts & (written | ~same_flags))
    columns["outcome"] = named(outcomes, OUTCOMES)
    columns["confirms"] = pa.array(_confirms(rows, instants, batch_id))
    return pa.table({name: columns[name] for name in JUDGED_SCHEMA.names})


def _matters(rows: pa.Table) -> pa.Array:
    """Which judged rows have to be counted, written or put aside; of what Silver holds, most were read to compare."""
    overruled = booleans(pc.equal(rows.column("outcome"), CONFLICTING))
    return pa.array(booleans(rows.column("arrived")) | booleans(rows.column("news")) | overruled)


def _in_order(rows: pa.Table) -> pa.Table:
    """Sort by machine and time; of several rows for one instant the one that counts stands last."""
    machine, at = codes(rows.column(ORGANIZATION), rows.column(COMPRESSOR)), integers(rows.column(TIMESTAMP))
    order = np.lexsort((at, machine))
    instants = Groups(machine[order], at[order])
    several = np.flatnonzero(instants.sizes[instants.of] > 1)
    if len(several):
        meeting = rows.take(pa.array(order[several]))
        precedence = [integers(meeting.column("arrived")), integers(meeting.column("row_number"))]
        precedence += [ranks(meeting.column("source_file")), integers(meeting.column("delivered_at"))]
        order[several] = order[several][np.lexsort((*precedence, instants.of[several]))]
    return rows.take(pa.array(order)).combine_chunks()


def _outcomes(rows: pa.Table, instants: Groups) -> npt.NDArray[np.int8]:
    """Compare each row with the next one for its instant."""
    outcomes = np.full(rows.num_rows, OUTCOMES.index(KEPT), dtype=np.int8)
    loses = np.ones(rows.num_rows, dtype=bool)
    loses[instants.last] = False
    rows_that_lose = np.flatnonzero(loses)
    if len(rows_that_lose):
        this, following = (rows.take(pa.array(places)) for places in (rows_that_lose, rows_that_lose + 1))
        same_row, same_words = _equal(this, following, PROVENANCE), _equal(this, following, SAID)
        names = np.where(same_row, OUTCOMES.index(SAME_ROW), OUTCOMES.index(REPEATED))
        outcomes[rows_that_lose] = np.where(same_row | same_words, names, OUTCOMES.index(CONFLICTING))
    return outcomes


def _equal(these: pa.Table, those: pa.Table, names: Iterable[str]) -> Booleans:
    """Which rows are equal in every named column; NULL equals NULL, and NaN equals NaN."""
    return reduce(np.logical_and, (_equal_values(these.column(name), those.column(name)) for name in names))


def _equal_values(these: pa.ChunkedArray, those: pa.ChunkedArray) -> Booleans:
    equal = booleans(pc.equal(these, those)) | (nulls(these) & nulls(those))
    if pa.types.is_floating(these.type):
        equal |= booleans(pc.and_(pc.is_nan(these), pc.is_nan(those)))
    return equal


def _confirms(rows: pa.Table, instants: Groups, batch_id: str) -> Booleans:
    """Which rows say again what an earlier batch had stored for the instant."""
    confirms = np.zeros(rows.num_rows, dtype=bool)
    earlier = booleans(pc.not_equal(rows.column("stored_by"), batch_id))
    before = np.flatnonzero(earlier)
    counting = instants.last[instants.of[before]]
    if len(before):
        same = _equal(rows.take(pa.array(before)), rows.take(pa.array(counting)), SAID)
        confirms[counting[same]] = True
    return confirms


def _among(counts: Booleans, flags: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
    """Put flags of the rows that count among all rows."""
    spread = np.full(len(counts), quality.NO_FLAG, dtype=np.int8)
    spread[counts] = flags
    return spread


def counts() -> list[Column]:
    """Return what to count over judged rows: outcomes, of which each row that arrived has one, and flags."""
    outcomes = {
        "written": (f.col("outcome") == KEPT) & ~f.col("confirms"),
        "repeated": f.col("outcome").isin(REPEATED, SAME_ROW) | ((f.col("outcome") == KEPT) & f.col("confirms")),
        "conflicting": f.col("outcome") == CONFLICTING,
    }
    flags = {name: reduce(add, (_is(field, name) for field in SENSOR_FIELDS)) for name in quality.VALUE_FLAGS}
    clock = f.col("clock_flag").isNotNull()
    doubted = reduce(or_, (f.col(f"{field}_flag").isNotNull() for field in SENSOR_FIELDS), clock)
    return [
        *(f.count_if(f.col("arrived") & condition).alias(name) for name, condition in outcomes.items()),
        f.count_if(~f.col("arrived") & (f.col("outcome") == CONFLICTING)).alias("superseded"),
        *(f.sum(f.when(f.col("arrived"), count)).alias(name) for name, count in flags.items()),
        f.count_if(f.col("arrived") & clock).alias(quality.CLOCK_FLAG),
        f.count_if(f.col("arrived") & doubted).alias("flagged"),
    ]


def news_extent() -> list[Column]:
    """Return the measures of the extent of judged rows that are news to Silver."""
    day, machine = (f.when(f.col("news"), column) for column in (f.to_date(TIMESTAMP), f.col(COMPRESSOR)))
    return Extent.measures(day, machine)


def _is(field: str, flag: str) -> Column:
    return f.coalesce(f.col(f"{field}_flag") == flag, f.lit(col=False)).cast("int")


def conflicting(judged_rows: DataFrame, batch_id: str) -> DataFrame:
    """Return the rows that another one for the same instant overruled, as they go to quarantine."""
    overruled = judged_rows.where(f.col("outcome") == CONFLICTING)
    return overruled.select(*CARRIED, f.lit(batch_id).alias("batch_id"), f.lit(CONFLICTING).alias("problem"))


def silver_rows(judged_rows: DataFrame, batch_id: str) -> DataFrame:
    """Return the rows that count, in Silver's schema."""
    made = {"date": f.to_date(TIMESTAMP), "batch_id": f.lit(batch_id)}
    return judged_rows.where(f.col("outcome") == KEPT).select(
        *(made[name].alias(name) if name in made else f.col(name) for name in SILVER_SCHEMA.names)
    )


def changed(judged_rows: DataFrame, extent: Extent) -> DataFrame:
    """Return the judged rows that are news to Silver.

    Rows on the outermost days were read only as neighbours; what stands there is not judged anew.
    """
    return judged_rows.where(f.to_date(TIMESTAMP).isin(extent.days_around(1)) & f.col("news"))
