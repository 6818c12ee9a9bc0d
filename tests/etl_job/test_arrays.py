# What Arrow's stubs leave open.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeArgument=false, reportCallIssue=false
# pyright: reportArgumentType=false
from collections.abc import Sequence
from math import nan

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl_job.arrays import ARROW_TYPES, Groups, arrow_schema, booleans, named, nulls, or_null, ranks
from etl_job.delta_tables import AGGREGATES_SCHEMA, JUDGED_SCHEMA, PARTIALS_SCHEMA, SILVER_SCHEMA


def column(*chunks: Sequence[object], kind: pa.DataType | None = None) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(chunk, kind) for chunk in chunks])


def test_groups_are_runs_of_equal_keys() -> None:
    groups = Groups(np.array([7, 7, 3, 7, 7, 7]))
    assert len(groups) == 3
    assert groups.first.tolist() == [0, 2, 3]
    assert groups.last.tolist() == [1, 2, 5]
    assert groups.sizes.tolist() == [2, 1, 3]
    assert groups.of.tolist() == [0, 0, 1, 2, 2, 2]


def test_a_group_ends_where_any_key_changes() -> None:
    assert Groups(np.array([1, 1, 2, 2]), np.array([5, 6, 6, 6])).sizes.tolist() == [1, 1, 2]


def test_one_row_is_one_group() -> None:
    groups = Groups(np.array([7]))
    assert (groups.first.tolist(), groups.last.tolist(), groups.sizes.tolist()) == ([0], [0], [1])


def test_groups_add_up_and_compare_their_own_rows() -> None:
    groups, values = Groups(np.array([1, 1, 2, 3, 3])), np.array([4.0, -1.0, 9.0, 2.0, 2.5])
    assert groups.sum(values).tolist() == [3.0, 9.0, 4.5]
    assert groups.min(values).tolist() == [-1.0, 9.0, 2.0]
    assert groups.max(values).tolist() == [4.0, 9.0, 2.5]


def test_of_no_rows_there_are_no_groups() -> None:
    groups, nothing = Groups(np.array([], dtype=np.int64)), np.array([], dtype=np.float64)
    assert len(groups) == len(groups.sizes) == 0
    assert groups.sum(nothing).tolist() == groups.min(nothing).tolist() == groups.max(nothing).tolist() == []


def test_ranks_are_in_the_order_of_the_texts() -> None:
    assert ranks(column(["b", "a", "ä"], ["", "Z", "b"])).tolist() == [3, 2, 4, 0, 1, 3]


@given(st.lists(st.text(max_size=3), min_size=1))
def test_ranks_compare_as_the_texts_do(texts: list[str]) -> None:
    assert sorted(texts) == [text for _, text in sorted(zip(ranks(column(texts)).tolist(), texts, strict=True))]


def test_names_stand_for_their_places_and_nothing_for_negative_ones() -> None:
    assert named(np.array([1, -1, 0, 1], dtype=np.int8), ["zero", "one"]).to_pylist() == ["one", None, "zero", "one"]


@pytest.mark.parametrize("count", [0, 2])
def test_names_of_nothing_are_texts_too(count: int) -> None:
    found = named(np.full(count, -1, dtype=np.int8), ["zero"])
    assert (found.type, found.to_pylist()) == (pa.string(), [None] * count)


def test_nulls_are_found_and_nan_is_none() -> None:
    assert nulls(column([1.0, None], [nan])).tolist() == [False, True, False]
    assert nulls(column([1.0, nan])).tolist() == [False, False]


def test_null_is_false_among_booleans() -> None:
    assert booleans(column([True, None], [False])).tolist() == [True, False, False]


def test_nan_is_null_in_arrow() -> None:
    assert or_null(np.array([1.5, nan])).to_pylist() == [1.5, None]


def test_every_table_has_a_schema_in_arrow() -> None:
    for schema in (SILVER_SCHEMA, JUDGED_SCHEMA, PARTIALS_SCHEMA, AGGREGATES_SCHEMA):
        assert arrow_schema(schema).names == schema.names
        assert set(arrow_schema(schema).types) <= set(ARROW_TYPES.values())
