"""Measures early warning and remaining life: `python -m benchmarks.prediction [--data DIR] [--write]`.

Learns from simulated fleets, measures on others that it has not seen, and on two public data sets. `--write` keeps the
models as those the product comes with, and what was measured as the model card.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks.prediction import metropt, turbofan
from benchmarks.prediction.fleets import histories
from benchmarks.prediction.foretold import Found, bound, by_limits, by_model, by_sigmas, default_week, measured
from etl_job.prediction import models
from etl_job.prediction.score import Model
from etl_job.prediction.thresholds import AIMED_AT, WANTED
from etl_job.prediction.training import History, learned, whole
from shared_code.settings import ROOT
from simulator.simulation import Simulation

FITTING: Final = (101, 102)
CALIBRATING: Final = (103, 104)
HELD_OUT: Final = (201, 202, 203)
DAYS, COMPRESSORS, FAILURES = 120, 80, 40
VERSION: Final = "residual-health-1"
CARD: Final = ROOT / "docs" / "model-card.md"
INTRODUCTION: Final = """# Model card: early warning and remaining life

Written by `make bench-prediction`; do not edit.

**What it does.** For each machine and hour it compares vibration, discharge temperature and discharge pressure, and how
they spread over a day, with what a machine of that model reads under the same load at the same hour of the day, and
with what this machine usually reads. How far out the second farthest of the three sensors is, smoothed, is the
machine's health; beyond the threshold it is an alarm, and the hours that remain at least are told if they are a week or
less. One sensor alone never raises an alarm: it may be the sensor.

**What it has learned from.** Simulated fleets only, made by `simulator`. Regression, thresholds and bounds in
`config/prediction_models.json` come from them; a customer's machine adds its own usual distance, from its last 30 good
days, and leans on the simulated fleet while it has few. On real machines the rates below are a hope until the API's
`/api/predictions/quality` shows the customer's own.

**What it cannot do.** It foretells what grows over hours and shows in two sensors: not a sudden break, not what only
one sensor shows. Hours whose load lies beyond what was simulated are not judged. After a gap, half a day or so must be
heard before a machine is judged again.
"""


def main() -> None:
    """Measure, print, and write where that is asked for."""
    asking = argparse.ArgumentParser(description=__doc__)
    asking.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="folder of public data")
    asking.add_argument("--write", action="store_true", help="keep the models, and the figures as the model card")
    asked = asking.parse_args()
    fitting, calibrating = _fleets(FITTING), _fleets(CALIBRATING)
    learned_models = learned(fitting, calibrating, VERSION)
    lines = list(_on_fleets(learned_models))
    for name, measure in (("MetroPT-3", _on_metropt), ("C-MAPSS FD001", _on_turbofans)):
        try:
            lines += measure(asked.data)
        except FileNotFoundError as missing:
            print(f"{name} was not measured: there is no {missing.filename}", file=sys.stderr)
    print("\n".join(lines))
    if asked.write:
        models.write(learned_models, models.SHIPPED)
        CARD.write_text("\n".join((INTRODUCTION, *lines, "")), encoding="utf-8")


def _fleets(seeds: tuple[int, ...]) -> list[History]:
    return [history for seed in seeds for history in _fleet(seed)]


def _fleet(seed: int) -> list[History]:
    return histories(Simulation(days=DAYS, compressors=COMPRESSORS, seed=seed, failures=FAILURES))


def _on_fleets(known: dict[str, Model]) -> Iterator[str]:
    yield f"## Simulated fleets: {COMPRESSORS} machines, {DAYS} days, {FAILURES} failures each"
    yield ""
    yield f"Fitted on seeds {FITTING}, thresholds and margins from seeds {CALIBRATING}, measured on the seeds below,"
    yield "each machine from its first day on, while its baseline still leans on the fleet. Wanted are no more than"
    yield f"{WANTED} false alarms a machine-month; thresholds aim at {AIMED_AT}."
    yield ""
    yield "| seed | way | foretold | median lead, h | shortest, h | false alarms | machine-months | a machine-month |"
    yield "|---|---|---|---|---|---|---|---|"
    bounds: list[str] = []
    for seed in HELD_OUT:
        fleet = _fleet(seed)
        for way, alarmed in (
            ("residual health", by_model(known)),
            ("4 sigma of its first three days", by_sigmas),
            ("fixed limits", by_limits),
        ):
            yield f"| {seed} | {way} {_row(measured(fleet, alarmed))}"
        told = bound(fleet, [whole(history, known[history.model]) for history in fleet])
        bounds.append(f"| {seed} | {told.hours} | {told.held:.3f} | {told.of_truth:.2f} |")
    yield ""
    yield "Remaining life, a lower bound that should hold .90, over the hours of alarm before each failure:"
    yield ""
    yield "| seed | hours | held | median of bound over truth |"
    yield "|---|---|---|---|"
    yield from bounds
    leads = default_week(histories(Simulation()), known, days=7)
    yield ""
    yield "The simulator's default week, hours from the first alarm to the failure: " + ", ".join(
        f"{name} {hours:.0f}" for name, hours in sorted(leads.items())
    )
    yield ""


def _row(found: Found) -> str:
    return (
        f"| {len(found.leads)} of {found.failures} | {found.median_lead:.0f} | {min(found.leads, default=0):.0f} "
        f"| {found.false_alarms} | {found.machine_months:.0f} | {found.a_machine_month:.3f} |"
    )


def _on_metropt(folder: Path) -> Iterator[str]:
    found = metropt.measure(folder)
    delays = ", ".join("not seen" if delay is None else str(delay) for delay in found.delays)
    yield "## MetroPT-3, a real compressor, by the hour"
    yield ""
    yield "The same idea on other sensors; regression, sizes and threshold from February and March alone, April to"
    yield "June measured. Which four channels are used, and that two hours in a row make an alarm, was chosen with"
    yield "all of the file in view: later months are the test."
    yield ""
    yield f"Hours from onset to alarm, by failure: {delays}. False episodes a month:"
    yield f"{found.false_episodes / found.months:.2f} ({found.false_episodes} in {found.months:.1f} months)."
    yield ""


def _on_turbofans(folder: Path) -> Iterator[str]:
    found = turbofan.measure(folder)
    yield "## C-MAPSS FD001, turbofans"
    yield ""
    yield f"LightGBM, seeds {turbofan.SEEDS}, margins from training engines held out. In cycles:"
    yield f"RMSE {found.rmse:.2f} uncapped, {found.rmse_capped:.2f} capped at {turbofan.CAP},"
    yield f"{found.rmse_in_training:.2f} on training engines held out; NASA's score {found.score:.0f};"
    yield f"the 90 % interval holds {found.coverage:.2f} and is {found.width:.1f} wide."
    yield ""


if __name__ == "__main__":
    main()
