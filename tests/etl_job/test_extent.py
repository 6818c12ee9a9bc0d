from datetime import date

import pytest
from pyspark.sql import Row, SparkSession
from pyspark.sql import functions as f

from etl_job.extent import Extent

MONDAY, TUESDAY, FRIDAY = date(2026, 1, 5), date(2026, 1, 6), date(2026, 1, 9)
ROWS = "date DATE, compressor_id STRING"


def measured(spark: SparkSession, *rows: tuple[date | None, str | None]) -> Row:
    measures = Extent.measures(f.col("date"), f.col("compressor_id"))
    return spark.createDataFrame(rows, ROWS).agg(*measures).collect()[0]


def test_it_is_measured_from_the_first_day_to_the_last(spark: SparkSession) -> None:
    found = measured(spark, (TUESDAY, "B"), (None, None), (MONDAY, "A"), (MONDAY, "C"))

    assert Extent.of(found.asDict()) == Extent((MONDAY, TUESDAY), "A", "C")


def test_rows_of_no_day_have_none(spark: SparkSession) -> None:
    assert Extent.of(measured(spark, (None, None)).asDict()) is None


def test_days_between_two_extents_are_not_of_their_union() -> None:
    union = Extent.union([Extent((FRIDAY,), "B", "C"), Extent((MONDAY, TUESDAY), "A", "B")])

    assert union == Extent((MONDAY, TUESDAY, FRIDAY), "A", "C")
    assert Extent.union([]) is None


def test_of_given_days_only_those_are_left() -> None:
    extent = Extent((MONDAY, TUESDAY, FRIDAY), "A", "B")

    assert extent.among([FRIDAY, TUESDAY]) == Extent((TUESDAY, FRIDAY), "A", "B")
    assert extent.among([]) is None


@pytest.mark.parametrize(
    ("reach", "days"),
    [(0, ["2026-01-05", "2026-01-09"]), (1, [f"2026-01-{day:02}" for day in (4, 5, 6, 8, 9, 10)])],
)
def test_days_around_it(reach: int, days: list[str]) -> None:
    assert [day.isoformat() for day in Extent((MONDAY, FRIDAY), "A", "B").days_around(reach)] == days


def test_rows_around_it_are_near_in_time_and_of_its_machines(spark: SparkSession) -> None:
    rows = [(day, machine) for day in (MONDAY, TUESDAY, FRIDAY) for machine in ("A", "B", "BB", "C")]
    table = spark.createDataFrame(rows, ROWS).alias("old")

    near = table.where(Extent((TUESDAY,), "B", "BB").around(1, "old"))

    assert sorted(near.collect()) == [(MONDAY, "B"), (MONDAY, "BB"), (TUESDAY, "B"), (TUESDAY, "BB")]
