"""Reads one landing file, whatever its state, into Bronze rows: every row of it comes out, good or with its problem.

This is plain Arrow, run beside the data on the executors. A file that cannot be read becomes one row that holds its
bytes, so a broken file never stops the job and never disappears.
"""

# Arrow's stubs leave its arrays untyped:
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeArgument=false, reportCallIssue=false
# pyright: reportArgumentType=false, reportUnknownLambdaType=false, reportAttributeAccessIssue=false

import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from pyspark.core.broadcast import Broadcast

from shared_code.readings import (
    COMPRESSOR,
    LANDING_API,
    OPERATING_HOURS,
    ORGANIZATION,
    REQUIRED_FIELDS,
    SENSOR_FIELDS,
    TIMESTAMP,
)

NUMBERS = (*SENSOR_FIELDS, OPERATING_HOURS)
INSTANT = pa.timestamp("us", tz="UTC")
UNREADABLE = "unreadable_file"
CALENDAR = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))

BRONZE = pa.schema(
    [
        ("source_file", pa.string()),
        ("row_number", pa.int64()),  # from 0; NULL where the file itself is the problem
        ("delivered_at", INSTANT),
        (ORGANIZATION, pa.string()),
        (COMPRESSOR, pa.string()),
        (TIMESTAMP, INSTANT),
        *((field, pa.float64()) for field in NUMBERS),
        ("unparsed", pa.map_(pa.string(), pa.string())),  # field -> the text that is no number
        ("note", pa.string()),  # something to know about the row that does not make it doubtful
        ("problem", pa.string()),  # why the row cannot go on
        ("detail", pa.string()),
        ("raw", pa.string()),  # a row with a problem, as JSON
        ("content", pa.binary()),  # an unreadable file
        ("batch_id", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A landing file: its path, when it arrived, its bytes."""

    path: str
    delivered_at: datetime
    content: bytes


@dataclass(frozen=True, slots=True)
class Rules:
    """What decides, on arrival, whether a row can go on."""

    clock_tolerance: timedelta
    """How far a row may lie ahead of its file's delivery; a later one was stamped by a wrong clock."""
    earliest: datetime
    """What lies before was stamped by a wrong clock too, or is older than what Silver keeps."""
    default_organization: str | None
    """Owner of rows that name none."""
    organizations: frozenset[str]
    """Every customer."""
    machines: frozenset[str]
    """`organization/compressor_id` of every known machine."""
    retired: frozenset[str] = frozenset()
    """Those of them that take no new readings."""


class UnreadableFileError(Exception):
    """The file as a whole cannot be read."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """A column in the type we keep, with what could not be kept."""

    values: pa.Array
    bad: pa.Array | None = None  # bool: the row's text means nothing
    texts: pa.Array | None = None
    note: str | None = None


def decode(delivery: Delivery, rules: Rules, *, batch_id: str) -> pa.RecordBatch:
    """Return a file's rows in the `BRONZE` schema."""
    try:
        table, torn = read_file(delivery)
        return _rows(delivery, batch_id, table, torn, rules)
    except (UnreadableFileError, pa.ArrowException, ValueError, OverflowError) as failure:
        # Also what shows only when a value is looked at, such as text that is no UTF-8.
        return _whole_file(delivery, batch_id, str(failure).splitlines()[0])


def _rows(delivery: Delivery, batch_id: str, table: pa.Table, torn: list[str], rules: Rules) -> pa.RecordBatch:
    unusable = _unusable_columns(table)
    if unusable:
        return _all_refused(delivery, batch_id, table, *unusable)
    good = _typed(delivery, batch_id, table, rules)
    return pa.concat_batches([good, _torn_rows(delivery, batch_id, torn, first=table.num_rows)]) if torn else good


def read_file(delivery: Delivery) -> tuple[pa.Table, list[str]]:
    """Return a Parquet or CSV file's rows, and the lines of a CSV file that have the wrong number of fields.

    Raises:
        UnreadableFileError: the file is broken, or neither.
    """
    readers: dict[str, Callable[[bytes], tuple[pa.Table, list[str]]]] = {"parquet": _read_parquet, "csv": _read_csv}
    kind = delivery.path.rsplit(".", 1)[-1].lower()
    if kind not in readers:
        raise UnreadableFileError("neither Parquet nor CSV")
    try:
        return readers[kind](delivery.content)
    except (pa.ArrowException, OSError, ValueError) as failure:
        raise UnreadableFileError(str(failure).splitlines()[0]) from failure


def _read_parquet(content: bytes) -> tuple[pa.Table, list[str]]:
    # Not read_table, which loads Arrow's dataset engine: two seconds in every worker.
    return pq.ParquetFile(pa.BufferReader(content)).read(use_threads=False), []


def _read_csv(content: bytes) -> tuple[pa.Table, list[str]]:
    """Read every field as text: types are judged one value at a time."""
    torn: list[str] = []

    def keep(row: pyarrow.csv.InvalidRow) -> str:
        torn.append(row.text)
        return "skip"

    header = content.split(b"\n", 1)[0].decode("utf-8-sig").strip()
    names = [name.strip().strip('"') for name in header.split(",")]
    table = pyarrow.csv.read_csv(
        io.BytesIO(content),
        read_options=pyarrow.csv.ReadOptions(use_threads=False),
        parse_options=pyarrow.csv.ParseOptions(invalid_row_handler=keep),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=[""]
        ),
    )
    return table, torn


def _unusable_columns(table: pa.Table) -> tuple[str, str] | None:
    """Return why no row of this file can be understood, as (problem, detail), or None."""
    names = table.column_names
    missing = [field for field in REQUIRED_FIELDS if field not in names]
    if missing:
        return "missing_column", ", ".join(missing)
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        return "doubled_column", ", ".join(doubled)
    wrong = [
        f"{field}: {table.schema.field(field).type}"
        for fields, accepts in (
            ((COMPRESSOR, ORGANIZATION), _is_name),
            (NUMBERS, _is_number_or_text),
            ((TIMESTAMP,), _is_time_or_text),
        )
        for field in fields
        if field in names and not accepts(_plain(table.schema.field(field).type))
    ]
    return ("wrong_type", ", ".join(wrong)) if wrong else None


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind)


def _is_name(kind: pa.DataType) -> bool:
    # Some writers do not say that their bytes are text.
    return _is_text(kind) or pa.types.is_integer(kind) or pa.types.is_binary(kind)


def _is_number_or_text(kind: pa.DataType) -> bool:
    return pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind) or _is_text(kind)


