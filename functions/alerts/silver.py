"""An organization's readings as the job keeps them in Silver: the one module that reads the lake.

It is imported when it is first needed: Arrow and Delta's reader take time that other requests need not spend.
"""

# Arrow's stubs leave its arrays untyped:
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeArgument=false, reportCallIssue=false
# pyright: reportArgumentType=false

import logging
from collections.abc import Collection
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
from deltalake import DeltaTable, QueryBuilder
from deltalake.exceptions import DeltaError, TableNotFoundError

from functions.alerts.backtest import History
from functions.settings import LakeSettings
from shared_code.arrays import codes, floats, integers
from shared_code.errors import ConflictError, InvalidError, UnavailableError
from shared_code.identifiers import CompressorId, OrganizationId
from shared_code.readings import COMPRESSOR, ORGANIZATION, SENSOR_FIELDS, STUCK, TIMESTAMP

if TYPE_CHECKING:
    from azure.identity import DefaultAzureCredential

SILVER: Final = "silver/sensor_readings"
NOTHING_YET: Final = "there are no readings to judge yet: they come with the job's first run"
NOT_NOW: Final = "readings cannot be looked at now; try again later"
STORAGE: Final = "https://storage.azure.com/.default"
PATIENCE: Final = {"connect_timeout": "5s", "timeout": "30s", "max_retries": "2", "retry_timeout": "60s"}

logger = logging.getLogger(__name__)


def read_usable(
    organization_id: OrganizationId,
    lake: LakeSettings,
    *,
    compressor_ids: Collection[CompressorId] | None,
    start: datetime,
    end: datetime,
    at_most: int,
) -> History:
    """Return an organization's readings from `start` on, before `end`, as far as alarm rules use them.

    Args:
        organization_id: whose.
        lake: where it is.
        compressor_ids: of which machines; None is of all.
        start: aware.
        end: aware.
        at_most: how many readings there may be.

    Raises:
        ConflictError: there is no such table yet.
        InvalidError: there are more.
        UnavailableError: the lake does not answer, or cannot be read.
    """
    statement = _statement(organization_id, compressor_ids, start, end)
    try:
        table = DeltaTable(f"{lake.altaviz_lake.rstrip('/')}/{SILVER}", storage_options=options(lake))
        found = QueryBuilder().register("silver", table).execute(statement)
        rows = _at_most(pa.RecordBatchReader.from_stream(found), at_most)
    except TableNotFoundError:
        raise ConflictError(NOTHING_YET) from None
    except (DeltaError, OSError, pa.ArrowException) as failure:
        raise UnavailableError(NOT_NOW) from failure
    _refuse_foreign(rows, organization_id)
    return _history(rows)


def _statement(
    organization_id: OrganizationId, compressor_ids: Collection[CompressorId] | None, start: datetime, end: datetime
) -> str:
    """Write the query: days and the organization are found through the files' statistics.

    Usable is what `etl_job.aggregate.usable_value` says it is.
    """
    usable = (
        f"CASE WHEN ({field}_flag IS NULL OR {field}_flag = {_text(STUCK)}) AND clock_flag IS NULL THEN {field} END"
        f" AS {field}"
        for field in SENSOR_FIELDS
    )
    conditions = [
        _of(organization_id),
        f"date BETWEEN DATE '{start.astimezone(UTC):%Y-%m-%d}' AND DATE '{end.astimezone(UTC):%Y-%m-%d}'",
        f'"{TIMESTAMP}" >= {_instant(start)} AND "{TIMESTAMP}" < {_instant(end)}',
    ]
    if compressor_ids is not None:
        conditions.append(f"{COMPRESSOR} IN ({', '.join(map(_text, sorted(compressor_ids)))})")
    columns = ", ".join([ORGANIZATION, COMPRESSOR, f'"{TIMESTAMP}"', *usable])
    return f"SELECT {columns} FROM silver WHERE {' AND '.join(conditions)}"  # noqa: S608 - this SQL takes no parameters; `_text` quotes


def _of(organization_id: OrganizationId) -> str:
    return f"{ORGANIZATION} = {_text(str(organization_id))}"


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _instant(value: datetime) -> str:
    return f"arrow_cast('{value.astimezone(UTC).isoformat()}', 'Timestamp(Microsecond, Some(\"UTC\"))')"


def options(lake: LakeSettings) -> dict[str, str]:
    """Return how the lake is reached: in Azure with a token of the program's own identity."""
    if not lake.in_azure:
        return {}
    return {**PATIENCE, "bearer_token": _credential().get_token(STORAGE).token}


@cache
def _credential() -> "DefaultAzureCredential":
    from azure.identity import DefaultAzureCredential  # noqa: PLC0415 - only where the lake is in Azure

    return DefaultAzureCredential()


def _at_most(reader: pa.RecordBatchReader, at_most: int) -> pa.Table:
    batches: list[pa.RecordBatch] = []
    count = 0
    for batch in reader:
        count += batch.num_rows
        if count > at_most:
            raise InvalidError(
                f"there are more than {at_most:,} readings in the period; ask for a shorter one, or for fewer machines",
                field="compressor_ids",
            )
        batches.append(batch)
    return pa.Table.from_batches(batches, reader.schema)


def _refuse_foreign(rows: pa.Table, organization_id: OrganizationId) -> None:
    """Look again at what the query was to see to: that each row is this organization's."""
    owners = set(rows.column(ORGANIZATION).unique().to_pylist())
    if owners - {str(organization_id)}:
        raise RuntimeError("the lake gave rows of another organization")


def _history(rows: pa.Table) -> History:
    names = rows.column(COMPRESSOR).cast(pa.string())
    number, at = codes(names), integers(rows.column(TIMESTAMP))
    _, first, found = np.unique(number, return_index=True, return_inverse=True)
    told = np.array(names.take(pa.array(first)).to_pylist(), dtype=object)
    by_name = np.argsort(told)  # the table's files come in no order
    machine = np.argsort(by_name)[found]
    order = np.lexsort((at, machine))
    return History(
        machines=tuple(CompressorId(name) for name in told[by_name]),
        machine=machine[order],
        at=at[order],
        sensors={field: floats(rows.column(field))[order] for field in SENSOR_FIELDS},
    )
