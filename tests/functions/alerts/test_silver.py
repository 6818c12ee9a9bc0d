"""Readings out of a Delta table in which several organizations' rows lie side by side."""

import logging
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import numpy as np
import pytest

from functions.alerts import silver
from functions.alerts.backtest import History
from functions.settings import LakeSettings
from shared_code.errors import ConflictError, InvalidError, UnavailableError
from shared_code.identifiers import CompressorId, OrganizationId
from shared_code.readings import SENSOR_FIELDS
from tests.factories.silver import NORMAL, Machine, deliver

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
OURS, THEIRS = OrganizationId(UUID(int=1)), OrganizationId(UUID(int=2))


def read(
    lake: Path,
    organization_id: OrganizationId = OURS,
    *machines: str,
    start: datetime = MONDAY,
    end: datetime = MONDAY + 9 * DAY,
    at_most: int = 10_000,
) -> History:
    return silver.read_usable(
        organization_id,
        LakeSettings(altaviz_lake=str(lake)),
        compressor_ids=[CompressorId(each) for each in machines] or None,
        start=start,
        end=end,
        at_most=at_most,
    )


def test_readings_come_by_machine_and_time_with_all_their_values(tmp_path: Path) -> None:
    deliver(tmp_path, Machine(OURS, "COMP-002", MONDAY + DAY, 2), Machine(OURS, "COMP-001", MONDAY + 2 * DAY, 1))
    deliver(tmp_path, Machine(OURS, "COMP-002", MONDAY, 1, {"gas_flow_mcf": [9000.0]}))

    found = read(tmp_path)

    assert [found.machines[number] for number in found.machine] == ["COMP-001", "COMP-002", "COMP-002", "COMP-002"]
    start = 1_767_571_200_000_000
    days = [2 * 86_400, 0, 86_400, 86_400 + 600]
    assert found.at.tolist() == [start + seconds * 1_000_000 for seconds in days]
    assert {name: values[0] for name, values in found.sensors.items()} == NORMAL
    assert found.sensors["gas_flow_mcf"].tolist() == [10_000, 9000, 10_000, 10_000]


def test_rows_of_another_organization_in_the_same_file_never_come_out(tmp_path: Path) -> None:
    deliver(
        tmp_path,
        Machine(OURS, "COMP-001", MONDAY, 3),
        Machine(THEIRS, "COMP-001", MONDAY, 3, {"vibration_mms": [9.0] * 3}),
        Machine(THEIRS, "COMP-002", MONDAY, 3),
    )
    assert len(list(tmp_path.rglob("*.parquet"))) == 1

    found = read(tmp_path)

    assert (len(found), found.machines) == (3, ("COMP-001",))
    assert found.sensors["vibration_mms"].tolist() == [3.0] * 3
    assert len(read(tmp_path, OURS, "COMP-002")) == 0
    assert len(read(tmp_path, OrganizationId(uuid4()))) == 0


def everybody(_: OrganizationId) -> str:
    return "TRUE"


def test_a_query_that_forgot_the_organization_gives_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deliver(tmp_path, Machine(OURS, "COMP-001", MONDAY, 1), Machine(THEIRS, "COMP-001", MONDAY, 1))
    monkeypatch.setattr(silver, "_of", everybody)

    with pytest.raises(RuntimeError, match="rows of another organization"):
        read(tmp_path)


@pytest.mark.parametrize("name", ["O'Brien's", "x' OR '1' = '1", "a\\'b", '"', "--", "; DROP TABLE silver", "ü"])
def test_a_name_is_only_a_name(tmp_path: Path, name: str) -> None:
    deliver(tmp_path, Machine(OURS, name, MONDAY, 2), Machine(OURS, "COMP-001", MONDAY, 2))
    deliver(tmp_path, Machine(THEIRS, name, MONDAY, 2))

    found = read(tmp_path, OURS, name)

    assert (found.machines, len(found)) == ((name,), 2)


def test_the_period_begins_with_its_start_and_does_not_hold_its_end(tmp_path: Path) -> None:
    deliver(tmp_path, Machine(OURS, "COMP-001", MONDAY, 3 * 144))

    found = read(tmp_path, start=MONDAY + DAY, end=MONDAY + DAY + 30 * MINUTE)

    assert len(found) == 3
    assert len(read(tmp_path, start=MONDAY + DAY - MINUTE, end=MONDAY + DAY + 30 * MINUTE + MINUTE)) == 4


