"""`python -m etl_job.prediction report --lake DIR --out DIR`: a picture of each machine's predictions.

Needs the packages of the group `report`.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from pyspark.sql import functions as f

from etl_job import spark_session
from etl_job.delta_tables import PREDICTIONS, Lake
from etl_job.prediction.report import draw
from shared_code.readings import COMPRESSOR, ORGANIZATION
from shared_code.settings import JobSettings, read

program = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@program.callback()
def main() -> None:
    """Show what predictions rest on."""


@program.command()
def report(
    lake: Annotated[str, typer.Option(help="Folder or URL of the Delta tables.")],
    out: Annotated[Path, typer.Option(help="Folder for the pictures; made if it is not there.")],
    compressor: Annotated[list[str] | None, typer.Option(help="Only these machines; may be given often.")] = None,
    days: Annotated[int, typer.Option(min=1, help="Of each machine, how many before its newest prediction.")] = 30,
) -> None:
    """Draw a PNG of each machine: expected, actual, health, threshold, alarm."""
    spark = spark_session.start(read(JobSettings), small=True)
    try:
        predictions = Lake(spark, lake).read(PREDICTIONS)
        if compressor:
            predictions = predictions.where(f.col(COMPRESSOR).isin(compressor))
        machines = predictions.groupBy(ORGANIZATION, COMPRESSOR).agg(f.max("predicted_at").alias("newest"))
        for machine in machines.toLocalIterator():
            organization, name = machine[ORGANIZATION], machine[COMPRESSOR]
            since = machine["newest"].astimezone(UTC) - timedelta(days=days)
            ours = (f.col(ORGANIZATION) == organization) & (f.col(COMPRESSOR) == name)
            rows = predictions.where(ours & (f.col("predicted_at") > f.lit(since))).orderBy("predicted_at").collect()
            folder = out / organization
            folder.mkdir(parents=True, exist_ok=True)
            draw(name, [row.asDict() for row in rows], folder / f"{name}.png")
            typer.echo(f"{folder / name}.png, {len(rows)} hours to {_words(rows[-1]['predicted_at'])}")
    finally:
        spark_session.stop(spark)


def _words(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


if __name__ == "__main__":
    program()
