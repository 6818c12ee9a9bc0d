# What Arrow's stubs leave open.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
import json
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl_job.decode import BRONZE, Delivery, Rules, decode
from shared_code.readings import REQUIRED_FIELDS
from tests.factories.landing import HOUR, MINUTE, MONDAY, as_csv, as_parquet, readings, with_column, with_value

OURS = "00000000-0000-4000-8000-00000000000a"
THEIRS = "00000000-0000-4000-8000-00000000000b"
NOBODY = "00000000-0000-4000-8000-00000000000c"
DELIVERED = MONDAY + 2 * HOUR
RULES = Rules(
    clock_tolerance=15 * MINUTE,
    earliest=datetime(2000, 1, 1, tzinfo=UTC),
    default_organization=OURS,
    organizations=frozenset({OURS, THEIRS}),
    machines=frozenset({f"{OURS}/COMP-001", f"{OURS}/COMP-002", f"{THEIRS}/COMP-001"}),
)


def decoded(content: bytes | pa.Table, name: str = "file.parquet", rules: Rules = RULES) -> list[dict[str, Any]]:
    whole = content if isinstance(content, bytes) else as_csv(content) if name.endswith("csv") else as_parquet(content)
    batch = decode(Delivery(name, DELIVERED, whole), rules, batch_id="b/1")
    batch.validate(full=True)
    assert batch.schema == BRONZE
    return batch.to_pylist()


def problems(rows: list[dict[str, Any]]) -> list[str | None]:
    return [row["problem"] for row in rows]


def csv_lines(table: pa.Table) -> list[str]:
    return as_csv(table).decode().splitlines()


def test_a_good_file_comes_out_whole() -> None:
    rows = decoded(readings(count=3))
    assert [row["row_number"] for row in rows] == [0, 1, 2]
    assert [row["timestamp"] for row in rows] == [MONDAY, MONDAY + 10 * MINUTE, MONDAY + 20 * MINUTE]
    assert rows[0] == rows[0] | {
        "source_file": "file.parquet",
        "delivered_at": DELIVERED,
        "organization_id": None,
        "compressor_id": "COMP-001",
        "vibration_mms": 3.0,
        "operating_hours": 20_000.0,
        "batch_id": "b/1",
    }
    unset = ("unparsed", "note", "problem", "detail", "raw", "content")
    assert all(row[name] is None for row in rows for name in unset)


def test_parquet_and_csv_say_the_same() -> None:
    table = readings(count=6)
    assert decoded(table, "file.csv") == [row | {"source_file": "file.csv"} for row in decoded(table)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("truncated.parquet", as_parquet(readings())[:-40]),
        ("cut_in_half.parquet", as_parquet(readings())[:600]),
        ("random.parquet", bytes(range(256)) * 4),
        ("empty.parquet", b""),
        ("empty.csv", b""),
        ("random.csv", b"\xff\xfe\x00\x01" * 50),
        ("readings.json", b"{}"),
        ("no_ending", as_parquet(readings())),
    ],
)
def test_an_unreadable_file_becomes_one_row_that_holds_its_bytes(name: str, content: bytes) -> None:
    (row,) = decoded(content, name)
    assert row["problem"] == "unreadable_file"
    assert row["detail"]
    assert row["content"] == content
    assert row["row_number"] is None


def test_a_missing_column_refuses_every_row_and_names_it() -> None:
    rows = decoded(readings(count=4).drop_columns(["gas_flow_mcf"]))
    assert problems(rows) == ["missing_column"] * 4
    assert {row["detail"] for row in rows} == {"gas_flow_mcf"}
    assert json.loads(rows[0]["raw"])["vibration_mms"] == 3.0


def test_a_renamed_column_is_a_missing_column() -> None:
    names = ["vibration" if name == "vibration_mms" else name for name in readings().column_names]
    rows = decoded(readings(count=2).rename_columns(names))
    assert problems(rows) == ["missing_column"] * 2
    assert rows[0]["detail"] == "vibration_mms"
    assert json.loads(rows[0]["raw"])["vibration"] == 3.0


@pytest.mark.parametrize("name", ["file.parquet", "file.csv"])
def test_a_doubled_column_refuses_every_row(name: str) -> None:
    table = readings(count=3)
    rows = decoded(table.append_column("vibration_mms", table.column("vibration_mms")), name)
    assert problems(rows) == ["doubled_column"] * 3
    assert rows[0]["detail"] == "vibration_mms"


def test_single_precision_is_widened_and_noted() -> None:
    table = readings(count=2)
    rows = decoded(with_column(table, "vibration_mms", pa.array([3.1, 2.7], pa.float32())))
    assert problems(rows) == [None, None]
    assert [row["note"] for row in rows] == ["single_precision"] * 2
    assert [row["vibration_mms"] for row in rows] == pytest.approx([3.1, 2.7], rel=1e-7)