def test_values_are_those_that_statistics_use(tmp_path: Path) -> None:
    flags = [None, "spike", "stuck", "missing", None]
    flagged = {"vibration_mms_flag": flags, "clock_flag": [None, None, None, None, "clock"]}
    values = {"vibration_mms": [1.0, 2.0, 3.0, None, 5.0]}
    deliver(tmp_path, Machine(OURS, "COMP-001", MONDAY, 5, {**values, **flagged}))

    found = read(tmp_path)

    np.testing.assert_array_equal(found.sensors["vibration_mms"], [1.0, np.nan, 3.0, np.nan, np.nan])
    for other in set(SENSOR_FIELDS) - {"vibration_mms"}:
        assert np.isnan(found.sensors[other]).tolist() == [False] * 4 + [True]


def test_more_readings_than_may_be_are_refused_with_what_to_narrow(tmp_path: Path) -> None:
    deliver(tmp_path, Machine(OURS, "COMP-001", MONDAY, 10), Machine(OURS, "COMP-002", MONDAY, 10))

    assert len(read(tmp_path, at_most=20)) == 20
    with pytest.raises(InvalidError, match=r"more than 19 readings .* fewer machines") as refused:
        read(tmp_path, at_most=19)
    assert refused.value.field == "compressor_ids"
    assert len(read(tmp_path, OURS, "COMP-002", at_most=10)) == 10


def test_without_a_lake_there_is_nothing_to_judge_yet(tmp_path: Path) -> None:
    (tmp_path / "silver" / "sensor_readings").mkdir(parents=True)

    for lake in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(ConflictError, match="the job's first run"):
            read(lake)


@pytest.mark.parametrize("what", ["*.parquet", "*.json"])
@pytest.mark.parametrize("how", ["garbled", "gone"])
def test_a_lake_that_cannot_be_read_is_unavailable_and_says_nothing_of_itself(
    tmp_path: Path, what: str, how: str
) -> None:
    deliver(tmp_path, Machine(OURS, "COMP-001", MONDAY, 10))
    for path in tmp_path.rglob(what):
        path.write_bytes(b"junk") if how == "garbled" else path.unlink()

    if (what, how) == ("*.json", "gone"):
        with pytest.raises(ConflictError):
            read(tmp_path)
        return
    with pytest.raises(UnavailableError) as refused:
        read(tmp_path)
    assert str(refused.value) == "readings cannot be looked at now; try again later"


def test_in_azure_the_token_is_that_of_the_programs_identity(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Identity:
        def get_token(self, scope: str) -> object:
            assert scope == "https://storage.azure.com/.default"
            return type("Token", (), {"token": "canary"})

    monkeypatch.setattr(silver, "_credential", Identity)
    lake = LakeSettings(altaviz_lake="abfss://lake@account.dfs.core.windows.net/x")
    caplog.set_level(logging.DEBUG)

    assert silver.options(lake) == silver.PATIENCE | {"bearer_token": "canary"}
    assert silver.options(LakeSettings(altaviz_lake="/x")) == {}
    assert "canary" not in caplog.text


def test_a_program_that_has_read_ends_as_it_should(tmp_path: Path) -> None:
    """The reader has threads of its own; one that outlives the interpreter would abort it."""
    deliver(tmp_path, Machine(OURS, "COMP-001", MONDAY, 10))
    program = (
        "import sys; from datetime import datetime, UTC; from uuid import UUID; from functions.alerts import silver; "
        "from functions.settings import LakeSettings; "
        "found = silver.read_usable(UUID(int=1), LakeSettings(altaviz_lake=sys.argv[1]), compressor_ids=None, "
        "start=datetime(2026, 1, 1, tzinfo=UTC), end=datetime(2026, 1, 9, tzinfo=UTC), at_most=99); print(len(found))"
    )

    ended = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True, timeout=60
    )

    assert (ended.stdout, ended.stderr) == ("10\n", "")


def test_files_that_a_table_no_longer_has_are_not_read(tmp_path: Path) -> None:
    deliver(tmp_path, Machine(OURS, "COMP-001", MONDAY, 10))
    (file,) = tmp_path.rglob("*.parquet")
    shutil.copy(file, file.with_name("part-of-an-unfinished-write.snappy.parquet"))

    assert len(read(tmp_path)) == 10
