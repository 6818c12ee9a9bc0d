"""Prediction, in Spark: which machines have to be judged anew, from which day on, and what comes out of it.

A machine is judged by whole UTC days: each by a baseline of the days before it, which are kept. So an hour's run judges
today, and a late reading its own day and all that came after.
"""

# Arrow's stubs leave its arrays untyped:
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeArgument=false, reportCallIssue=false
# pyright: reportArgumentType=false

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as f
from pyspark.sql.types import LongType, StructField, StructType

from etl_job.arrays import INSTANT, Groups, arrow_schema, booleans, or_null
from etl_job.delta_tables import MACHINE_DAYS_SCHEMA, PREDICTIONS_SCHEMA, TEXT
from etl_job.prediction.baseline import LOOK_BACK_DAYS, Day
from etl_job.prediction.hours import CHANNELS, COLUMNS, hours_of
from etl_job.prediction.residuals import HEALTH, REACH, SIGNALS
from etl_job.prediction.score import DAY, OTHER, Model, Scored, score
from shared_code.arrays import HOUR_US, codes, floats, integers
from shared_code.readings import COMPRESSOR, ORGANIZATION

MACHINE: Final = [ORGANIZATION, COMPRESSOR]
REACH_DAYS: Final = REACH // DAY + 1
"""Of hours before the first day that is judged; one more than needed, for power is also looked at an hour before."""
RESETS_DAYS: Final = LOOK_BACK_DAYS + REACH_DAYS
"""Before a day; maintenance that is older changes nothing of it."""
MACHINES_SCHEMA: Final = StructType(
    [
        StructField(ORGANIZATION, TEXT),
        StructField(COMPRESSOR, TEXT),
        StructField("model", TEXT),
        StructField("resets", TEXT),
    ]
)
"""What SQL knows of machines; `resets` are the hours since 1970, in order, at which maintenance made another machine
of it, with commas."""
FOUND_SCHEMA: Final = StructType(
    [*PREDICTIONS_SCHEMA, *(field for field in MACHINE_DAYS_SCHEMA if field.name not in PREDICTIONS_SCHEMA.names)]
)
"""A prediction, or, without `predicted_at`, what is kept of a day."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What is known of a machine but its hours."""

    organization_id: str
    compressor_id: str
    model: str
    resets: Sequence[int]
    since: int
    """The first hour to judge, the first of a UTC day."""


def changed_since(partials: DataFrame, batch_id: str) -> DataFrame:
    """Return each machine of which this batch wrote an hour, and the first such hour's day as `since`."""
    ours = partials.where(f.col("batch_id") == batch_id)
    return ours.groupBy(*MACHINE).agg(f.min("date").alias("since"))


def with_facts(machines: DataFrame, facts: DataFrame, days: DataFrame) -> DataFrame:
    """Return the machines with what SQL knows of them, `since` a day before which nothing has changed.

    Args:
        machines: with the day from which on their hours have changed.
        facts: rows of MACHINES_SCHEMA, of all machines.
        days: all that is kept; one whose maintenance was another then is judged anew.
    """
    known = machines.join(f.broadcast(facts), MACHINE)
    told = known.withColumnRenamed("resets", "told")
    day = f.unix_date("date")
    of_day = f.array_join(
        f.filter(
            f.split("told", ","),
            # Of no maintenance the text is empty, which is no number.
            lambda hour: (
                (hour.try_cast(LongType()) < (day + 1) * DAY) & (hour.try_cast(LongType()) >= (day - RESETS_DAYS) * DAY)
            ),
        ),
        ",",
    )
    stale = (
        days.join(f.broadcast(told), MACHINE)
        .where(f.col("resets") != of_day)
        .groupBy(*MACHINE)
        .agg(f.min("date").alias("stale"))
    )
    joined = known.join(f.broadcast(stale), MACHINE, "left")
    return joined.select(*MACHINE, "model", "resets", f.least("since", "stale").alias("since"))


def first_day(machines: DataFrame) -> date | None:
    """Return the first UTC day that is judged; None without machines."""
    (row,) = machines.agg(f.min("since").alias("day")).collect()
    return row["day"]


