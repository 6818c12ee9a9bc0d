"""Alarms, in Spark: which machines have to be judged anew, from when on, and what comes out of it."""

# Arrow's stubs leave its arrays untyped:
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeArgument=false, reportCallIssue=false
# pyright: reportArgumentType=false

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import Any, Final

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as f
from pyspark.sql.types import BooleanType, DoubleType, StringType, StructField, StructType, TimestampType

from etl_job.aggregate import usable_value
from etl_job.arrays import INSTANT, Groups, arrow_schema
from etl_job.delta_tables import ALARMS_SCHEMA
from shared_code import alarm_rules
from shared_code.alarm_rules import Episode, Readings
from shared_code.alarms import AlertType, Severity
from shared_code.arrays import codes, floats, integers
from shared_code.readings import COMPRESSOR, DISTANCE, ORGANIZATION, SENSOR_FIELDS, TIMESTAMP
from shared_code.settings import EARLIEST
from shared_code.thresholds import RuleChanges, Side, Thresholds

MACHINE: Final = [ORGANIZATION, COMPRESSOR]
OF_EPISODES: Final = tuple(name for name in ALARMS_SCHEMA.names if name not in {*MACHINE, "batch_id"})
INSTANTS: Final = frozenset(field.name for field in ALARMS_SCHEMA if isinstance(field.dataType, TimestampType))
FOUND_SCHEMA: Final = StructType(
    [
        *ALARMS_SCHEMA,
        StructField("gone", BooleanType()),
        StructField("alert_type", StringType()),
        StructField("severity", StringType()),
        StructField("sensor_name", StringType()),
        StructField("threshold_value", DoubleType()),
        StructField("message", StringType()),
        StructField("latched", BooleanType()),
        StructField("suppressed", BooleanType()),
    ]
)
"""An episode and what people are told of it, or one that was found before and is `gone`. Without a rule it says that
the machine was judged anew from `onset_at` on, and last heard at `latest_at`."""


def readings_from_the_start(silver: DataFrame, predictions: DataFrame) -> DataFrame:
    """Return the same as `readings`, of all machines, where nothing was judged before."""
    since = f.lit(EARLIEST).alias("since")
    return _judged_together(silver.select("*", since), predictions.select("*", since))


def _judged_together(silver: DataFrame, predictions: DataFrame) -> DataFrame:
    """Put readings, as far as statistics may use them, and distances from the usual self one below the other."""
    values = (usable_value(field).alias(field) for field in SENSOR_FIELDS)
    read = silver.select(*MACHINE, TIMESTAMP, "since", *values)
    distance = (f.col("health") / f.col("threshold")).alias(DISTANCE)
    foretold = predictions.where(f.col("health").isNotNull())
    told = foretold.select(*MACHINE, f.col("predicted_at").alias(TIMESTAMP), "since", distance)
    return read.unionByName(told, allowMissingColumns=True)


def changed_since(silver: DataFrame, batch_id: str) -> DataFrame:
    """Return each machine that has readings of this batch, and the first of them as `since`."""
    ours = silver.where(f.col("batch_id") == batch_id)
    return ours.groupBy(*MACHINE).agg(f.min(TIMESTAMP).alias("since"))


def all_since(silver: DataFrame, since: datetime) -> DataFrame:
    """Return every machine, and one instant for all."""
    return silver.select(*MACHINE).distinct().select("*", f.lit(since).alias("since"))


def no_later(machines: DataFrame, judged: DataFrame) -> DataFrame:
    """Return the machines; where predictions judged anew days before `since`, it is the first of them."""
    days = judged.select(*MACHINE, f.col("since").alias("day"))
    earlier = f.when(f.col("day") < f.to_date("since"), f.col("day").cast("timestamp")).otherwise(f.col("since"))
    return machines.join(f.broadcast(days), MACHINE, "left").select(*MACHINE, earlier.alias("since"))


def with_known(machines: DataFrame, alarms: DataFrame) -> DataFrame:
    """Return, of these machines, the episodes that are not over before `since`."""
    known = alarms.join(f.broadcast(machines), MACHINE)
    return known.where(f.col("cleared_at").isNull() | (f.col("cleared_at") >= f.col("since")))


def needed_from(machines: DataFrame, known: DataFrame) -> DataFrame:
    """Return the machines, with `needed_from`: the first instant whose readings judging them anew needs.

    That is a day before; for an episode whose peak or latest value is no longer certain, a day before its onset.
    """
    uncertain = known.where(f.greatest("peak_at", "latest_at") >= f.col("since"))
    onsets = uncertain.groupBy(*MACHINE).agg(f.min("onset_at").alias("onset_at"))
    joined = machines.join(f.broadcast(onsets), MACHINE, "left")
    day_before = f.least("onset_at", "since") - f.expr("INTERVAL 1 DAY")
    return joined.select(*MACHINE, "since", day_before.alias("needed_from"))