def _is_time_or_text(kind: pa.DataType) -> bool:
    return pa.types.is_timestamp(kind) or _is_text(kind)


def _column(table: pa.Table, field: str) -> pa.Array:
    column = table.column(field)
    plain = _plain(column.type)
    whole: Any = column.combine_chunks()
    array: Any = whole.chunk(0) if isinstance(whole, pa.ChunkedArray) else whole
    return array.cast(plain) if plain != column.type else array


def _typed(delivery: Delivery, batch_id: str, table: pa.Table, rules: Rules) -> pa.RecordBatch:
    count = table.num_rows
    numbers = {field: _number(_column(table, field)) for field in NUMBERS}
    instants = _instant(_column(table, TIMESTAMP))
    compressors = _key(_column(table, COMPRESSOR))
    organizations, foreign = _organization(table)

    latest = pa.scalar(delivery.delivered_at + rules.clock_tolerance, INSTANT)
    earliest = pa.scalar(rules.earliest, INSTANT)
    out_of_time = pc.or_(pc.less(instants.values, earliest), pc.greater(instants.values, latest))
    problem = _first_problem(
        count,
        ("bad_timestamp", instants.bad),
        ("missing_timestamp", pc.is_null(instants.values)),
        ("missing_compressor", pc.is_null(compressors)),
        ("bad_organization", foreign),
        ("future_timestamp", pc.and_(out_of_time, pc.greater(instants.values, latest))),
        ("ancient_timestamp", out_of_time),
        *_smuggled(delivery.path, organizations),
        *_unknown(organizations, compressors, rules),
    )
    note = "; ".join(sorted({parsed.note for parsed in (instants, *numbers.values()) if parsed.note is not None}))
    return _record_batch(
        count,
        source_file=delivery.path,
        row_number=pa.array(np.arange(count)),
        delivered_at=delivery.delivered_at,
        **{ORGANIZATION: organizations, COMPRESSOR: compressors, TIMESTAMP: instants.values},
        **{field: parsed.values for field, parsed in numbers.items()},
        unparsed=_unparsed(count, numbers),
        note=note or None,
        problem=problem,
        raw=_raw(table, problem),
        batch_id=batch_id,
    )


