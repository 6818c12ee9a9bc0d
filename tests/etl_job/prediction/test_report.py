import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from etl_job.prediction.hours import CHANNELS
from etl_job.prediction.report import draw

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)


def an_hour(number: int, health: float | None) -> dict[str, Any]:
    channel = {"actual": 3.0, "expected": None if health is None else 2.9, "off": 1.0, "spread_off": 0.1}
    channels = [{"sensor": sensor, **channel} for sensor in CHANNELS]
    return {
        "predicted_at": MONDAY + timedelta(hours=number),
        "health": health,
        "threshold": 4.0,
        "explanation": json.dumps({"channels": channels}),
    }


def test_a_picture_is_drawn_of_alarms_and_of_hours_that_tell_nothing(tmp_path: Path) -> None:
    draw("COMP-003", [an_hour(0, 1.0), an_hour(1, None), an_hour(2, 5.0), an_hour(3, 6.0)], tmp_path / "alarm.png")
    draw("COMP-003", [an_hour(number, 1.0) for number in range(4)], tmp_path / "quiet.png")
    alarm, quiet = ((tmp_path / name).read_bytes() for name in ("alarm.png", "quiet.png"))
    assert alarm[:8] == b"\x89PNG\r\n\x1a\n"
    assert alarm != quiet
