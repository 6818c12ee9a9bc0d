"""What clients may send: the rules that every request's body is held to."""

from datetime import date
from typing import Annotated, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

ONE_LINE: Final = r"^[^\x00-\x1f\x7f]*$"
"""Text without control characters."""
LINES: Final = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$"
"""Text whose only control characters are tabs and ends of lines."""


class Body(BaseModel):
    """What a client may send; a field that is not named is refused, so that none is set by accident."""

    model_config = ConfigDict(extra="forbid")


def _written_as_date(value: object) -> object:
    """Refuse what Pydantic would take for a date as well, such as seconds since 1970."""
    if not isinstance(value, str):
        raise ValueError("must be a date such as 2019-06-30")  # noqa: TRY004 - Pydantic makes a 422 of ValueError only
    return value


NewId = Annotated[
    str,
    StringConstraints(min_length=1, max_length=50, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$"),
    Field(description="Letters, digits, `.`, `_` and `-`, the first a letter or digit. It cannot be changed later."),
]
"""An id that a customer gives to something new; safe in an address and in a file's name."""

ShortText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=50, pattern=ONE_LINE)]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100, pattern=ONE_LINE)]
LongText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=ONE_LINE)]
Remark = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000, pattern=LINES)]
"""What somebody has to say, in as many lines as it takes."""

Latitude = Annotated[float, Field(strict=True, ge=-90, le=90, description="Degrees, north positive.")]
Longitude = Annotated[float, Field(strict=True, ge=-180, le=180, description="Degrees, east positive.")]
Day = Annotated[date, BeforeValidator(_written_as_date)]
