from base64 import urlsafe_b64encode
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.compressors.schemas import CompressorPosition
from functions.pagination import decode, encode
from shared_code.database.engines import Database
from shared_code.errors import InvalidError
from tests.factories.fleet import Customer, a_customer
from tests.seams.api_client import ApiClient


def cursor(text: str | bytes) -> str:
    return urlsafe_b64encode(text.encode() if isinstance(text, str) else text).rstrip(b"=").decode()


BAD_CURSORS = {
    "empty": "",
    "no base64": "***",
    "one character": "a",
    "not ASCII": "ü",
    "no JSON": cursor("hello"),
    "null": cursor("null"),
    "a list": cursor("[]"),
    "an empty object": cursor("{}"),
    "a number": cursor('{"compressor_id": 7}'),
    "empty id": cursor('{"compressor_id": ""}'),
    "NUL": cursor('{"compressor_id": "a\\u0000"}'),
    "half a surrogate": cursor('{"compressor_id": "\\ud800"}'),
    "not UTF-8": cursor(b'{"compressor_id": "\xff"}'),
    "too long": cursor('{"compressor_id": "%s"}' % ("x" * 51)),
    "one field more": cursor('{"compressor_id": "a", "organization_id": "00000000-0000-4000-8000-000000000002"}'),
    "nested deep": cursor("[" * 300),
}


@pytest.mark.parametrize("bad", BAD_CURSORS.values(), ids=BAD_CURSORS.keys())
def test_a_cursor_that_no_list_gave_is_refused(bad: str) -> None:
    with pytest.raises(InvalidError):
        decode(bad, CompressorPosition)


def test_and_is_a_422_that_names_it(signed_in: Callable[[Customer], ApiClient], database: Database) -> None:
    client = signed_in(a_customer(database))
    for bad in BAD_CURSORS.values():
        answer = client.get("/api/compressors", params={"cursor": bad})
        assert (answer.status_code, [error["field"] for error in answer.json()["errors"]]) == (422, ["cursor"])


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=50))
def test_a_cursor_comes_back_as_it_went_and_is_safe_in_a_url(compressor_id: str) -> None:
    position = CompressorPosition(compressor_id=compressor_id)

    assert decode(encode(position), CompressorPosition) == position
    assert encode(position).replace("-", "").replace("_", "").isalnum()


@pytest.mark.parametrize("limit", ["0", "201", "-1", "1.5", "all", "", "9" * 5000])
def test_a_limit_out_of_bounds_is_422(
    signed_in: Callable[[Customer], ApiClient], database: Database, limit: str
) -> None:
    assert signed_in(a_customer(database)).get("/api/compressors", params={"limit": limit}).status_code == 422
