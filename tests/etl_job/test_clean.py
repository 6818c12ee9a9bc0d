# What Arrow's stubs leave open.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from math import isnan, nan
from random import Random
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl_job.arrays import arrow_schema
from etl_job.clean import CARRIED, FLAGS, OUTCOMES, SAID, judged
from etl_job.delta_tables import JUDGED_SCHEMA, SILVER_SCHEMA
from shared_code.readings import SENSOR_FIELDS
from shared_code.thresholds import thresholds
from tests.factories.landing import HOUR, MINUTE, MONDAY, NORMAL

Row = dict[str, Any]
NOON = MONDAY + 12 * HOUR
EARLIER, LATER = MONDAY + 24 * HOUR, MONDAY + 25 * HOUR
"""When files were delivered."""
CALM = [3.0, 3.1, 2.9, 3.0, 3.2, 2.8]
ROWS = pa.schema(
    [
        *(arrow_schema(SILVER_SCHEMA).field(name) for name in CARRIED),
        pa.field("unparsed", pa.int32()),
        pa.field("arrived", pa.bool_()),
        *(pa.field(flag, pa.string()) for flag in FLAGS),
        pa.field("stored_by", pa.string()),
    ]
)


def row(vibration: float | None = 3.0, *, at: datetime = NOON, **columns: object) -> Row:
    """Return a row that has just arrived, usual but for what is given."""
    made: Row = dict.fromkeys(ROWS.names)
    made |= {field: usual for field, (usual, _) in NORMAL.items()}
    made |= {"organization_id": "org-1", "compressor_id": "COMP-001", "timestamp": at, "vibration_mms": vibration}
    made |= {"operating_hours": 20_000 + (at - MONDAY) / HOUR, "unparsed": 0, "arrived": True}
    made |= {"delivered_at": EARLIER, "source_file": "a.parquet", "row_number": 0}
    return made | columns


def stored(vibration: float | None = 3.0, *, by: str = "before", **columns: object) -> Row:
    """Return a row that Silver holds."""
    return row(vibration) | {"arrived": False, "stored_by": by} | columns


def judge(*rows: Row) -> list[Row]:
    """Return judged rows by machine, time and precedence."""
    found = judged(pa.Table.from_pylist(rows, ROWS), thresholds(), "now")
    assert found.schema.names == JUDGED_SCHEMA.names
    assert found.schema.equals(arrow_schema(JUDGED_SCHEMA))
    names = ("organization_id", "compressor_id", "timestamp", "delivered_at", "source_file", "row_number", "arrived")
    return sorted(found.to_pylist(), key=lambda one: tuple(one[name] for name in names))


def outcomes(*rows: Row) -> list[str]:
    return [one["outcome"] for one in judge(*rows)]


def kept(*rows: Row) -> list[Row]:
    return [one for one in judge(*rows) if one["outcome"] == "kept"]


def day(vibration: Sequence[float], **columns: object) -> list[Row]:
    """Return rows ten minutes apart from midnight."""
    return [
        row(value, at=MONDAY + place * 10 * MINUTE, row_number=place) | varied(place) | columns
        for place, value in enumerate(vibration)
    ]


def varied(place: int) -> Row:
    """Return what the other sensors say; they stray, so that none is stuck."""
    return {
        field: usual + stray * CALM[place % len(CALM)]
        for field, (usual, stray) in NORMAL.items()
        if field != "vibration_mms"
    }


def test_a_row_alone_is_kept_as_it_arrived() -> None:
    alone = row(note="as local time", source_file="b.csv", row_number=7)
    (found,) = judge(alone)
    carried = {name: alone[name] for name in (*CARRIED, "arrived")}
    assert found == {**carried, **dict.fromkeys(FLAGS), "news": True, "outcome": "kept", "confirms": False}


def test_the_row_from_the_file_delivered_last_counts() -> None:
    rows = [row(3.0, delivered_at=LATER, source_file="a", row_number=0)]
    rows += [row(4.0, delivered_at=EARLIER, source_file="b", row_number=1)]
    assert [one["vibration_mms"] for one in kept(*rows)] == [3.0]
    assert outcomes(*rows) == ["conflicting_duplicate", "kept"]