def _number(column: pa.Array) -> Parsed:
    """Return a column as float64; text that is no number is kept as text."""
    if not _is_text(column.type):
        note = "single_precision" if pa.types.is_floating(column.type) and column.type != pa.float64() else None
        return Parsed(column.cast(pa.float64(), safe=False), note=note)
    text = pc.utf8_trim_whitespace(column.cast(pa.string()))
    text = pc.if_else(pc.equal(text, ""), None, text)
    number = pc.match_substring_regex(
        text, r"^[-+]?((\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|nan|inf(inity)?)$", ignore_case=True
    )
    bad = pc.fill_null(pc.invert(number), False)  # noqa: FBT003 - Arrow's signature
    # Arrow's own cast knows neither a leading plus nor every spelling of infinity.
    values = [
        None if wrong or word is None else float(word)
        for word, wrong in zip(text.to_pylist(), bad.to_pylist(), strict=True)
    ]
    return Parsed(pa.array(values, pa.float64()), bad, column.cast(pa.string()))


def _instant(column: pa.Array) -> Parsed:
    """Return a column as UTC instants; a time without a zone is taken for UTC and noted."""
    if pa.types.is_timestamp(column.type):
        note = "no_time_zone" if column.type.tz is None else None
        zoned = (
            column.cast(pa.timestamp(column.type.unit, tz="UTC")) if note is None else pc.assume_timezone(column, "UTC")
        )
        beyond = _beyond_calendar(zoned)
        return Parsed(pc.if_else(beyond, None, zoned).cast(INSTANT, safe=False), beyond, note=note)
    values: list[datetime | None] = []
    bad: list[bool] = []
    naive = False
    for text in column.cast(pa.string()).to_pylist():
        try:
            value = datetime.fromisoformat(text.strip()) if text and text.strip() else None
            if value is not None and value.tzinfo is None:
                naive, value = True, value.replace(tzinfo=UTC)
            values.append(value and value.astimezone(UTC))
        except (ValueError, OverflowError):
            values.append(None)
            bad.append(True)
            continue
        bad.append(False)
    return Parsed(pa.array(values, INSTANT), pa.array(bad, pa.bool_()), note="no_time_zone" if naive else None)


def _beyond_calendar(instants: pa.Array) -> pa.Array:
    """Return which instants lie in no year from 1 to 9999; in a coarse unit they may not even fit microseconds."""
    if instants.type.unit == "ns":  # ends in 2262
        return pa.repeat(pa.scalar(value=False), len(instants))
    first, last = (pa.scalar(edge, instants.type) for edge in CALENDAR)
    return pc.fill_null(pc.or_(pc.less(instants, first), pc.greater(instants, last)), False)  # noqa: FBT003 - Arrow's signature


def _key(column: pa.Array) -> pa.Array:
    text = pc.utf8_trim_whitespace(column.cast(pa.string()))
    return pc.if_else(pc.equal(text, ""), None, text)


def _organization(table: pa.Table) -> tuple[pa.Array, pa.Array | None]:
    """Return the organizations in canonical form, NULL for "the default one", and which rows name none that exists."""
    if ORGANIZATION not in table.column_names:
        return pa.nulls(table.num_rows, pa.string()), None
    column = _key(_column(table, ORGANIZATION))
    encoded = column.dictionary_encode()
    names: list[str | None] = []
    for name in encoded.dictionary.to_pylist():
        try:
            names.append(str(UUID(name)))
        except ValueError:
            names.append(None)
    canonical = pa.array(names, pa.string()).take(encoded.indices)
    return canonical, pc.and_(pc.is_valid(column), pc.is_null(canonical))