def first_day(machines: DataFrame) -> date | None:
    """Return the first UTC day that any of the machines needs; None without machines."""
    (row,) = machines.agg(f.to_date(f.min("needed_from")).alias("day")).collect()
    return row["day"]


def readings(silver: DataFrame, predictions: DataFrame, machines: DataFrame) -> DataFrame:
    """Return what is needed of the machines' readings, as far as statistics may use them, and of predictions."""
    near = silver.join(f.broadcast(machines), MACHINE).where(f.col(TIMESTAMP) >= f.col("needed_from"))
    told = predictions.join(f.broadcast(machines), MACHINE).where(f.col("predicted_at") >= f.col("needed_from"))
    return _judged_together(near, told)


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules for everybody, and what some organizations want otherwise, by organization and rule."""

    limits: Thresholds
    wanted: Mapping[str, Mapping[str, RuleChanges]]

    def of(self, organization_id: str) -> Thresholds:
        """Return the rules of an organization."""
        return self.limits.as_wanted(self.wanted.get(organization_id, {}))


def judge(needed: DataFrame, known: DataFrame, rules: Rules, batch_id: str) -> DataFrame:
    """Return the episodes of the machines from their `since` on.

    Args:
        needed: from `readings`.
        known: from `with_known`.
        rules: by which.
        batch_id: of the batch that judges.

    Returns:
        Rows of FOUND_SCHEMA.
    """

    def judge_machines(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        received = list(batches)
        if received:
            for found in judged_by_their_rules(pa.Table.from_batches(received), rules, batch_id):
                yield from found.to_batches()

    earlier = known.select(*MACHINE, "since", *OF_EPISODES)
    rows = needed.unionByName(earlier, allowMissingColumns=True)
    return rows.repartition(*MACHINE).mapInArrow(judge_machines, FOUND_SCHEMA)


def judged_by_their_rules(rows: pa.Table, rules: Rules, batch_id: str) -> Iterator[pa.Table]:
    """Judge whole machines of several organizations, each by its own rules; those that want nothing else together."""
    owners = rows.column(ORGANIZATION).combine_chunks().dictionary_encode()
    names = owners.dictionary.to_pylist()
    of_owner = [place if name in rules.wanted else -1 for place, name in enumerate(names)]
    own = np.array(of_owner, dtype=np.int64)[owners.indices.to_numpy()]
    order = np.argsort(own, kind="stable")
    groups = Groups(own[order])
    for first, last in zip(groups.first.tolist(), groups.last.tolist(), strict=True):
        place = int(own[order[first]])
        limits = rules.limits if place < 0 else rules.of(names[place])
        yield judged(rows.take(pa.array(order[first : last + 1])), limits, batch_id)


def judged(rows: pa.Table, limits: Thresholds, batch_id: str) -> pa.Table:
    """Judge whole machines, their readings and known episodes in any order; see `judge`."""
    rows = rows.combine_chunks()
    machine = codes(rows.column(ORGANIZATION), rows.column(COMPRESSOR))
    _, first, machine = np.unique(machine, return_index=True, return_inverse=True)
    machines = rows.select([*MACHINE, "since"]).take(pa.array(first))
    reads = np.flatnonzero(rows.column("rule").is_null().to_numpy())
    at = integers(rows.column(TIMESTAMP).take(pa.array(reads)))
    reads = reads[np.lexsort((at, machine[reads]))]
    taken = rows.take(pa.array(reads))
    of, at = machine[reads], integers(taken.column(TIMESTAMP))
    sensors = {field: floats(taken.column(field)) for field in (*SENSOR_FIELDS, DISTANCE)}
    channels = alarm_rules.with_derived(of, at, sensors, limits)
    known = _episodes(rows, machine)
    found = alarm_rules.judge(Readings(of, at, channels, integers(machines.column("since"))), limits, known)
    there = {(episode.machine, episode.rule, episode.raised_at) for episode in found}
    gone = [episode for episode in known if (episode.machine, episode.rule, episode.raised_at) not in there]
    last = np.zeros(len(machines), dtype=np.int64)
    was_read = np.isnan(sensors[DISTANCE])
    np.maximum.at(last, of[was_read], at[was_read])
    judged_from = pa.table(
        {
            **{name: machines.column(name) for name in MACHINE},
            "onset_at": machines.column("since"),
            "latest_at": pa.array(last, INSTANT, mask=last == 0),
            "batch_id": pa.repeat(batch_id, len(machines)),
        }
    )
    tables = [
        judged_from,
        _table(found, machines, limits, batch_id, gone=False),
        _table(gone, machines, limits, batch_id, gone=True),
    ]
    schema = arrow_schema(FOUND_SCHEMA)
    return pa.concat_tables([_complete(table, schema) for table in tables])


def _episodes(rows: pa.Table, machine: Any) -> list[Episode]:  # noqa: ANN401 - numpy's
    places = np.flatnonzero(rows.column("rule").is_valid().to_numpy())
    known = rows.select(list(OF_EPISODES)).take(pa.array(places))
    for name in INSTANTS:
        known = known.set_column(known.schema.get_field_index(name), name, known.column(name).cast(pa.int64()))
    pairs = zip(machine[places].tolist(), known.to_pylist(), strict=True)
    return [Episode(machine=of, **values) for of, values in pairs]


def _table(
    episodes: Sequence[Episode], machines: pa.Table, limits: Thresholds, batch_id: str, *, gone: bool
) -> pa.Table:
    whose = machines.select(MACHINE).take(pa.array([episode.machine for episode in episodes], pa.int64()))
    values = [asdict(episode) for episode in episodes]
    columns = {name: whose.column(name) for name in MACHINE}
    for name in OF_EPISODES:
        column = [value[name] for value in values]
        kind = INSTANT if name in INSTANTS else arrow_schema(ALARMS_SCHEMA).field(name).type
        columns[name] = pa.chunked_array([pa.array(column, kind)])
    count = len(episodes)
    columns |= {"batch_id": pa.repeat(batch_id, count), "gone": pa.array([gone] * count, pa.bool_())}
    if episodes and not gone:
        told = pa.Table.from_pylist([_told(episode, limits) for episode in episodes])
        columns |= {name: told.column(name) for name in told.column_names}
    return pa.table(columns)


def _told(episode: Episode, limits: Thresholds) -> dict[str, Any]:
    """Return what people are told of an episode."""
    rule = limits.alarms.rules[episode.rule]
    warning, critical = limits.limits_of(rule)
    grave = episode.critical_at is not None and critical is not None
    alert_type = AlertType.THRESHOLD_CRITICAL if grave else AlertType.THRESHOLD_WARNING
    if rule.channel == DISTANCE:
        alert_type = AlertType.PREDICTION
    return {
        "alert_type": alert_type,
        "severity": Severity.CRITICAL if grave else Severity.WARNING,
        "sensor_name": rule.channel,
        "threshold_value": critical if grave else warning,
        "message": message(episode, limits),
        "latched": rule.latch,
        "suppressed": alarm_rules.is_suppressed(episode),
    }


def message(episode: Episode, limits: Thresholds) -> str:
    """Say what is or was wrong, in one sentence."""
    rule = limits.alarms.rules[episode.rule]
    warning, critical = limits.limits_of(rule)
    words, unit = rule.words.capitalize(), limits.unit_of(rule)
    parts = [f"{words} went {rule.side} the warning limit of {warning:g} {unit} at {_words(episode.onset_at)}"]
    if episode.critical_at is not None and critical is not None:
        parts.append(f"critical, {rule.side} {critical:g}, at {_words(episode.critical_at)}")
    extreme = "highest" if rule.side is Side.ABOVE else "lowest"
    parts.append(f"{extreme} {episode.peak_value:.4g} at {_words(episode.peak_at)}")
    if episode.cleared_at is None:
        parts.append(f"latest {episode.latest_value:.4g}")
    else:
        parts.append(f"over at {_words(episode.cleared_at)}")
    return "; ".join(parts) + "."


def _words(instant: int) -> str:
    return datetime.fromtimestamp(instant / 1_000_000, UTC).strftime("%Y-%m-%d %H:%M UTC")


def published(found: DataFrame) -> DataFrame:
    """Return what was found as `alert_history` has it; those that are gone leave no row."""
    renamed = {"raised_at": "alert_timestamp", "latest_value": "sensor_value"}
    kept = [name for name in FOUND_SCHEMA.names if name not in {*renamed, "gone", "suppressed", "suppressed_by"}]
    return found.where(f.coalesce(~f.col("gone"), f.lit(col=True))).select(
        *kept,
        *(f.col(name).alias(other) for name, other in renamed.items()),
        f.when(f.col("suppressed"), f.col("suppressed_by")).alias("suppressed_by"),
    )


def _complete(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return a table with all columns of a schema, those that it lacks empty."""
    columns = {
        field.name: table.column(field.name) if field.name in table.column_names else pa.nulls(len(table), field.type)
        for field in schema
    }
    return pa.table(columns, schema)
