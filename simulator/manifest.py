"""The record of what a landing folder holds, so that two simulations are never mixed in one."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal, cast

from shared_code.readings import LANDING_COMPRESSORS, LANDING_MAINTENANCE, LANDING_READINGS, LANDING_STATIONS
from simulator.landing import whole_file
from simulator.simulation import Simulation

NAME: Final = "simulation.json"
DELIVERED_FOLDERS: Final = (LANDING_READINGS, LANDING_STATIONS, LANDING_COMPRESSORS, LANDING_MAINTENANCE, "truth")

State = Literal["empty", "begun", "complete"]


class ForeignLanding(Exception):  # noqa: N818  (reads as what is wrong, as the shared errors do)
    """The folder holds files that are not of this simulation; the text says which folder and what to do."""


@dataclass(frozen=True, slots=True)
class Totals:
    """What was written: distinct readings, rows in all files of readings with repeats, and those files."""

    readings: int = 0
    rows_delivered: int = 0
    files: int = 0
    files_late: int = 0
    files_repeated: int = 0


def inspect(out: Path, simulation: Simulation) -> State:
    """How far this very simulation has been written to `out`; raises ForeignLanding where something else has."""
    if out.exists() and not out.is_dir():
        raise ForeignLanding(f"{out} is not a folder")
    recorded = _recorded(out)
    if recorded is None:
        if any(_holds_files(out / folder) for folder in DELIVERED_FOLDERS):
            raise ForeignLanding(f"{out} already holds landing files that no simulation recorded; take another folder")
        return "empty"
    if recorded.get("arguments") != arguments(simulation):
        raise ForeignLanding(f"{out} already holds a simulation with other arguments; take another folder")
    totals = cast("dict[str, Any] | None", recorded.get("totals"))
    if totals is None:
        return "begun"
    written = sum(1 for _ in (out / LANDING_READINGS).glob(f"*.{simulation.file_format}"))
    return "complete" if written == totals["files"] else "begun"


def record(out: Path, simulation: Simulation, totals: Totals | None) -> None:
    """Record the simulation in `out`; without totals as begun and not yet complete."""
    content = {"arguments": arguments(simulation), "totals": asdict(totals) if totals else None}
    with whole_file(out / NAME, simulation.end) as unfinished:
        unfinished.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def arguments(simulation: Simulation) -> dict[str, str | int | None]:
    """The simulation's arguments as JSON holds them."""
    return {
        "days": simulation.days,
        "compressors": simulation.compressors,
        "interval_minutes": simulation.interval_minutes,
        "seed": simulation.seed,
        "start": f"{simulation.start:%Y-%m-%dT%H:%M:%SZ}",
        "format": simulation.file_format,
        "organization": str(simulation.organization) if simulation.organization else None,
        **({} if simulation.failures is None else {"failures": simulation.failures}),
    }


def _recorded(out: Path) -> dict[str, object] | None:
    path = out / NAME
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise ForeignLanding(f"{path} is not a simulation's record; take another folder")
    return cast("dict[str, object]", content)


def _holds_files(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())
