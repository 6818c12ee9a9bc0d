"""Rows as gateways send them, good and bad, in every form."""

# What Arrow's stubs leave open:
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import io
import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.readings import parquet
from functions.readings.ingestion import MAX_READINGS, Format, Judged, Note, Rules, judge, parse
from shared_code.errors import InvalidError
from shared_code.identifiers import OrganizationId
from shared_code.readings import REQUIRED_FIELDS
from shared_code.thresholds import thresholds
from tests.factories.landing import MONDAY, as_csv, as_parquet, readings, with_column

OURS = OrganizationId(UUID("00000000-0000-4000-8000-00000000000a"))
NOW = MONDAY + timedelta(hours=2)
RULES = Rules(
    organization_id=OURS,
    in_use={"COMP-001", "7"},
    retired={"COMP-OLD"},
    earliest=datetime(2000, 1, 1, tzinfo=UTC),
    latest=NOW + timedelta(minutes=15),
    thresholds=thresholds(),
)
GOOD: dict[str, Any] = {
    "compressor_id": "COMP-001",
    "timestamp": "2026-01-05T00:10:00Z",
    "vibration_mms": 3.1,
    "discharge_temp_f": 201.5,
    "suction_pressure_psi": 60,
    "discharge_pressure_psi": 1049.0,
    "horsepower_consumption": 1402.0,
    "gas_flow_mcf": None,
    "operating_hours": 20144.5,
}


def judged(*rows: object) -> Judged:
    return judge(parse(Format.JSON, json.dumps(rows).encode()), RULES)


def the_refusal(**values: object) -> tuple[str | None, str]:
    outcome = judged(GOOD | values)
    (note,) = outcome.refusals
    assert (outcome.received, outcome.accepted, note.index) == (1, 0, 0)
    return note.field, note.reason


def in_every_form(table: pa.Table) -> dict[Format, bytes]:
    rows = [row | {"timestamp": row["timestamp"].isoformat()} for row in table.to_pylist()]
    return {
        Format.JSON: json.dumps({"readings": rows}).encode(),
        Format.NDJSON: b"\n".join(json.dumps(row).encode() for row in rows) + b"\n\n",
        Format.CSV: as_csv(table),
        Format.PARQUET: as_parquet(table),
    }


def test_every_form_says_the_same() -> None:
    forms = in_every_form(readings(count=5, organization_id=OURS))
    outcomes = [judge(parse(written, body), RULES) for written, body in forms.items()]

    assert outcomes[0].accepted == 5
    assert outcomes[0].columns["timestamp"][1] == MONDAY + timedelta(minutes=10)
    assert all(outcome == outcomes[0] for outcome in outcomes)


@pytest.mark.parametrize(
    ("values", "field", "reason"),
    [
        ({"compressor_id": "COMP-404"}, "compressor_id", "there is no such compressor"),
        ({"compressor_id": "COMP-OLD"}, "compressor_id", "is retired"),
        ({"compressor_id": " "}, "compressor_id", "is empty"),
        ({"compressor_id": None}, "compressor_id", "is empty"),
        ({"compressor_id": ["COMP-001"]}, "compressor_id", "must be text"),
        ({"compressor_id": True}, "compressor_id", "must be text"),
        ({"timestamp": None}, "timestamp", "is empty"),
        ({"timestamp": "noon"}, "timestamp", "must be an ISO 8601"),
        ({"timestamp": "2026-01-05T00:00:00"}, "timestamp", "must be an ISO 8601 time with its zone"),
        ({"timestamp": 1_767_571_200}, "timestamp", "must be an ISO 8601"),
        ({"timestamp": "0001-01-01T00:00:00+05:00"}, "timestamp", "must be an ISO 8601"),
        ({"timestamp": "2026-01-05T02:15:01Z"}, "timestamp", "lies ahead of 2026-01-05T02:15:00Z"),
        ({"timestamp": "1970-01-01T00:00:00Z"}, "timestamp", "lies before 2000-01-01"),
        ({"organization_id": str(UUID(int=7))}, "organization_id", "must be left out, or be"),
        ({"organization_id": "Acme"}, "organization_id", "must be left out, or be"),
        ({"vibration_mms": True}, "vibration_mms", "must be a number"),
        ({"vibration_mms": [3.0]}, "vibration_mms", "must be a number"),
        ({"operating_hours": {}}, "operating_hours", "must be a number"),
    ],
)
def test_a_row_that_cannot_go_on_is_refused_by_field_and_reason(
    values: Mapping[str, object], field: str, reason: str
) -> None:
    refused = the_refusal(**values)

    assert refused[0] == field
    assert refused[1].startswith(reason)


@pytest.mark.parametrize("field", REQUIRED_FIELDS)
def test_a_missing_field_refuses_the_row(field: str) -> None:
    outcome = judged({name: value for name, value in GOOD.items() if name != field}, GOOD)

    assert outcome.refusals == [Note(0, field, "is missing; send null where there is no value")]
    assert outcome.accepted == 1


@pytest.mark.parametrize("row", [None, 7, "x", [GOOD]])
def test_what_is_no_object_is_refused(row: object) -> None:
    assert judged(row).refusals == [Note(0, None, "must be an object")]


