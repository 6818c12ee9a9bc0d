# What Arrow's stubs leave open.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeArgument=false, reportCallIssue=false
# pyright: reportArgumentType=false
from collections.abc import Sequence
from datetime import UTC, datetime
from math import nan

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from shared_code.arrays import codes, floats, integers


def column(*chunks: Sequence[object], kind: pa.DataType | None = None) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(chunk, kind) for chunk in chunks])


def test_codes_are_equal_where_all_columns_are() -> None:
    found = codes(column(["a", "ab", "a"], ["ab", "a"]), column(["bc", "c", "bc"], ["c", "c"])).tolist()
    assert found[0] == found[2]
    assert found[1] == found[3]
    assert len(set(found)) == 3


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz"), st.sampled_from("pq")), min_size=1))
def test_codes_tell_every_combination_apart(rows: list[tuple[str, ...]]) -> None:
    found = codes(*(column(texts) for texts in zip(*rows, strict=True))).tolist()
    assert len(set(found)) == len(set(rows)) == len(set(zip(found, rows, strict=True)))


def test_an_instant_is_its_microseconds_to_the_last() -> None:
    at = column([datetime(2026, 1, 5, 23, 59, 59, 999_999, tzinfo=UTC)], kind=pa.timestamp("us", tz="UTC"))
    assert integers(at).tolist() == floats(at).tolist() == [1_767_657_599_999_999]


def test_null_is_nan_among_floats() -> None:
    np.testing.assert_array_equal(floats(column([1.5, None], [nan])), [1.5, nan, nan])
    np.testing.assert_array_equal(floats(column([2, None])), [2.0, nan])