@pytest.mark.parametrize("kind", [pa.int32(), pa.int64(), pa.uint16(), pa.decimal128(10, 2), pa.decimal256(40, 3)])
def test_whole_and_decimal_numbers_are_numbers(kind: pa.DataType) -> None:
    table = readings(count=2)
    rows = decoded(with_column(table, "gas_flow_mcf", pa.array([9000, 10000], kind)))
    assert problems(rows) == [None, None]
    assert [row["gas_flow_mcf"] for row in rows] == [9000.0, 10000.0]


@pytest.mark.parametrize(
    ("field", "kind", "value"),
    [
        ("vibration_mms", pa.bool_(), True),
        ("vibration_mms", pa.list_(pa.float64()), [3.0]),
        ("timestamp", pa.float64(), 1.7e9),
        ("timestamp", pa.int64(), 1_700_000_000),
        ("timestamp", pa.date32(), MONDAY.date()),
        ("compressor_id", pa.list_(pa.string()), ["COMP-001"]),
        ("organization_id", pa.binary(16), b"0123456789abcdef"),
        ("organization_id", pa.struct([("id", pa.string())]), {"id": OURS}),
    ],
)
def test_a_column_of_a_kind_that_says_nothing_refuses_every_row(field: str, kind: pa.DataType, value: object) -> None:
    table = with_column(readings(count=2, organization_id=OURS), field, pa.array([value, value], kind))
    rows = decoded(table)
    assert problems(rows) == ["wrong_type"] * 2
    assert rows[0]["detail"].startswith(f"{field}: ")


@pytest.mark.parametrize("name", ["file.parquet", "file.csv"])
def test_text_in_the_place_of_a_number_is_kept_as_text(name: str) -> None:
    table = readings(count=5)
    texts = ["3.5", "ERR", " 2e0 ", "", "+4"]
    rows = decoded(with_column(table, "vibration_mms", pa.array(texts)), name)
    assert problems(rows) == [None] * 5
    assert [row["vibration_mms"] for row in rows] == [3.5, None, 2.0, None, 4.0]
    assert [row["unparsed"] for row in rows] == [None, [("vibration_mms", "ERR")], None, None, None]


@pytest.mark.parametrize("text", ["0x1F", "1,5", "1_000", "--1", "n/a", "3.5 mm/s", ".", "1e", "٣"])
def test_what_only_resembles_a_number_is_text(text: str) -> None:
    (row,) = decoded(with_column(readings(count=1), "discharge_temp_f", pa.array([text])))
    assert row["discharge_temp_f"] is None
    assert row["unparsed"] == [("discharge_temp_f", text)]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("as_text", [False, True])
def test_values_that_are_not_finite_arrive_as_they_are(value: float, *, as_text: bool) -> None:
    column = pa.array([str(value)]) if as_text else pa.array([value])
    (row,) = decoded(with_column(readings(count=1), "vibration_mms", column))
    assert row["problem"] is None
    assert row["unparsed"] is None
    assert row["vibration_mms"] == pytest.approx(value, nan_ok=True)


def test_a_sensors_error_code_arrives_as_it_is() -> None:
    (row,) = decoded(with_value(readings(count=1), "suction_pressure_psi", 0, -999.0))
    assert row["suction_pressure_psi"] == -999.0
    assert row["problem"] is None


def test_a_missing_value_is_no_problem_of_the_row() -> None:
    (row,) = decoded(with_value(readings(count=1), "vibration_mms", 0, None))
    assert row["vibration_mms"] is None
    assert row["problem"] is None


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_a_time_without_a_zone_is_taken_for_utc_and_noted(unit: Any) -> None:  # noqa: ANN401 - Arrow's literal
    naive = pa.array([MONDAY.replace(tzinfo=None)], pa.timestamp(unit))
    (row,) = decoded(with_column(readings(count=1), "timestamp", naive))
    assert row["timestamp"] == MONDAY
    assert row["note"] == "no_time_zone"
    assert row["problem"] is None


def test_a_time_in_another_zone_is_the_same_instant() -> None:
    there = pa.array([MONDAY], pa.timestamp("ms", "America/Chicago"))
    (row,) = decoded(with_column(readings(count=1), "timestamp", there))
    assert (row["timestamp"], row["note"]) == (MONDAY, None)


