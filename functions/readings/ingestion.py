"""Readings as gateways send them, judged row by row: which can go on, which cannot and why, and which are in doubt.

Nothing here asks a database or writes a file. A row is refused for what would put it into the job's quarantine, and
for what a client can say better: a time without its zone, another organization. A doubtful value refuses nothing: the
job flags it, and so does the answer.
"""

import csv
import io
import json
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, NamedTuple, TypeAlias, cast
from uuid import UUID

from shared_code.errors import InvalidError
from shared_code.identifiers import OrganizationId
from shared_code.readings import COMPRESSOR, OPERATING_HOURS, ORGANIZATION, REQUIRED_FIELDS, SENSORS, TIMESTAMP
from shared_code.thresholds import Thresholds

MAX_READINGS: Final = 50_000
NUMBERS: Final = (*(sensor.field for sensor in SENSORS), OPERATING_HOURS)
KNOWN_FIELDS: Final = frozenset({ORGANIZATION, *REQUIRED_FIELDS})
UNITS: Final = {sensor.field: sensor.unit for sensor in SENSORS}

_NUMBER: Final = re.compile(r"[-+]?((\d+\.?\d*|\.\d+)(e[-+]?\d+)?|nan|inf(inity)?)", re.ASCII | re.IGNORECASE)
_NO_TIME: Final = "must be an ISO 8601 time with its zone, such as 2026-01-05T00:00:00Z"


class Format(StrEnum):
    """How a batch may be written; the value is its media type."""

    JSON = "application/json"
    NDJSON = "application/x-ndjson"
    CSV = "text/csv"
    PARQUET = "application/vnd.apache.parquet"


class Unreadable(NamedTuple):
    """A row that holds no fields, and why."""

    reason: str


Row: TypeAlias = Mapping[str, object] | Unreadable


@dataclass(frozen=True, slots=True)
class Note:
    """Something about one row: its place in the batch from 0, the field where it is one, and what is the matter."""

    index: int
    field: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class Rules:
    """What decides whether a row can go on."""

    organization_id: OrganizationId
    in_use: Collection[str]
    """Ids of the organization's machines that take readings."""
    retired: Collection[str]
    """Ids of those that take none any more."""
    earliest: datetime
    latest: datetime
    thresholds: Thresholds


@dataclass(frozen=True, slots=True)
class Judged:
    """What came of a batch: `columns` hold the rows that can go on, in their order.

    A number's column holds text where a number was announced and something else was said: the job keeps that too.
    """

    received: int
    columns: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in REQUIRED_FIELDS})
    refusals: list[Note] = field(default_factory=list[Note])
    warnings: list[Note] = field(default_factory=list[Note])
    ignored_fields: set[str] = field(default_factory=set[str])

    @property
    def accepted(self) -> int:
        """How many rows can go on."""
        return len(self.columns[COMPRESSOR])


class RefusedError(Exception):
    """A row cannot go on."""

    def __init__(self, name: str | None, reason: str) -> None:
        self.name, self.reason = name, reason


def parse(written: Format, body: bytes) -> Sequence[Row]:
    """Return the rows of a batch.

    Raises:
        InvalidError: the body as a whole cannot be read, or holds no row, or too many.
    """
    if written is Format.PARQUET:
        from functions.readings import parquet  # noqa: PLC0415 - Arrow takes time that other requests need not spend

        rows: Sequence[Row] = parquet.read_rows(body, fields=KNOWN_FIELDS, at_most=MAX_READINGS)
    else:
        text = _text(body)
        readers = {Format.JSON: _json_rows, Format.NDJSON: _json_lines, Format.CSV: _csv_rows}
        rows = readers[written](text)
    if not rows:
        raise InvalidError("the body holds no reading")
    if len(rows) > MAX_READINGS:
        raise InvalidError(f"a request may hold {MAX_READINGS} readings; send the others in another one")
    return rows


def judge(rows: Sequence[Row], rules: Rules) -> Judged:
    """Judge every row by itself."""
    judged = Judged(len(rows))
    limits = {name: sensor.plausible for name, sensor in rules.thresholds.sensors.items()}
    instants: dict[str, datetime] = {}
    for index, row in enumerate(rows):
        try:
            accepted = _accept(row, rules, instants)
        except RefusedError as refused:
            judged.refusals.append(Note(index, refused.name, refused.reason))
            continue
        finally:
            if not isinstance(row, Unreadable):
                judged.ignored_fields.update(row.keys() - KNOWN_FIELDS)
        judged.warnings.extend(_doubts(index, accepted, limits))
        for name, value in accepted.items():
            judged.columns[name].append(value)
    return judged


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as wrong:
        raise InvalidError(f"the body is not UTF-8: byte {wrong.start}") from None


def _object(pairs: list[tuple[str, object]]) -> Row:
    found = dict(pairs)
    return found if len(found) == len(pairs) else Unreadable("names a field twice")


def _json_rows(text: str) -> Sequence[Row]:
    try:
        said: object = json.loads(text, object_pairs_hook=_object)
    except (ValueError, RecursionError) as wrong:
        raise InvalidError(f"the body is not JSON: {_where(wrong)}") from None
    if isinstance(said, dict) and list(cast("dict[str, object]", said)) == ["readings"]:
        said = cast("dict[str, object]", said)["readings"]
    if not isinstance(said, list):
        raise InvalidError('the body must be an array of readings, or {"readings": [...]} and nothing else')
    return [_row(each) for each in cast("list[object]", said)]


def _json_lines(text: str) -> Sequence[Row]:
    return [_json_line(line) for line in text.split("\n") if line.strip()]


