import io
import json
from uuid import UUID

import pytest
from pyspark.sql import SparkSession
from rich.console import Console

from etl_job import progress

TASKS = 7
RUN_ID = UUID("00000000-0000-4000-8000-000000000001")


def test_without_a_terminal_each_stage_is_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.shown(Console(stderr=True), RUN_ID, ["bronze", "silver"]) as shown:
        with shown.stage("bronze"):
            pass
        with pytest.raises(ValueError, match="no"), shown.stage("silver"):
            raise ValueError("no")
    out, err = capsys.readouterr()
    assert out == ""
    lines = [json.loads(line) for line in err.splitlines()]
    assert [(line["event"], line["stage"], line["level"]) for line in lines] == [
        ("stage done", "bronze", "info"),
        ("stage failed", "silver", "error"),
    ]
    assert {line["run_id"] for line in lines} == {str(RUN_ID)}
    assert all(line["seconds"] >= 0 and line["timestamp"].endswith("Z") for line in lines)


def test_on_a_terminal_a_bar_moves_with_stages_and_with_sparks_tasks(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "POLL_SECONDS", 0.02)
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100)
    with (
        progress.shown(console, RUN_ID, ["bronze", "silver"]) as shown,
        shown.tasks(spark),
    ):
        for stage in ("bronze", "silver", "one more"):
            with shown.stage(stage):
                spark.sparkContext.parallelize(range(TASKS), TASKS).foreach(_slowly)
    drawn = screen.getvalue()
    for expected in ("bronze", "0/2", "silver", "1/2", "one more", "2/3", "3/3", "tasks of Spark"):
        assert expected in drawn, expected
    assert any(f"{done}/{TASKS}" in drawn for done in range(1, TASKS))


def _slowly(_: int) -> None:
    import time  # noqa: PLC0415 - runs in a worker

    time.sleep(0.3)