def test_times_written_as_text_are_read() -> None:
    texts = ["2026-01-05T00:10:00Z", "2026-01-04 18:20:00-06:00", " 2026-01-05T00:30:00 ", "yesterday", ""]
    rows = decoded(with_column(readings(count=5), "timestamp", pa.array(texts)))
    assert [row["timestamp"] for row in rows[:3]] == [MONDAY + minutes * MINUTE for minutes in (10, 20, 30)]
    assert problems(rows) == [None, None, None, "bad_timestamp", "missing_timestamp"]
    assert rows[0]["note"] == "no_time_zone"
    assert json.loads(rows[3]["raw"])["timestamp"] == "yesterday"


@pytest.mark.parametrize(
    ("at", "problem"),
    [
        (DELIVERED + 15 * MINUTE, None),
        (DELIVERED + 15 * MINUTE + timedelta(microseconds=1), "future_timestamp"),
        (datetime(9999, 12, 31, tzinfo=UTC), "future_timestamp"),
        (datetime(2000, 1, 1, tzinfo=UTC), None),
        (datetime(1970, 1, 1, tzinfo=UTC), "ancient_timestamp"),
        (None, "missing_timestamp"),
    ],
)
def test_a_time_must_lie_between_2000_and_the_delivery(at: datetime | None, problem: str | None) -> None:
    (row,) = decoded(with_value(readings(count=1), "timestamp", 0, at))
    assert row["problem"] == problem
    assert (row["raw"] is None) == (problem is None)


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-12:00"])
def test_a_time_beyond_the_calendar_is_refused_like_any_other(text: str) -> None:
    (row,) = decoded(with_column(readings(count=1), "timestamp", pa.array([text])))
    assert row["problem"] == "bad_timestamp"


@pytest.mark.parametrize("at", [2**62, -(2**62)])
def test_a_time_too_large_for_microseconds_is_refused(at: int) -> None:
    huge = pa.array([at, 1_767_571_200_000], pa.int64()).cast(pa.timestamp("ms", "UTC"))
    rows = decoded(with_column(readings(count=2), "timestamp", huge))
    assert problems(rows) == ["bad_timestamp", None]
    assert json.loads(rows[0]["raw"])["timestamp"] == at


@pytest.mark.parametrize(
    ("machine", "problem"),
    [
        ("COMP-001", None),
        (" COMP-002 ", None),
        (None, "missing_compressor"),
        ("", "missing_compressor"),
        ("COMP-404", "unknown_compressor"),
    ],
)
@pytest.mark.parametrize("name", ["file.parquet", "file.csv"])
def test_a_row_needs_a_known_machine(machine: str | None, problem: str | None, name: str) -> None:
    (row,) = decoded(with_column(readings(count=1), "compressor_id", pa.array([machine], pa.string())), name)
    assert row["problem"] == problem


@pytest.mark.parametrize(
    ("organization", "problem"),
    [
        (OURS, None),
        (THEIRS.upper(), None),
        (None, None),  # the default one's
        (NOBODY, "unknown_organization"),
        ("Acme", "bad_organization"),
    ],
)
def test_a_row_needs_a_known_organization(organization: str | None, problem: str | None) -> None:
    column = pa.array([organization], pa.string())
    (row,) = decoded(with_column(readings(count=1, organization_id=OURS), "organization_id", column))
    assert row["problem"] == problem
    if problem is None:
        assert row["organization_id"] == (organization.lower() if organization else None)


def test_a_machine_of_another_organization_is_unknown() -> None:
    rows = decoded(readings("COMP-002", count=1, organization_id=THEIRS))
    assert problems(rows) == ["unknown_compressor"]


def test_a_retired_machine_takes_no_new_readings() -> None:
    rules = replace(RULES, retired=frozenset({f"{OURS}/COMP-002", f"{THEIRS}/COMP-001"}))
    machines = pa.array(["COMP-001", "COMP-002", "COMP-404", None])
    rows = decoded(with_column(readings(count=4), "compressor_id", machines), rules=rules)
    assert problems(rows) == [None, "retired_compressor", "unknown_compressor", "missing_compressor"]


@pytest.mark.parametrize(
    ("folder", "owner", "problem"),
    [
        (f"api/{OURS}/2026-01-05", OURS, None),
        (f"api/{OURS}/2026-01-05", OURS.upper(), None),
        (f"api/{OURS}/2026-01-05", THEIRS, "foreign_organization"),
        (f"api/{THEIRS}/2026-01-05", OURS, "foreign_organization"),
        (f"api/{THEIRS}/2026-01-05", None, "foreign_organization"),  # it would become the default one's
        (f"api/{OURS}/2026-01-05", NOBODY, "foreign_organization"),
        ("api/Acme", OURS, "foreign_organization"),
        ("api", OURS, "foreign_organization"),
        ("gateway/api", THEIRS, None),
    ],
)
def test_what_came_by_request_for_one_organization_is_of_that_one_alone(
    folder: str, owner: str | None, problem: str | None
) -> None:
    column = pa.array([owner], pa.string())
    table = with_column(readings(count=1, organization_id=OURS), "organization_id", column)
    (row,) = decoded(table, f"{folder}/file.parquet")
    assert row["problem"] == problem