def _smuggled(path: str, organizations: pa.Array) -> Iterator[tuple[str, pa.Array]]:
    """Yield, in a file that came by request for one organization, which rows name another one, or none."""
    folders = path.split("/")
    if folders[0] == LANDING_API:
        owner = folders[1] if len(folders) > 2 else ""  # noqa: PLR2004 - api/<organization>/...
        yield "foreign_organization", pc.fill_null(pc.not_equal(organizations, owner), True)  # noqa: FBT003 - Arrow's signature


def _unknown(organizations: pa.Array, compressors: pa.Array, rules: Rules) -> Iterator[tuple[str, pa.Array]]:
    """Yield which rows have no owner, or name an organization or a machine that is not known."""
    owners = organizations.fill_null(rules.default_organization) if rules.default_organization else organizations
    yield "no_organization", pc.is_null(owners)
    yield "unknown_organization", _is_outside(owners, rules.organizations)
    machines = pc.binary_join_element_wise(owners, compressors, "/")
    yield "unknown_compressor", _is_outside(machines, rules.machines)
    if rules.retired:
        yield "retired_compressor", pc.invert(_is_outside(machines, rules.retired))


def _is_outside(column: pa.Array, known: frozenset[str]) -> pa.Array:
    """Return which values are not known; each different one is looked up once, however large the set."""
    encoded = column.dictionary_encode()
    return pa.array([name not in known for name in encoded.dictionary.to_pylist()], pa.bool_()).take(encoded.indices)


def _first_problem(count: int, *rules: tuple[str, pa.Array | None]) -> pa.Array:
    """Return each row's first problem of those listed, NULL where it has none."""
    problem = pa.nulls(count, pa.string())
    for name, found in rules:
        if found is not None and pc.any(found).as_py():
            here = pc.and_(pc.is_null(problem), pc.fill_null(found, False))  # noqa: FBT003 - Arrow's signature
            problem = pc.if_else(here, name, problem)
    return problem


def _unparsed(count: int, numbers: Mapping[str, Parsed]) -> pa.Array:
    bad = {field: p for field, p in numbers.items() if p.bad is not None and pc.any(p.bad).as_py()}
    if not bad:
        return pa.nulls(count, BRONZE.field("unparsed").type)
    rows: list[dict[str, str]] = [{} for _ in range(count)]
    for field, parsed in bad.items():
        for index in pc.indices_nonzero(parsed.bad).to_pylist():
            rows[index][field] = parsed.texts[index].as_py()  # pyright: ignore[reportOptionalSubscript]
    return pa.array([list(row.items()) or None for row in rows], BRONZE.field("unparsed").type)


def _raw(table: pa.Table, problem: pa.Array) -> pa.Array | None:
    troubled = pc.is_valid(problem)
    if not pc.any(troubled).as_py():
        return None
    texts = iter(_as_json(table.filter(troubled)))
    return pa.array([next(texts) if wrong else None for wrong in troubled.to_pylist()], pa.string())


def _as_json(table: pa.Table) -> Iterable[str]:
    columns = [_plain_values(table.column(i)) for i in range(table.num_columns)]
    for row in zip(*columns, strict=True):
        yield json.dumps(dict(zip(table.column_names, row, strict=True)), default=str)


def _plain_values(column: pa.ChunkedArray) -> Sequence[object]:
    try:
        return column.to_pylist()
    except OverflowError:  # an instant that Python's calendar does not have
        return column.cast(pa.int64()).to_pylist()


def _all_refused(delivery: Delivery, batch_id: str, table: pa.Table, problem: str, detail: str) -> pa.RecordBatch:
    count = table.num_rows
    return _record_batch(
        count,
        source_file=delivery.path,
        row_number=pa.array(np.arange(count)),
        delivered_at=delivery.delivered_at,
        problem=problem,
        detail=detail,
        raw=pa.array(list(_as_json(table)), pa.string()),
        batch_id=batch_id,
    )