def test_a_field_named_twice_refuses_the_row() -> None:
    body = json.dumps([GOOD])[:-2] + ', "vibration_mms": 3}]'

    assert judge(parse(Format.JSON, body.encode()), RULES).refusals == [Note(0, None, "names a field twice")]


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("vibration_mms", 50.1, "is not what a working sensor says, 0 to 50 mm/s RMS"),
        ("suction_pressure_psi", -999, "is not what a working sensor says, 0 to 500 PSI"),
        ("vibration_mms", "ERR", "is not a number"),
        ("operating_hours", "n/a", "is not a number"),
        ("vibration_mms", math.nan, "is not a number"),
        ("gas_flow_mcf", -math.inf, "is not finite"),
        ("gas_flow_mcf", 10**400, "is not finite"),
    ],
)
def test_a_doubtful_value_is_flagged_and_goes_on(field: str, value: object, reason: str) -> None:
    outcome = judged(GOOD | {field: value})

    assert outcome.warnings == [Note(0, field, reason)]
    assert (outcome.accepted, outcome.refusals) == (1, [])
    kept = outcome.columns[field][0]
    assert kept == pytest.approx(value, nan_ok=True) if isinstance(value, float) else kept is not None


@pytest.mark.parametrize(
    ("said", "kept"), [("3.5", 3.5), (" 2e0 ", 2.0), ("", None), ("+4", 4.0), ("1_000", "1_000"), ("٣", "٣"), (4, 4.0)]
)
def test_text_is_read_as_the_job_reads_it(said: object, kept: object) -> None:
    assert judged(GOOD | {"vibration_mms": said}).columns["vibration_mms"] == [kept]


def test_what_is_the_same_said_otherwise_goes_on() -> None:
    outcome = judged(
        GOOD | {"compressor_id": " COMP-001 ", "timestamp": "2026-01-04 18:10:00-06:00", "organization_id": ""},
        GOOD | {"compressor_id": 7, "organization_id": str(OURS).upper()},
    )

    assert outcome.columns["compressor_id"] == ["COMP-001", "7"]
    assert outcome.columns["timestamp"] == [MONDAY + timedelta(minutes=10)] * 2


def test_fields_that_readings_do_not_have_are_named() -> None:
    assert judged(GOOD | {"vibration": 3}, GOOD | {"site": "x"}).ignored_fields == {"vibration", "site"}


@pytest.mark.parametrize(
    ("written", "body", "said"),
    [
        (Format.JSON, b"", "the body is not JSON: Expecting value, line 1 column 1"),
        (Format.JSON, b"[{]", "the body is not JSON"),
        (Format.JSON, b"\xff\xfe", "not UTF-8"),
        (Format.JSON, b"[" * 100_000, "not JSON: too deep"),
        (Format.JSON, b"[" + b"9" * 5_000 + b"]", "not JSON: a number is too long"),
        (Format.JSON, b"{}", "must be an array"),
        (Format.JSON, b'{"readings": [], "x": 1}', "must be an array"),
        (Format.JSON, b'{"readings": [], "readings": []}', "must be an array"),
        (Format.JSON, b'{"readings": {}}', "must be an array"),
        (Format.JSON, b"[]", "holds no reading"),
        (Format.NDJSON, b" \n\n", "holds no reading"),
        (Format.CSV, b"", "holds no reading"),
        (Format.CSV, b"compressor_id,timestamp\n", "holds no reading"),
        (Format.CSV, b"a,b,a\n1,2,3\n", "names a column twice: a"),
        (Format.CSV, b'a,b\n1,"2\n', "is not CSV"),
        (Format.PARQUET, b"", "cannot be read as Parquet"),
        (Format.PARQUET, b"PAR1" * 8, "cannot be read as Parquet"),
        (Format.PARQUET, as_parquet(readings())[:-40], "cannot be read as Parquet"),
        (Format.PARQUET, as_parquet(readings(count=0)), "holds no reading"),
    ],
)
def test_a_body_that_cannot_be_read_is_said_to_be(written: Format, body: bytes, said: str) -> None:
    with pytest.raises(InvalidError, match=said.replace("(", r"\(")):
        parse(written, body)


def test_too_many_readings_are_too_many_in_every_form() -> None:
    lines = b"{}\n" * (MAX_READINGS + 2)
    table = pa.table({"vibration_mms": pa.nulls(MAX_READINGS + 1, pa.float64())})
    bodies = {Format.NDJSON: lines, Format.CSV: lines, Format.PARQUET: as_parquet(table)}
    for written, body in bodies.items():
        with pytest.raises(InvalidError, match="may hold 50000 readings"):
            parse(written, body)
    assert len(parse(Format.NDJSON, b"{}\n" * MAX_READINGS)) == MAX_READINGS