def test_of_files_delivered_together_the_greater_path_counts() -> None:
    rows = [row(3.0, source_file="b", row_number=0), row(4.0, source_file="a", row_number=1)]
    assert [one["vibration_mms"] for one in kept(*rows)] == [3.0]


def test_in_a_file_the_later_row_counts() -> None:
    rows = [row(3.0, row_number=10), row(4.0, row_number=9), row(5.0, row_number=2)]
    assert [one["vibration_mms"] for one in kept(*rows)] == [3.0]


def test_paths_are_compared_as_text_and_not_by_the_order_of_arrival() -> None:
    rows = [row(float(place), source_file=name) for place, name in enumerate(["ä", "Z", "b", "", "zz", "a"])]
    assert [one["source_file"] for one in judge(*rows)] == ["", "Z", "a", "b", "zz", "ä"]
    assert [one["source_file"] for one in kept(*rows)] == ["ä"]


def test_a_row_that_says_the_same_as_the_next_is_repeated() -> None:
    rows = [row(3.0, row_number=0), row(4.0, row_number=1), row(4.0, row_number=2)]
    assert outcomes(*rows) == ["conflicting_duplicate", "repeated", "kept"]


@pytest.mark.parametrize("field", SAID)
def test_a_row_that_differs_in_any_value_is_in_conflict(field: str) -> None:
    assert outcomes(row(), row(row_number=1) | {field: 1.0}) == ["conflicting_duplicate", "kept"]


def test_a_note_is_no_difference() -> None:
    assert outcomes(row(note="as local time"), row(row_number=1)) == ["repeated", "kept"]


def test_the_row_that_silver_took_from_a_file_is_the_same_row_when_the_file_comes_again() -> None:
    assert outcomes(stored(), row()) == ["same_row", "kept"]


def test_a_row_that_is_read_otherwise_than_before_is_still_the_same_row() -> None:
    assert outcomes(stored(3.0), row(4.0)) == ["same_row", "kept"]
    assert [one["vibration_mms"] for one in kept(stored(3.0), row(4.0))] == [4.0]


def test_a_row_of_silver_may_count_before_one_that_arrived() -> None:
    assert outcomes(stored(3.0, delivered_at=LATER), row(4.0)) == ["conflicting_duplicate", "kept"]
    (found,) = kept(stored(3.0, delivered_at=LATER), row(4.0))
    assert (found["vibration_mms"], found["arrived"], found["news"]) == (3.0, False, False)


def news(*rows: Row) -> list[bool]:
    """Return of each row that counts whether Silver has to be told."""
    return [one["news"] for one in kept(*rows)]


def test_a_row_that_counts_and_arrived_is_news() -> None:
    assert news(row()) == [True]
    assert news(stored(), row()) == [True]


def test_a_row_of_silver_is_news_where_its_flags_come_out_otherwise() -> None:
    assert news(stored()) == [False]
    assert news(stored(vibration_mms_flag="spike")) == [True]
    assert news(stored(clock_flag="clock")) == [True]
    assert news(stored(None, vibration_mms_flag="missing")) == [False]
    assert news(stored(None)) == [True]


def test_text_that_a_gateway_sent_for_a_value_is_remembered_by_its_flag() -> None:
    (found,) = kept(stored(None, vibration_mms_flag="not_a_number"))
    assert (found["vibration_mms_flag"], found["news"]) == ("not_a_number", False)


def test_a_row_of_silver_that_another_one_overrules_is_no_news() -> None:
    assert [one["news"] for one in judge(stored(3.0), row(4.0, delivered_at=LATER))] == [False, True]


@pytest.mark.parametrize(
    ("one", "other", "outcome"),
    [
        (None, None, "repeated"),
        (nan, nan, "repeated"),
        (0.0, -0.0, "repeated"),
        (None, nan, "conflicting_duplicate"),
        (nan, 3.0, "conflicting_duplicate"),
        (3.0, None, "conflicting_duplicate"),
    ],
)
def test_null_equals_null_and_nan_equals_nan(one: float | None, other: float | None, outcome: str) -> None:
    assert outcomes(row(one), row(other, row_number=1)) == [outcome, "kept"]