def _torn_rows(delivery: Delivery, batch_id: str, lines: list[str], *, first: int) -> pa.RecordBatch:
    return _record_batch(
        len(lines),
        source_file=delivery.path,
        row_number=pa.array(np.arange(first, first + len(lines))),
        delivered_at=delivery.delivered_at,
        problem="wrong_field_count",
        raw=pa.array([json.dumps(line) for line in lines], pa.string()),
        batch_id=batch_id,
    )


def _whole_file(delivery: Delivery, batch_id: str, detail: str) -> pa.RecordBatch:
    return _record_batch(
        1,
        source_file=delivery.path,
        delivered_at=delivery.delivered_at,
        problem=UNREADABLE,
        detail=detail,
        content=delivery.content,
        batch_id=batch_id,
    )


def _record_batch(count: int, **columns: Any) -> pa.RecordBatch:  # noqa: ANN401 - arrays, scalars, None
    """Return Bronze rows from arrays, from values that hold for every row, and NULL for what is not given."""
    arrays: list[pa.Array] = []
    for field in BRONZE:
        value = columns.get(field.name)
        if value is None:
            arrays.append(pa.nulls(count, field.type))
        elif isinstance(value, pa.Array):
            arrays.append(value)
        else:
            arrays.append(pa.repeat(pa.scalar(value, field.type), count))
    return pa.RecordBatch.from_arrays(arrays, schema=BRONZE)


def decode_batches(
    batches: Iterator[pa.RecordBatch], *, rules: Broadcast[Rules], root: str, batch_id: str
) -> Iterator[pa.RecordBatch]:
    """Decode record batches of Spark's binary file source; paths are told from the landing folder `root` on."""
    for batch in batches:
        columns = (batch.column(name).to_pylist() for name in ("path", "modificationTime", "content"))
        for path, modified, content in zip(*columns, strict=True):
            delivery = Delivery(path.removeprefix(f"{root}/"), modified.astimezone(UTC), content)
            yield decode(delivery, rules.value, batch_id=batch_id)


def redecode_batches(
    batches: Iterator[pa.RecordBatch], *, rules: Broadcast[Rules], batch_id: str
) -> Iterator[pa.RecordBatch]:
    """Decode again what quarantine kept; `was_file` tells rows of a file from rows that were put aside one by one."""
    for batch in batches:
        for decoded, was_file in redecode(batch, rules.value, batch_id=batch_id):
            yield decoded.append_column("was_file", pa.repeat(pa.scalar(was_file), decoded.num_rows))


def redecode(kept: pa.RecordBatch, rules: Rules, *, batch_id: str) -> Iterator[tuple[pa.RecordBatch, bool]]:
    """Yield what today's rules make of quarantined files and rows, and whether it was a file."""
    alike: dict[tuple[str, datetime, tuple[str, ...]], list[tuple[int, dict[str, object]]]] = {}
    for row in kept.to_pylist():
        path, delivered_at = row["source_file"], row["delivered_at"]
        if row["content"] is not None:
            yield decode(Delivery(path, delivered_at, row["content"]), rules, batch_id=batch_id), True
            continue
        said = json.loads(row["raw"])
        if isinstance(said, dict):  # a line of a CSV file that fits no header stays what it is
            alike.setdefault((path, delivered_at, tuple(said)), []).append((row["row_number"], said))
    for (path, delivered_at, names), rows in alike.items():
        table = pa.table({name: pa.array([_as_text(said[name]) for _, said in rows], pa.string()) for name in names})
        decoded = _rows(Delivery(path, delivered_at, b""), batch_id, table, [], rules)
        place = decoded.schema.get_field_index("row_number")
        yield decoded.set_column(place, "row_number", pa.array([number for number, _ in rows], pa.int64())), False


def _as_text(value: object) -> str | None:
    return None if value is None else str(value)
