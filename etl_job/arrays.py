"""Arrow columns as numpy arrays and back, and the runs of equal keys in sorted ones; see `shared_code.arrays`."""

# Arrow's stubs leave its arrays untyped:
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeArgument=false, reportCallIssue=false
# pyright: reportArgumentType=false

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql.types import StructType

from shared_code.arrays import Booleans, Floats, Integers

INSTANT: Final = pa.timestamp("us", tz="UTC")


ARROW_TYPES: Final[Mapping[str, pa.DataType]] = {
    "string": pa.string(),
    "timestamp": INSTANT,
    "date": pa.date32(),
    "double": pa.float64(),
    "int": pa.int32(),
    "bigint": pa.int64(),
    "boolean": pa.bool_(),
}


class Groups:
    """Runs of neighbouring rows that are equal in every key."""

    def __init__(self, *keys: npt.NDArray[Any]) -> None:
        opens = np.ones(len(keys[0]), dtype=bool)
        opens[1:] = False
        for key in keys:
            opens[1:] |= key[1:] != key[:-1]
        self.first: Integers = np.flatnonzero(opens)
        """The first row of each group."""
        self.of: Integers = np.cumsum(opens) - 1
        """The group of each row."""

    def __len__(self) -> int:
        return len(self.first)

    @property
    def last(self) -> Integers:
        """The last row of each group."""
        return np.append(self.first, len(self.of))[1:] - 1

    @property
    def sizes(self) -> Integers:
        """How many rows each group has."""
        return self.last - self.first + 1

    def sum(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return each group's sum."""
        return np.add.reduceat(values, self.first) if len(self) else values

    def min(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return each group's least value."""
        return np.minimum.reduceat(values, self.first) if len(self) else values

    def max(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return each group's greatest value."""
        return np.maximum.reduceat(values, self.first) if len(self) else values


def booleans(column: pa.ChunkedArray) -> Booleans:
    """Return a column as booleans, NULL as false."""
    return pc.fill_null(column, False).to_numpy()  # noqa: FBT003 - Arrow's signature


def nulls(column: pa.ChunkedArray) -> Booleans:
    """Return where a column is NULL."""
    if not column.null_count:
        return np.zeros(len(column), dtype=bool)
    return pc.is_null(column).to_numpy()


def ranks(column: pa.ChunkedArray) -> Integers:
    """Return a number for each row of a text column, in the texts' order."""
    encoded = column.combine_chunks().dictionary_encode()
    ranked = np.empty(len(encoded.dictionary), dtype=np.int64)
    ranked[np.argsort(np.array(encoded.dictionary.to_pylist(), dtype=object), kind="stable")] = np.arange(len(ranked))
    return ranked[encoded.indices.to_numpy()]


def named(numbers: npt.NDArray[np.int8], names: Sequence[str]) -> pa.Array:
    """Return the names at these places in a list as text, NULL where the number is negative."""
    absent = numbers < 0
    if absent.all():
        return pa.nulls(len(numbers), pa.string())
    return pa.DictionaryArray.from_arrays(pa.array(numbers, mask=absent), pa.array(names)).cast(pa.string())


def or_null(values: Floats) -> pa.Array:
    """Return floats as an Arrow array, NaN as NULL."""
    return pa.array(values, from_pandas=True)


def arrow_schema(schema: StructType) -> pa.Schema:
    """Return what Arrow calls the columns of a Delta table."""
    return pa.schema([(field.name, ARROW_TYPES[field.dataType.simpleString()]) for field in schema])
