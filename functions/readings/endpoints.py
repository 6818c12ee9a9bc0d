"""Readings over HTTP: windows out, batches in."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Header, HTTPException, Query, Request, Response, status

from functions import pagination
from functions.access.caller import CurrentCaller, CurrentOrigin, IngestKey, ReadConnection
from functions.application import CurrentApplication, Now
from functions.envelope import LARGER_BODY
from functions.pagination import DEFAULT_LIMIT, Cursor
from functions.problems import responses
from functions.readings import actions
from functions.readings.actions import Batch
from functions.readings.export import MEDIA_TYPES, STATION_TIMEZONE, FileFormat, file_name, write_csv
from functions.readings.ingestion import Format
from functions.readings.landing import open_landing
from functions.readings.schemas import BATCH_BODY, Instant, Readings, Receipt, Window, WindowPosition
from functions.selection import Selection, Units, answer, query_of, selection
from functions.stations.schemas import Identifier
from functions.units import UnitSystem, measured, units_of
from shared_code.database.tables.readings import WindowType
from shared_code.identifiers import CompressorId

router = APIRouter(tags=["readings"])

MAX_BATCH_BYTES: Final = 10 * 1_048_576

WindowFields = Annotated[Selection[Window], Depends(selection(Window))]


@dataclass(frozen=True, slots=True)
class AskedWindows:
    """Which windows a client asks for."""

    window: Annotated[WindowType, Query(description="How much time each item covers.")] = WindowType.HOUR
    start: Annotated[Instant | None, Query(description="Windows that end later than this.")] = None
    end: Annotated[Instant | None, Query(description="Windows that end at this or earlier.")] = None

    def of(self, compressor_id: str, fields: Sequence[str]) -> actions.Asked:
        """Return what is wanted of a machine."""
        return actions.Asked(CompressorId(compressor_id), self.window, fields, (self.start, self.end))


Asked = Annotated[AskedWindows, Depends(query_of(AskedWindows))]


@router.get(
    "/compressors/{compressor_id}/readings",
    operation_id="list_readings",
    response_model=Readings,
    responses=responses(401, 403, 404, 422),
)
def list_readings(
    caller: CurrentCaller,
    connection: ReadConnection,
    compressor_id: Identifier,
    fields: WindowFields,
    asked: Asked,
    units: Units = UnitSystem.US,
    limit: Annotated[int, Query(ge=1, le=1000, description="How many items at most.")] = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Response:
    """List a machine's windows of one type, the oldest first."""
    position = pagination.decode(cursor, WindowPosition)
    found = actions.read_windows(
        connection,
        caller.organization_id,
        asked=asked.of(compressor_id, fields.fields),
        tier=caller.subscription_tier,
        resume_after=position.agg_timestamp if position else None,
        limit=limit + 1,
    )
    page = pagination.page(
        found.rows,
        limit,
        item=lambda row: fields.values(measured(row, units)),
        position=lambda row: WindowPosition(agg_timestamp=row["agg_timestamp"]),
    )
    return answer(items=page.items, next=page.next, units=units_of(fields.fields, units), timezone=found.timezone)


@router.get(
    "/compressors/{compressor_id}/readings/export",
    operation_id="export_readings",
    response_class=Response,
    responses={
        **responses(401, 403, 404, 422),
        200: {
            "description": "The file.",
            "content": {
                "text/csv": {"schema": {"type": "string"}},
                MEDIA_TYPES[FileFormat.PARQUET]: {"schema": {"type": "string", "format": "binary"}},
            },
        },
    },
)
def export_readings(
    caller: CurrentCaller,
    connection: ReadConnection,
    compressor_id: Identifier,
    fields: WindowFields,
    asked: Asked,
    written: Annotated[FileFormat, Query(alias="format", description="How the file is written.")] = FileFormat.CSV,
    units: Units = UnitSystem.US,
) -> Response:
    """Download a machine's windows of one type as one file, the oldest first; up to 50,000 of them.

    CSV has units in the heads of its columns, Parquet in the metadata of its fields (`unit`). Times are UTC; the
    station's time zone is CSV's last column, and in Parquet's metadata (`station_timezone`). In CSV, text that a
    spreadsheet would take for a formula has a `'` before it.
    """
    wanted = asked.of(compressor_id, fields.fields)
    found = actions.export_windows(connection, caller.organization_id, asked=wanted, tier=caller.subscription_tier)
    rows = [measured(row, units) for row in found.rows]
    if written is FileFormat.CSV:
        content = write_csv(rows, fields.fields, units, found.timezone)
    else:
        from functions.readings import parquet  # noqa: PLC0415 - Arrow takes time that other requests need not spend

        about = {STATION_TIMEZONE: found.timezone, "units": units.value}
        content = parquet.write_windows(rows, fields.fields, units_of(fields.fields, units), about)
    attached = f'attachment; filename="{file_name(wanted.compressor_id, asked.window, written)}"'
    return Response(content, media_type=MEDIA_TYPES[written], headers={"Content-Disposition": attached})


def batch_format(request: Request) -> Format:
    """Return how a batch is written, as its Content-Type says."""
    named = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    packed = request.headers.get("Content-Encoding", "identity").lower() != "identity"
    if packed or named not in set(Format):
        raise HTTPException(
            status.HTTP_415_UNSUPPORTED_MEDIA_TYPE, f"send one of {', '.join(Format)}, without Content-Encoding"
        )
    return Format(named)


async def whole_body(request: Request) -> bytes:
    """Return a request's body."""
    return await request.body()


async def body_in_turn(body: Annotated[bytes, Depends(whole_body)]) -> AsyncIterator[bytes]:
    """Return a request's body when it is its turn: read into readings it takes many times its size."""
    yield body


@router.post(
    "/readings",
    operation_id="ingest_readings",
    status_code=status.HTTP_202_ACCEPTED,
    responses=responses(401, 403, 413, 415, 422, 503),
    openapi_extra={"requestBody": BATCH_BODY, LARGER_BODY: MAX_BATCH_BYTES},
)
def ingest_readings(
    key: IngestKey,
    application: CurrentApplication,
    origin: CurrentOrigin,
    now: Now,
    written: Annotated[Format, Depends(batch_format)],
    body: Annotated[bytes, Depends(body_in_turn, scope="function", max_concurrency=4)],
    idempotency_key: Annotated[
        str | None,
        Header(
            min_length=1,
            max_length=255,
            pattern=r"^[\x20-\x7e]+$",
            description="Chosen by the sender for this batch. For seven days, the same batch under the same key has the"
            " same answer and no other effect; another batch under it is a 422. Without a key the batch speaks for"
            " itself.",
        ),
    ] = None,
) -> Receipt:
    """Deliver readings of machines of the key's organization. They show in windows after the job's next run.

    Each reading is judged by itself: `refusals` says which were not taken and why, and the others go on. Up to 50,000
    readings and 10 MiB in one request.
    """
    receipt = actions.take_in(
        database=application.database(),
        landing=open_landing(application.settings.landing),  # pyright: ignore[reportArgumentType] - frozen, so it has a hash
        settings=application.settings.job,
        batch=Batch(written, body, idempotency_key),
        by=key,
        origin=origin,
        now=now,
    )
    return Receipt.model_validate(receipt)
