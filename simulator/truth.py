"""What was injected into the readings, as a table that explains everything unusual in them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

import pyarrow as pa

INSTANT: Final = pa.timestamp("us", tz="UTC")
SCHEMA: Final = pa.schema(
    [
        pa.field("compressor_id", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("sensor", pa.string()),
        pa.field("start", INSTANT, nullable=False),
        pa.field("end", INSTANT, nullable=False),
    ]
)


class Kind(StrEnum):
    """What can be wrong with a machine, a sensor or a gateway."""

    DEGRADATION = "degradation"
    FAILURE = "failure"
    GAP = "gap"
    STUCK = "stuck"
    SPIKE = "spike"
    IMPLAUSIBLE = "implausible"
    MISSING_VALUE = "missing_value"


@dataclass(frozen=True, slots=True)
class Injected:
    """One thing wrong from `start` up to, not including, `end` (UTC); no sensor means the whole machine."""

    compressor_id: str
    kind: Kind
    sensor: str | None
    start: datetime
    end: datetime


def truth_table(injected: Iterable[Injected]) -> pa.Table:
    """The truth as rows of SCHEMA, in the order given."""
    rows = [
        {"compressor_id": i.compressor_id, "kind": i.kind.value, "sensor": i.sensor, "start": i.start, "end": i.end}
        for i in injected
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)
