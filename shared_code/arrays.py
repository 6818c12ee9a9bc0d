"""Arrow columns as numpy arrays. To import it takes time that most requests of the API need not spend."""

# Arrow's stubs leave its arrays untyped:
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeArgument=false, reportCallIssue=false
# pyright: reportArgumentType=false

from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool_]

HOUR_US: Final = 3_600_000_000
DAY_US: Final = 24 * HOUR_US


def floats(column: pa.ChunkedArray) -> Floats:
    """Return a column as floats, NULL as NaN; microseconds of an instant are exact in a float64."""
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    return column.to_numpy().astype(np.float64, copy=False)


def integers(column: pa.ChunkedArray) -> Integers:
    """Return a column without NULL as integers; an instant in its own unit."""
    return column.cast(pa.int64()).to_numpy()


def codes(*columns: pa.ChunkedArray) -> Integers:
    """Return a number for each row, the same where all columns are the same."""
    combined = np.zeros(len(columns[0]), dtype=np.int64)
    for column in columns:
        encoded = column.combine_chunks().dictionary_encode()
        combined = combined * len(encoded.dictionary) + encoded.indices.to_numpy()
    return combined