def confirms(*rows: Row) -> list[bool]:
    """Return of each row that counts whether it confirms."""
    return [one["confirms"] for one in kept(*rows)]


def test_a_row_confirms_what_an_earlier_batch_stored() -> None:
    assert confirms(stored(3.0), row(3.0, delivered_at=LATER)) == [True]
    assert confirms(stored(3.0), row(4.0, delivered_at=LATER)) == [False]
    assert confirms(stored(None), row(None, delivered_at=LATER)) == [True]
    assert confirms(stored(nan), row(nan, delivered_at=LATER)) == [True]
    assert confirms(stored(None), row(nan, delivered_at=LATER)) == [False]


def test_what_this_batch_stored_in_an_earlier_attempt_is_no_news_from_before() -> None:
    assert confirms(stored(3.0, by="now"), row(3.0)) == [False]


def test_rows_that_arrive_together_confirm_nothing() -> None:
    assert confirms(row(3.0), row(3.0, row_number=1)) == [False]


def test_a_row_confirms_past_one_in_conflict() -> None:
    rows = [stored(3.0), row(4.0, row_number=1), row(3.0, row_number=2)]
    assert outcomes(*rows) == ["conflicting_duplicate", "conflicting_duplicate", "kept"]
    assert confirms(*rows) == [True]


def test_a_confirmed_instant_says_nothing_about_the_next() -> None:
    again, new = row(3.0, delivered_at=LATER), row(3.0, at=NOON + 10 * MINUTE, delivered_at=LATER)
    assert confirms(stored(3.0), again, new) == [True, False]


def test_organizations_with_machines_of_one_name_never_mix() -> None:
    values = [*CALM, *CALM, 12.0, *CALM]
    both = [*day(values), *day(CALM * 4, organization_id="org-2")]
    found = kept(*both)
    assert len(found) == len(both)
    assert [(one["organization_id"], one["timestamp"]) for one in found if one["vibration_mms_flag"]] == [
        ("org-1", MONDAY + 2 * HOUR)
    ]


def test_names_that_only_look_alike_when_joined_are_two_machines() -> None:
    rows = [row(3.0, organization_id="a", compressor_id="bc"), row(4.0, organization_id="ab", compressor_id="c")]
    assert outcomes(*rows) == ["kept", "kept"]


@pytest.mark.parametrize("place", range(len(SENSOR_FIELDS)))
def test_a_sensor_whose_bit_is_set_sent_text_that_means_nothing(place: int) -> None:
    (found,) = judge(row(unparsed=1 << place) | {SENSOR_FIELDS[place]: None})
    assert {name: found[name] for name in FLAGS if found[name]} == {f"{SENSOR_FIELDS[place]}_flag": "not_a_number"}


def test_bits_are_read_each_for_itself() -> None:
    (found,) = judge(row(None, gas_flow_mcf=None, suction_pressure_psi=None, unparsed=0b100001))
    assert found["vibration_mms_flag"] == found["gas_flow_mcf_flag"] == "not_a_number"
    assert found["suction_pressure_psi_flag"] == "missing"


def test_a_value_in_doubt_stays_as_it_arrived() -> None:
    first, second = judge(row(-999.0), row(nan, at=NOON + 10 * MINUTE))
    assert (first["vibration_mms"], first["vibration_mms_flag"]) == (-999.0, "implausible")
    assert (isnan(second["vibration_mms"]), second["vibration_mms_flag"]) == (True, "not_finite")


def test_a_row_that_does_not_count_has_no_flags_and_is_no_neighbour() -> None:
    values = [*CALM, *CALM, 12.0, *CALM]
    overruled = [{**one, "vibration_mms": -999.0, "row_number": -1} for one in day(values)]
    found = judge(*day(values), *overruled)
    assert {one[name] for one in found if one["outcome"] != "kept" for name in FLAGS} == {None}
    assert [one["vibration_mms_flag"] for one in found if one["outcome"] == "kept"] == [
        *[None] * 12,
        "spike",
        *[None] * 6,
    ]


def test_a_wrong_clock_is_flagged_on_its_row() -> None:
    rows = day(CALM * 2)
    rows[6]["operating_hours"] -= 9
    assert [one["row_number"] for one in judge(*rows) if one["clock_flag"] == "clock"] == [6]


