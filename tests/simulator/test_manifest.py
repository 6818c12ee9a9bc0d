import json
from dataclasses import replace
from pathlib import Path

import pytest

from simulator.manifest import ForeignLanding, inspect, record
from simulator.simulation import Simulation
from tests.simulator.landed import Landed


def test_a_folder_is_empty_before_and_complete_after(default_week: Landed, out: Path) -> None:
    assert inspect(out, default_week.simulation) == "empty"
    assert inspect(default_week.folder, default_week.simulation) == "complete"


def test_another_simulation_is_refused(default_week: Landed) -> None:
    with pytest.raises(ForeignLanding, match="other arguments"):
        inspect(default_week.folder, replace(default_week.simulation, seed=43))


def test_landing_files_without_a_record_are_refused(out: Path) -> None:
    (out / "readings").mkdir(parents=True)
    (out / "readings" / "delivery.parquet").touch()
    with pytest.raises(ForeignLanding, match="no simulation recorded"):
        inspect(out, Simulation())


@pytest.mark.parametrize("content", ["not json", "[]"])
def test_a_record_that_is_none_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "simulation.json").write_text(content, encoding="utf-8")
    with pytest.raises(ForeignLanding, match="not a simulation's record"):
        inspect(tmp_path, Simulation())


def test_a_file_where_the_folder_should_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "landing").touch()
    with pytest.raises(ForeignLanding, match="not a folder"):
        inspect(tmp_path / "landing", Simulation())


def test_an_interrupted_simulation_may_begin_again(tmp_path: Path) -> None:
    record(tmp_path, Simulation(), None)
    assert inspect(tmp_path, Simulation()) == "begun"


def test_the_record_counts_what_was_delivered(default_week: Landed) -> None:
    totals = json.loads((default_week.folder / "simulation.json").read_text(encoding="utf-8"))["totals"]
    assert totals["readings"] == len(default_week.rows)
    assert totals["files"] == len(default_week.files)
    assert totals["rows_delivered"] > totals["readings"]
