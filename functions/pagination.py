"""Lists in pages: a cursor says after which item to go on, and nothing about whose items they are."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from typing import Annotated, Final, Generic, TypeVar

from fastapi import Query
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.config import JsonDict

from shared_code.errors import InvalidError

DEFAULT_LIMIT: Final = 50
MAX_CURSOR_LENGTH: Final = 500

ItemT = TypeVar("ItemT")
RowT = TypeVar("RowT")
PositionT = TypeVar("PositionT", bound="Position")

Limit = Annotated[int, Query(ge=1, le=200, description="How many items at most.")]
Cursor = Annotated[str | None, Query(max_length=MAX_CURSOR_LENGTH, description="`next` of the page before.")]


class Position(BaseModel):
    """The sort key of the last item of a page; each list has its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Page(BaseModel, Generic[ItemT]):
    """Some items of a list, and the cursor of those that follow; None where none do."""

    items: list[ItemT]
    next: str | None


def _units_may_be_missing(schema: JsonDict) -> None:
    schema["required"] = ["items", "next"]


class MeasuredPage(Page[ItemT], Generic[ItemT]):
    """A page of items with measured values; `units`, where it is there, says the unit of each field that is one."""

    model_config = ConfigDict(json_schema_extra=_units_may_be_missing)
    units: dict[str, str]


def encode(position: Position) -> str:
    """Return a position as a cursor, opaque and safe in a URL."""
    return urlsafe_b64encode(position.model_dump_json().encode()).rstrip(b"=").decode()


def decode(cursor: str | None, position: type[PositionT]) -> PositionT | None:
    """Return the position that a cursor holds.

    Raises:
        InvalidError: this list never gave such a cursor.
    """
    if cursor is None:
        return None
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        return position.model_validate_json(urlsafe_b64decode(padded.encode("ascii")))
    except (ValueError, ValidationError):
        raise InvalidError("must be the `next` of an earlier page of this list", field="cursor") from None


def page(
    rows: Sequence[RowT], limit: int, *, item: Callable[[RowT], ItemT], position: Callable[[RowT], Position]
) -> Page[ItemT]:
    """Return one page of rows that were queried with one row more than `limit`, to learn whether others follow."""
    shown = rows[:limit]
    more = encode(position(shown[-1])) if len(rows) > limit else None
    return Page(items=[item(row) for row in shown], next=more)