def an_eventful_day(**columns: object) -> list[Row]:
    """Return a spike, a stuck sensor, a missing value, and rows that repeat and contradict others."""
    rows = day([*CALM * 2, 12.0, *CALM * 2, *[3.3] * 13, *CALM], **columns)
    rows[3]["gas_flow_mcf"] = None
    contradicted = {**rows[5], "vibration_mms": 4.5, "row_number": -1}
    return [*rows, {**rows[4], "row_number": -1}, contradicted, {**rows[7], "arrived": False, "stored_by": "before"}]


def test_the_order_of_arrival_changes_nothing() -> None:
    rows = an_eventful_day()
    expected = judge(*rows)
    assert {one["vibration_mms_flag"] for one in expected} == {None, "spike", "stuck"}
    assert {one["outcome"] for one in expected} == set(OUTCOMES)
    assert judge(*reversed(rows)) == expected
    for seed in range(5):
        assert judge(*Random(seed).sample(rows, len(rows))) == expected  # noqa: S311 - any order will do


def test_each_of_many_machines_is_judged_as_if_it_were_alone() -> None:
    owners = [(f"org-{i % 3}", f"COMP-{i // 3:03}") for i in range(30)]
    alone = [
        one
        for organization_id, compressor_id in sorted(owners)
        for one in judge(*an_eventful_day(organization_id=organization_id, compressor_id=compressor_id))
    ]
    rows = [
        one
        for organization_id, compressor_id in owners
        for one in an_eventful_day(organization_id=organization_id, compressor_id=compressor_id)
    ]
    assert judge(*Random(0).sample(rows, len(rows))) == alone  # noqa: S311 - any order will do


def test_chunks_make_no_difference() -> None:
    rows = [*an_eventful_day(), *an_eventful_day(organization_id="org-2")]
    whole = pa.Table.from_pylist(rows, ROWS)
    pieces = pa.concat_tables([whole.slice(start, 7) for start in range(0, len(rows), 7)])
    assert judged(pieces, thresholds(), "now").equals(judged(whole, thresholds(), "now"))


@st.composite
def deliveries(draw: st.DrawFn) -> list[Row]:
    """Draw rows of few machines, instants and values from a few files; Silver holds one row an instant, if any."""
    values = st.sampled_from([3.0, 4.0, nan, None])
    rows = [
        row(
            draw(values),
            at=NOON + draw(st.integers(0, 2)) * 10 * MINUTE,
            organization_id=draw(st.sampled_from(["org-1", "org-2"])),
            compressor_id=draw(st.sampled_from(["COMP-001", "COMP-002"])),
            delivered_at=draw(st.sampled_from([EARLIER, LATER])),
            source_file=draw(st.sampled_from(["a", "b"])),
            row_number=number,
        )
        for number in range(draw(st.integers(1, 20)))
    ]
    held = {instant(one): one for one in rows if draw(st.booleans())}
    names = st.sampled_from(["before", "now"])
    rows += [{**one, "arrived": False, "stored_by": draw(names)} for one in held.values()]
    return draw(st.permutations(rows))


def instant(one: Row) -> tuple[Any, ...]:
    return one["organization_id"], one["compressor_id"], one["timestamp"]


def said(rows: Sequence[Row]) -> list[tuple[Any, ...]]:
    """Return what was said of each row, as text by its number."""
    names = ("row_number", "arrived", "outcome", "confirms", *FLAGS)
    return sorted(tuple(str(one[name]) for name in names) for one in rows)


@given(deliveries(), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_one_row_an_instant_counts_whatever_the_order(rows: list[Row], random: Random) -> None:
    found = judge(*rows)
    assert said(judge(*random.sample(rows, len(rows)))) == said(found)
    last: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for one in rows:
        last[instant(one)] = max(last.get(instant(one), ()), precedence(one))
    assert {instant(one): precedence(one) for one in found if one["outcome"] == "kept"} == last
    counted = Counter(one["outcome"] for one in found)
    assert counted["kept"] == len(last)
    assert counted.total() == len(rows)


def precedence(one: Row) -> tuple[Any, ...]:
    return one["delivered_at"], one["source_file"], one["row_number"], one["arrived"]
