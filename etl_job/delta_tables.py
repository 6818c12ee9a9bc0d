"""The lake's Delta tables: where they are, their schemas as data, and the two ways of writing to them."""

from dataclasses import dataclass
from typing import Final

from delta.tables import DeltaTable
from pyspark.sql import Column, DataFrame, DataFrameWriter, SparkSession
from pyspark.sql import functions as f
from pyspark.sql.types import (
    BinaryType,
    BooleanType,
    DataType,
    DateType,
    DoubleType,
    IntegerType,
    LongType,
    MapType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

from etl_job.prediction.residuals import SIGNALS
from shared_code.readings import COMPRESSOR, OPERATING_HOURS, ORGANIZATION, SENSOR_FIELDS, TIMESTAMP

TEXT: Final = StringType()
DOUBLE: Final = DoubleType()
INSTANT: Final = TimestampType()
COUNT: Final = IntegerType()

CHANNELS: Final = (*SENSOR_FIELDS, "pressure_differential")
"""What is aggregated: the six sensors, and discharge less suction pressure, PSI."""


def _fields(*fields: tuple[str, DataType]) -> list[StructField]:
    return [StructField(name, kind) for name, kind in fields]


BRONZE_SCHEMA: Final = StructType(
    _fields(
        ("source_file", TEXT),
        ("row_number", LongType()),
        ("delivered_at", INSTANT),
        (ORGANIZATION, TEXT),
        (COMPRESSOR, TEXT),
        (TIMESTAMP, INSTANT),
        *((field, DOUBLE) for field in (*SENSOR_FIELDS, OPERATING_HOURS)),
        ("unparsed", MapType(TEXT, TEXT)),
        ("note", TEXT),
        ("problem", TEXT),
        ("detail", TEXT),
        ("raw", TEXT),
        ("content", BinaryType()),
        ("batch_id", TEXT),
    )
)
"""What arrived, a row a row, with its problem where it has one."""

SILVER_SCHEMA: Final = StructType(
    _fields(
        (ORGANIZATION, TEXT),
        (COMPRESSOR, TEXT),
        (TIMESTAMP, INSTANT),
        ("date", DateType()),
        *((field, DOUBLE) for field in SENSOR_FIELDS),
        (OPERATING_HOURS, DOUBLE),
        *((f"{field}_flag", TEXT) for field in SENSOR_FIELDS),
        ("clock_flag", TEXT),
        ("note", TEXT),
        ("delivered_at", INSTANT),
        ("source_file", TEXT),
        ("row_number", LongType()),
        ("batch_id", TEXT),
    )
)
"""One row a reading; a flag names the doubt about a value, and NULL means there is none."""

JUDGED_SCHEMA: Final = StructType(
    [
        *(field for field in SILVER_SCHEMA if field.name not in {"date", "batch_id"}),
        *_fields(("arrived", BooleanType()), ("news", BooleanType()), ("outcome", TEXT), ("confirms", BooleanType())),
    ]
)
"""A row on its way to Silver: what becomes of it, and whether it is news to Silver."""

PARTIALS_SCHEMA: Final = StructType(
    [
        *_fields((ORGANIZATION, TEXT), (COMPRESSOR, TEXT), ("hour", INSTANT), ("date", DateType())),
        *(
            StructField(f"{channel}_{part}", kind)
            for channel in CHANNELS
            for part, kind in (
                ("n", COUNT),
                ("mean", DOUBLE),
                ("m2", DOUBLE),
                ("min", DOUBLE),
                ("max", DOUBLE),
                ("first", DOUBLE),
                ("first_at", INSTANT),
                ("last", DOUBLE),
                ("last_at", INSTANT),
            )
        ),
        *_fields(
            ("reading_count", COUNT),
            ("suspect_readings", COUNT),
            ("clock_readings", COUNT),
            ("received_values", COUNT),
            ("usable_values", COUNT),
            ("last_reading_at", INSTANT),
            ("last_delivered_at", INSTANT),
            ("batch_id", TEXT),
        ),
    ]
)
"""One row a machine and hour [hour, hour + 1 h): mergeable moments of each channel's usable values."""

AGGREGATES_SCHEMA: Final = StructType(
    _fields(
        (ORGANIZATION, TEXT),
        (COMPRESSOR, TEXT),
        ("window_type", TEXT),
        ("agg_timestamp", INSTANT),
        ("date", DateType()),
        ("vibration_mean", DOUBLE),
        ("vibration_std", DOUBLE),
        ("vibration_max", DOUBLE),
        ("vibration_min", DOUBLE),
        ("discharge_temp_mean", DOUBLE),
        ("discharge_temp_std", DOUBLE),
        ("discharge_temp_max", DOUBLE),
        ("discharge_temp_rate_of_change", DOUBLE),
        ("suction_pressure_mean", DOUBLE),
        ("suction_pressure_std", DOUBLE),
        ("suction_pressure_min", DOUBLE),
        ("discharge_pressure_mean", DOUBLE),
        ("discharge_pressure_std", DOUBLE),
        ("discharge_pressure_max", DOUBLE),
        ("pressure_delta_mean", DOUBLE),
        ("horsepower_mean", DOUBLE),
        ("horsepower_std", DOUBLE),
        ("gas_flow_mean", DOUBLE),
        ("reading_count", COUNT),
        ("missing_readings", COUNT),
        ("suspect_readings", COUNT),
        ("batch_id", TEXT),
    )
)
"""One row a machine, window type and hour in which the machine was heard; the window ends with that hour."""

ALARMS_SCHEMA: Final = StructType(
    _fields(
        (ORGANIZATION, TEXT),
        (COMPRESSOR, TEXT),
        ("rule", TEXT),
        ("onset_at", INSTANT),
        ("raised_at", INSTANT),
        ("critical_at", INSTANT),
        ("latest_at", INSTANT),
        ("latest_value", DOUBLE),
        ("peak_at", INSTANT),
        ("peak_value", DOUBLE),
        ("cleared_at", INSTANT),
        ("group_at", INSTANT),
        ("suppressed_by", TEXT),
        ("batch_id", TEXT),
    )
)
"""One row a problem of a machine that a rule found, from its onset to its end; what people do about it is in SQL."""

PREDICTIONS_SCHEMA: Final = StructType(
    _fields(
        (ORGANIZATION, TEXT),
        (COMPRESSOR, TEXT),
        ("predicted_at", INSTANT),
        ("date", DateType()),
        ("model_version", TEXT),
        ("health", DOUBLE),
        ("threshold", DOUBLE),
        ("failure_probability", DOUBLE),
        ("confidence", DOUBLE),
        ("remaining_hours", DOUBLE),
        ("explanation", TEXT),
        ("batch_id", TEXT),
    )
)
"""One row a machine and hour in which it was heard; it is of the hour's end. NULL is what cannot be told."""

MACHINE_DAYS_SCHEMA: Final = StructType(
    _fields(
        (ORGANIZATION, TEXT),
        (COMPRESSOR, TEXT),
        ("date", DateType()),
        *((name, DOUBLE) for name in SIGNALS),
        ("approved", BooleanType()),
        ("resets", TEXT),
        ("batch_id", TEXT),
    )
)
"""One row a machine and day in which it was heard: how far it was from its model, for the baselines of later days."""


@dataclass(frozen=True, slots=True)
class Layout:
    """A Delta table of the lake: its folder, its schema, what makes a row unique, and how it is partitioned."""

    folder: str
    schema: StructType
    key: tuple[str, ...] = ()
    partitioned_by: tuple[str, ...] = ()


BRONZE: Final = Layout("bronze/sensor_readings", BRONZE_SCHEMA)
QUARANTINE: Final = Layout("quarantine", BRONZE_SCHEMA)
"""Rows that could not go on, and why; rows of Silver, too, that a later delivery overruled."""
SILVER: Final = Layout("silver/sensor_readings", SILVER_SCHEMA, (ORGANIZATION, COMPRESSOR, TIMESTAMP), ("date",))
PARTIALS: Final = Layout("gold/hourly_partials", PARTIALS_SCHEMA, (ORGANIZATION, COMPRESSOR, "hour"), ("date",))
AGGREGATES: Final = Layout(
    "gold/sensor_readings_agg",
    AGGREGATES_SCHEMA,
    (ORGANIZATION, COMPRESSOR, "window_type", "agg_timestamp"),
    ("date",),
)
PREDICTIONS: Final = Layout(
    "gold/predictions", PREDICTIONS_SCHEMA, (ORGANIZATION, COMPRESSOR, "predicted_at"), ("date",)
)
MACHINE_DAYS: Final = Layout("gold/machine_days", MACHINE_DAYS_SCHEMA, (ORGANIZATION, COMPRESSOR, "date"), ("date",))
ALARMS: Final = Layout("gold/alarms", ALARMS_SCHEMA, (ORGANIZATION, COMPRESSOR, "rule", "raised_at"))


class Lake:
    """The Delta tables under one folder, local or on any file system that Spark reaches."""

    def __init__(self, spark: SparkSession, root: str) -> None:
        self.spark = spark
        self.root = root.rstrip("/")

    def path(self, layout: Layout) -> str:
        """Return the table's folder."""
        return f"{self.root}/{layout.folder}"

    def exists(self, layout: Layout) -> bool:
        """Whether the table has been written."""
        return DeltaTable.isDeltaTable(self.spark, self.path(layout))

    def read(self, layout: Layout) -> DataFrame:
        """Return the table, empty where nothing was written yet."""
        if not self.exists(layout):
            return self.spark.createDataFrame([], layout.schema)
        return self.spark.read.format("delta").load(self.path(layout))

    def read_batch(self, layout: Layout, batch_id: str) -> DataFrame:
        """Return the rows that a batch wrote, found through the files' statistics."""
        return self.read(layout).where(f.col("batch_id") == batch_id)

    def append(self, layout: Layout, rows: DataFrame, *, writer: str, version: int) -> None:
        """Append rows once: Delta refuses in silence what this writer has written under this version already.

        Args:
            layout: the table.
            rows: what to add, in the table's schema.
            writer: who appends; one that starts numbering again needs a new name.
            version: rises with every append of this writer.
        """
        once = {"txnAppId": f"{writer}/{layout.folder}", "txnVersion": str(version)}
        self._writer(layout, rows).options(**once).save(self.path(layout))

    def _writer(self, layout: Layout, rows: DataFrame) -> DataFrameWriter:
        appending = rows.write.format("delta").mode("append").partitionBy(*layout.partitioned_by)
        # Statistics where they help to skip files, and nowhere else: they cost as much as the columns they describe.
        return appending.option("delta.dataSkippingStatsColumns", "batch_id")

    def upsert(self, layout: Layout, rows: DataFrame, within: Column, *, gone: str | None = None) -> None:
        """Write rows by their key: new ones are added, others replaced.

        Args:
            layout: the table; it has a key.
            rows: in the table's schema, one a key.
            within: which rows of the table, called `old`, may have one of these keys; no other files are looked at.
            gone: a column of the rows, not of the table; where it is true, the row with this key is removed.
        """
        remains = ~f.col(f"new.{gone}") if gone else None
        if not self.exists(layout):
            kept = rows.alias("new").where(remains) if remains is not None else rows
            self._writer(layout, kept.select(*layout.schema.names)).save(self.path(layout))
            return
        matched = within
        for column in layout.key:
            matched &= f.col(f"old.{column}") == f.col(f"new.{column}")
        merge = DeltaTable.forPath(self.spark, self.path(layout)).alias("old").merge(rows.alias("new"), matched)
        if gone:
            merge = merge.whenMatchedDelete(f.col(f"new.{gone}"))
        merge.whenMatchedUpdateAll().whenNotMatchedInsertAll(remains).execute()

    def replace(self, layout: Layout, rows: DataFrame, condition: str) -> None:
        """Put rows in the place of those that meet a condition, in one commit; all of them must meet it."""
        self._writer(layout, rows).mode("overwrite").option("replaceWhere", condition).save(self.path(layout))