def test_a_torn_line_is_refused_alone() -> None:
    lines = as_csv(readings(count=3)).splitlines()
    lines[2] = lines[2][:20]
    outcome = judge(parse(Format.CSV, b"\r\n".join(lines)), RULES)
    broken = judge(parse(Format.NDJSON, b'{"a\n' + json.dumps(GOOD).encode()), RULES)

    assert outcome.accepted == 2
    assert outcome.refusals == [Note(1, None, "has 2 fields where the first line has 9")]
    assert (broken.accepted, broken.refusals[0].index) == (1, 0)
    assert broken.refusals[0].reason.startswith("is not JSON")


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_a_parquet_time_needs_its_zone_and_keeps_its_unit(unit: Any) -> None:  # noqa: ANN401 - Arrow's literal
    table = readings(count=1)
    zoned = with_column(table, "timestamp", pa.array([MONDAY], pa.timestamp(unit, "America/Chicago")))
    naive = with_column(table, "timestamp", pa.array([MONDAY.replace(tzinfo=None)], pa.timestamp(unit)))

    assert judge(parse(Format.PARQUET, as_parquet(zoned)), RULES).columns["timestamp"] == [MONDAY]
    assert judge(parse(Format.PARQUET, as_parquet(naive)), RULES).refusals[0].field == "timestamp"


def test_odd_parquet_columns_are_judged_value_by_value() -> None:
    table = readings(count=2)
    table = with_column(table, "compressor_id", pa.array([b"COMP-001", b"\xff"], pa.binary()))
    table = with_column(table, "vibration_mms", pa.array([3.5, None], pa.float32()))
    table = with_column(table, "gas_flow_mcf", pa.array([9000, 9001], pa.decimal128(10, 2)))
    table = with_column(table, "timestamp", pa.array([MONDAY, MONDAY], pa.timestamp("us", "UTC")))
    table = with_column(table, "discharge_temp_f", pa.array(["200.5", "ERR"]).dictionary_encode())

    outcome = judge(parse(Format.PARQUET, as_parquet(table)), RULES)

    assert outcome.refusals == [Note(1, "compressor_id", "must be text")]
    assert [outcome.columns[name] for name in ("vibration_mms", "gas_flow_mcf", "discharge_temp_f")] == [
        [3.5],
        [9000.0],
        [200.5],
    ]


def test_a_parquet_time_beyond_the_calendar_refuses_the_row() -> None:
    huge = pa.array([2**62], pa.int64()).cast(pa.timestamp("ms", "UTC"))
    outcome = judge(parse(Format.PARQUET, as_parquet(with_column(readings(count=1), "timestamp", huge))), RULES)

    assert outcome.refusals[0].field == "timestamp"


def test_a_parquet_file_that_unpacks_to_much_more_is_refused() -> None:
    file = io.BytesIO()
    zeros = pa.array(["x" * 2_000_000] * 40)
    pq.write_table(pa.table({"compressor_id": zeros}), file, compression="zstd", use_dictionary=False)

    assert len(file.getvalue()) < 1_000_000
    with pytest.raises(InvalidError, match="may unpack to"):
        parse(Format.PARQUET, file.getvalue())


def test_a_long_text_that_repeats_is_held_once() -> None:
    file = io.BytesIO()
    repeating: Any = pa.DictionaryArray.from_arrays(pa.array([0] * 10_000, pa.int32()), pa.array(["x" * 100_000]))
    pq.write_table(pa.table({"compressor_id": repeating}), file, store_schema=False)

    rows = parse(Format.PARQUET, file.getvalue())

    assert len({id(row["compressor_id"]) for row in rows if isinstance(row, Mapping)}) == 1


def test_what_lands_is_what_was_accepted_and_names_its_organization() -> None:
    rows = [GOOD, GOOD | {"vibration_mms": "ERR", "gas_flow_mcf": 9000}, GOOD | {"vibration_mms": None}]
    content = parquet.write(judged(*rows).columns, OURS, b'{"accepted": 3}')

    table = pq.ParquetFile(pa.BufferReader(content)).read()

    assert table.column_names == ["organization_id", *REQUIRED_FIELDS]
    assert table.column("organization_id").to_pylist() == [str(OURS)] * 3
    assert table.column("vibration_mms").to_pylist() == ["3.1", "ERR", None]
    assert table.column("gas_flow_mcf").to_pylist() == [None, 9000.0, None]
    assert table.schema.field("timestamp").type == pa.timestamp("us", "UTC")
    assert parquet.receipt_of(content) == b'{"accepted": 3}'


VALUES = st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=6) | st.lists(st.none(), max_size=1)
ODD_ROWS = st.dictionaries(st.sampled_from([*REQUIRED_FIELDS, "organization_id", "other"]), VALUES)


@given(st.lists(ODD_ROWS.map(lambda odd: GOOD | odd) | ODD_ROWS | VALUES, min_size=1, max_size=8))
def test_counts_add_up_whatever_is_sent(rows: list[object]) -> None:
    outcome = judged(*rows)

    assert outcome.received == len(rows) == outcome.accepted + len(outcome.refusals)
    assert {len(values) for values in outcome.columns.values()} == {outcome.accepted}
    refused = [note.index for note in outcome.refusals]
    assert refused == sorted(set(refused))
    assert not {note.index for note in outcome.warnings} & set(refused)
    if outcome.accepted:
        parquet.write(outcome.columns, OURS, b"{}")