def judge(
    machines: DataFrame,
    partials: DataFrame,
    days: DataFrame,
    models: Mapping[str, Model],
    *,
    readings_an_hour: int,
    batch_id: str,
) -> DataFrame:
    """Return predictions and days of these machines from their `since` on, rows of FOUND_SCHEMA.

    Args:
        machines: from `with_facts`.
        partials: of all machines, at least from REACH_DAYS before the first day on.
        days: what is kept, at least from LOOK_BACK_DAYS before the first day on.
        models: by machine model.
        readings_an_hour: how many a machine should send.
        batch_id: of the batch that judges.
    """

    def judge_machines(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        received = list(batches)
        if received:
            found = judged(pa.Table.from_batches(received), models, readings_an_hour, batch_id)
            yield from found.to_batches(max_chunksize=10_000)

    whose = f.broadcast(machines.select(*MACHINE, "since"))
    near = partials.join(whose, MACHINE).where(f.col("date") >= f.date_sub("since", REACH_DAYS))
    before = days.join(whose, MACHINE).where(
        (f.col("date") < f.col("since")) & (f.col("date") >= f.date_sub("since", LOOK_BACK_DAYS))
    )
    rows = (
        machines.unionByName(near.select(*MACHINE, *COLUMNS), allowMissingColumns=True)
        .unionByName(before.select(*MACHINE, "date", *SIGNALS, "approved"), allowMissingColumns=True)
        .repartition(*MACHINE)
    )
    return rows.mapInArrow(judge_machines, FOUND_SCHEMA)


def judged(rows: pa.Table, models: Mapping[str, Model], readings_an_hour: int, batch_id: str) -> pa.Table:
    """Judge whole machines, their rows in any order; see `judge`."""
    rows = rows.combine_chunks()
    machine = codes(rows.column(ORGANIZATION), rows.column(COMPRESSOR))
    order = np.argsort(machine, kind="stable")
    groups = Groups(machine[order])
    schema = arrow_schema(FOUND_SCHEMA)
    found = [schema.empty_table()]
    for first, last in zip(groups.first.tolist(), groups.last.tolist(), strict=True):
        of_one = rows.take(pa.array(order[first : last + 1]))
        hours = of_one.filter(of_one.column("hour").is_valid())
        (known,) = (
            of_one.filter(of_one.column("since").is_valid()).select([*MACHINE, "model", "resets", "since"]).to_pylist()
        )
        days = of_one.filter(of_one.column("date").is_valid())
        it = Machine(
            known[ORGANIZATION],
            known[COMPRESSOR],
            known["model"],
            [int(hour) for hour in known["resets"].split(",") if hour],
            (known["since"] - date(1970, 1, 1)).days * DAY,
        )
        if len(hours):
            model = models.get(it.model, models[OTHER])
            found += _of_one(it, hours, _days(days), model, readings_an_hour)
    table = pa.concat_tables(_complete(each, schema) for each in found)
    return table.set_column(schema.get_field_index("batch_id"), "batch_id", pa.repeat(batch_id, len(table)))


def _of_one(
    machine: Machine, partials: pa.Table, days: Sequence[Day], model: Model, readings_an_hour: int
) -> list[pa.Table]:
    heard = np.sort(integers(partials.column("hour")) // HOUR_US)
    heard = heard[heard >= machine.since]
    hours = hours_of(partials, readings_an_hour)
    until = hours.first + len(hours)
    found = score(hours, days, machine.resets, model, since=machine.since, until=until)
    at = heard - machine.since
    count = len(at)
    predictions = {
        ORGANIZATION: pa.repeat(machine.organization_id, count),
        COMPRESSOR: pa.repeat(machine.compressor_id, count),
        "predicted_at": pa.array((heard + 1) * HOUR_US, INSTANT),
        "date": pa.array((heard // DAY).astype(np.int32), pa.date32()),
        "model_version": pa.repeat(model.version, count),
        "health": or_null(found.health[at]),
        "threshold": pa.repeat(model.threshold, count),
        "failure_probability": or_null(found.probability[at]),
        "confidence": or_null(found.confidence[at]),
        "remaining_hours": or_null(found.bound[at]),
        "explanation": [_explanation(found, place) for place in at.tolist()],
    }
    kept = {
        ORGANIZATION: pa.repeat(machine.organization_id, len(found.days)),
        COMPRESSOR: pa.repeat(machine.compressor_id, len(found.days)),
        "date": pa.array([day.number for day in found.days], pa.int32()).cast(pa.date32()),
        **{name: or_null(np.array([day.means[place] for day in found.days])) for place, name in enumerate(SIGNALS)},
        "approved": pa.array([day.approved for day in found.days], pa.bool_()),
        "resets": pa.array([_resets(machine, day.number) for day in found.days], pa.string()),
    }
    return [pa.table(predictions), pa.table(kept)]


def _days(rows: pa.Table) -> list[Day]:
    """Return what was kept, in order."""
    number = integers(rows.column("date").cast(pa.int32()))
    means = np.column_stack([floats(rows.column(name)) for name in SIGNALS])
    approved = booleans(rows.column("approved"))
    return [Day(int(number[row]), means[row], bool(approved[row])) for row in np.argsort(number).tolist()]


def _resets(machine: Machine, day: int) -> str:
    of_day = (hour for hour in machine.resets if (day - RESETS_DAYS) * DAY <= hour < (day + 1) * DAY)
    return ",".join(map(str, of_day))


def _explanation(found: Scored, place: int) -> str:
    """Return, as JSON, what each sensor of health read and should have read, and how far off it is, in usual sizes."""
    channels: list[dict[str, Any]] = [
        {
            "sensor": sensor,
            "actual": _told(found.actual[place, number]),
            "expected": _told(found.expected[place, number]),
            "off": _told(found.off[place, number]),
            "spread_off": _told(found.off[place, number + len(HEALTH)]),
        }
        for number, sensor in enumerate(CHANNELS)
    ]
    return json.dumps({"channels": channels})


def _told(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 3)


def _complete(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return a table with all columns of a schema, those that it lacks empty."""
    columns = {
        field.name: table.column(field.name) if field.name in table.column_names else pa.nulls(len(table), field.type)
        for field in schema
    }
    return pa.table(columns, schema)


def published(predictions: DataFrame) -> DataFrame:
    """Return predictions as `ml_predictions` has them."""
    return predictions.select(
        *MACHINE,
        f.col("predicted_at").alias("prediction_timestamp"),
        "model_version",
        (f.col("remaining_hours") / DAY).alias("rul_days"),
        "failure_probability",
        f.col("confidence").alias("confidence_score"),
        f.col("explanation").alias("features_used"),
        "health",
        "threshold",
        "batch_id",
    )