def _json_line(line: str) -> Row:
    try:
        return _row(json.loads(line, object_pairs_hook=_object))
    except (ValueError, RecursionError) as wrong:
        return Unreadable(f"is not JSON: {_where(wrong)}")


def _where(wrong: Exception) -> str:
    """Say what is wrong without saying back what was sent."""
    if isinstance(wrong, json.JSONDecodeError):
        return f"{wrong.msg}, line {wrong.lineno} column {wrong.colno}"
    return "too deep" if isinstance(wrong, RecursionError) else "a number is too long"


def _row(said: object) -> Row:
    if isinstance(said, Unreadable):
        return said
    return cast("dict[str, object]", said) if isinstance(said, dict) else Unreadable("must be an object")


def _csv_rows(text: str) -> Sequence[Row]:
    """Return the rows of a CSV file; its first line names the columns."""
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        names = [name.strip() for name in next(lines, list[str]())]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise InvalidError(f"the first line names a column twice: {', '.join(doubled)}")
        return [_csv_row(names, cells) for cells in lines if cells]
    except csv.Error as wrong:
        raise InvalidError(f"the body is not CSV: {wrong}, line {lines.line_num}") from None


def _csv_row(names: Sequence[str], cells: Sequence[str]) -> Row:
    if len(cells) != len(names):
        return Unreadable(f"has {len(cells)} fields where the first line has {len(names)}")
    return dict(zip(names, cells, strict=True))


def _accept(row: Row, rules: Rules, instants: dict[str, datetime]) -> dict[str, object]:
    """Return a row's values as they go on.

    Raises:
        RefusedError: it cannot go on.
    """
    if isinstance(row, Unreadable):
        raise RefusedError(None, row.reason)
    _check_organization(row.get(ORGANIZATION), rules.organization_id)
    for name in REQUIRED_FIELDS:
        if name not in row:
            raise RefusedError(name, "is missing; send null where there is no value")
    return {
        COMPRESSOR: _compressor(row[COMPRESSOR], rules),
        TIMESTAMP: _instant(row[TIMESTAMP], rules, instants),
        **{name: _number(name, row[name]) for name in NUMBERS},
    }


def _check_organization(said: object, ours: OrganizationId) -> None:
    name = _name(ORGANIZATION, said)
    if not name or name == str(ours):
        return
    try:
        same = UUID(name) == ours
    except ValueError:
        same = False
    if not same:
        raise RefusedError(ORGANIZATION, "must be left out, or be the organization of the API key")


def _compressor(said: object, rules: Rules) -> str:
    name = _name(COMPRESSOR, said)
    if not name:
        raise RefusedError(COMPRESSOR, "is empty")
    if name in rules.in_use:
        return name
    raise RefusedError(COMPRESSOR, "is retired" if name in rules.retired else "there is no such compressor")


def _name(field_name: str, said: object) -> str | None:
    """Return a name as text, without space around it; a number may be one, and some writers send text as bytes."""
    if isinstance(said, bytes):
        try:
            said = said.decode()
        except UnicodeDecodeError:
            raise RefusedError(field_name, "must be text") from None
    if isinstance(said, int) and not isinstance(said, bool):
        said = str(said)
    if said is not None and not isinstance(said, str):
        raise RefusedError(field_name, "must be text")
    return said.strip() if said else None


def _instant(said: object, rules: Rules, known: dict[str, datetime]) -> datetime:
    """Return an instant in UTC; `known` holds those texts of this batch that have been read and found good."""
    if isinstance(said, str) and said in known:
        return known[said]
    if said is None or said == "":
        raise RefusedError(TIMESTAMP, "is empty")
    try:
        instant = datetime.fromisoformat(said.strip()) if isinstance(said, str) else said
        if not isinstance(instant, datetime) or instant.tzinfo is None:
            raise RefusedError(TIMESTAMP, _NO_TIME)
        instant = instant.astimezone(UTC)
    except (ValueError, OverflowError):
        raise RefusedError(TIMESTAMP, _NO_TIME) from None
    if instant > rules.latest:
        raise RefusedError(TIMESTAMP, f"lies ahead of {rules.latest:%Y-%m-%dT%H:%M:%SZ}, so its clock is wrong")
    if instant < rules.earliest:
        raise RefusedError(
            TIMESTAMP, f"lies before {rules.earliest:%Y-%m-%d}, which is as far back as readings are kept"
        )
    if isinstance(said, str):
        known[said] = instant
    return instant


def _number(name: str, said: object) -> float | str | None:
    """Return a number, None where there is none, or text that is no number."""
    if isinstance(said, float) or said is None:
        return said
    if isinstance(said, str):
        text = said.strip()
        return (float(text) if _NUMBER.fullmatch(text) else said) if text else None
    if isinstance(said, bool) or not isinstance(said, int | Decimal):
        raise RefusedError(name, "must be a number or null")
    try:
        return float(said)
    except OverflowError:
        return math.inf if said > 0 else -math.inf


def _doubts(index: int, row: Mapping[str, object], limits: Mapping[str, tuple[float, float]]) -> Iterator[Note]:
    """Yield what the job will flag of a row's values, as far as a row by itself shows it."""
    for name in NUMBERS:
        value = row[name]
        if value is None:
            continue
        if not isinstance(value, float) or math.isnan(value):
            yield Note(index, name, "is not a number")
        elif math.isinf(value):
            yield Note(index, name, "is not finite")
        elif name in limits:
            low, high = limits[name]
            if not low <= value <= high:
                yield Note(index, name, f"is not what a working sensor says, {low:g} to {high:g} {UNITS[name]}")