def test_a_file_that_came_by_request_and_names_no_organization_is_nobodys() -> None:
    assert problems(decoded(readings(count=1), f"api/{OURS}/2026-01-05/file.parquet")) == ["foreign_organization"]


def test_without_a_default_a_row_must_name_its_organization() -> None:
    assert problems(decoded(readings(count=2), rules=replace(RULES, default_organization=None))) == [
        "no_organization",
        "no_organization",
    ]


def test_a_torn_csv_line_is_put_aside_and_the_others_arrive() -> None:
    lines = csv_lines(readings(count=3))
    lines[2] = lines[2][:25]
    rows = decoded("\n".join(lines).encode(), "file.csv")
    assert problems(rows) == [None, None, "wrong_field_count"]
    assert [row["row_number"] for row in rows] == [0, 1, 2]
    assert json.loads(rows[2]["raw"]) == lines[2]


def test_a_csv_file_of_nothing_but_torn_lines_loses_none() -> None:
    header = csv_lines(readings(count=1))[0]
    rows = decoded(f"{header}\nCOMP-001,2026\nCOMP-001\n".encode(), "file.csv")
    assert problems(rows) == ["wrong_field_count"] * 2


def test_a_spreadsheets_csv_is_read() -> None:
    unquoted = [line.replace('"', "") for line in csv_lines(readings(count=2))]
    lines = [",".join(f'"{cell}"' for cell in line.split(",")) for line in unquoted]
    rows = decoded(b"\xef\xbb\xbf" + "\r\n".join(lines).encode(), "FILE.CSV")
    assert problems(rows) == [None, None]
    assert [row["vibration_mms"] for row in rows] == readings(count=2).column("vibration_mms").to_pylist()


def test_dictionary_encoded_columns_are_read() -> None:
    table = readings(count=4)
    for field in ("compressor_id", "vibration_mms"):
        table = with_column(table, field, table.column(field).combine_chunks().dictionary_encode())
    assert decoded(table) == decoded(readings(count=4))


@pytest.mark.parametrize("field", ["compressor_id", "timestamp", "vibration_mms"])
def test_text_that_is_no_utf_8_puts_the_file_aside_and_does_not_stop_the_job(field: str) -> None:
    broken = pa.array([b"COMP-\xff\xfe"], pa.binary()).view(pa.string())
    (row,) = decoded(with_column(readings(count=1), field, broken))
    assert row["problem"] == "unreadable_file"
    assert row["content"]


@pytest.mark.parametrize("name", ["file.parquet", "file.csv"])
def test_a_file_without_rows_gives_none(name: str) -> None:
    assert decoded(readings(count=0), name) == []


TROUBLES: dict[str, tuple[Any, ...]] = {
    "compressor_id": ("COMP-001", "COMP-404", None, " "),
    "timestamp": ("2026-01-05T00:00:00Z", "2030-01-01", "1970-01-01T00:00:00Z", "noon", None),
    "organization_id": (OURS, THEIRS, NOBODY, "Acme", None),
    "vibration_mms": ("3.1", "-999", "nan", "inf", "broken", None),
}


@given(st.lists(st.fixed_dictionaries({name: st.sampled_from(words) for name, words in TROUBLES.items()}), max_size=12))
@settings(max_examples=60, deadline=None)
def test_every_row_comes_out_once_and_in_its_place(rows: list[dict[str, str | None]]) -> None:
    usual = readings(count=len(rows), organization_id=OURS)
    columns = {name: pa.array([row[name] for row in rows], pa.string()) for name in TROUBLES}
    together: dict[str, Any] = {name: usual.column(name) for name in ("organization_id", *REQUIRED_FIELDS)} | columns
    table = pa.table(together)
    for name in ("file.parquet", "file.csv"):
        out = decoded(table, name)
        assert [row["row_number"] for row in out] == list(range(len(rows)))
        for given_row, row in zip(rows, out, strict=True):
            assert (row["problem"] is None) == (
                given_row["compressor_id"] == "COMP-001"
                and given_row["timestamp"] == TROUBLES["timestamp"][0]
                and given_row["organization_id"] in {OURS, THEIRS, None}
            )
            assert (row["raw"] is None) == (row["problem"] is None)
            assert (row["unparsed"] is not None) == (given_row["vibration_mms"] == "broken")
