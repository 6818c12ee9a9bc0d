# What Arrow's stubs leave open.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""Windows computed from nothing but landing files, by rules written a second time for DuckDB, and compared."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from tests.etl_job.customer import Key, Row

QUERY = Path(__file__).with_name("recomputed.sql")
LIMITS = pa.Table.from_pylist(
    [
        {"field": field, "low": low, "high": high, "floor": floor, "warning_above": above, "warning_below": below}
        for field, low, high, floor, above, below in (
            ("vibration_mms", 0.0, 50.0, 0.1, 6.0, None),
            ("discharge_temp_f", -40.0, 500.0, 1.0, 240.0, None),
            ("suction_pressure_psi", 0.0, 500.0, 0.5, None, 30.0),
            ("discharge_pressure_psi", 0.0, 3000.0, 5.0, 1300.0, None),
            ("horsepower_consumption", 0.0, 10_000.0, 10.0, 1800.0, None),
            ("gas_flow_mcf", 0.0, 100_000.0, 50.0, None, 6000.0),
        )
    ]
)
WINDOW_TYPES = pa.table({"window_type": ["1hr", "4hr", "24hr"], "hours": [1, 4, 24]})
COUNTS = ("reading_count", "missing_readings", "suspect_readings")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def recomputed(landing: Path) -> pa.Table:
    """Return the windows of the Parquet files under `landing/readings/`; instants are microseconds since 1970."""
    files = sorted((landing / "readings").iterdir())
    with duckdb.connect() as connection:
        mtimes = [file.stat().st_mtime_ns // 1000 for file in files]
        connection.register("files", pa.table({"filename": [str(file) for file in files], "mtime": mtimes}))
        connection.register("limits", LIMITS)
        connection.register("window_types", WINDOW_TYPES)
        found = connection.sql(QUERY.read_text(), params={"landing": str(landing / "readings" / "*.parquet")})
        return found.to_arrow_table()


def assert_same_windows(rows: Iterable[Row], expected: pa.Table) -> None:
    """Compare windows, in any order, with recomputed ones: counts exactly, the rest to a billionth."""
    ours = sorted(rows, key=lambda row: (row["compressor_id"], row["window_type"], row["agg_timestamp"]))
    found: list[Key] = [
        (row["compressor_id"], row["window_type"], (row["agg_timestamp"] - EPOCH) // timedelta(microseconds=1))
        for row in ours
    ]
    names = ("compressor_id", "window_type", "agg_timestamp")
    assert found == list(zip(*(expected.column(name).to_pylist() for name in names), strict=True))
    for name in expected.column_names[3:]:
        got, wanted = (
            np.array([np.nan if value is None else float(value) for value in values])
            for values in ([row[name] for row in ours], expected.column(name).to_pylist())
        )
        if name in COUNTS:
            np.testing.assert_array_equal(got, wanted, err_msg=name)
        else:
            # A spread or a rate may be nothing but the last digits of what it was taken from.
            scale = float(np.nanmax(np.abs(wanted), initial=0.0, where=~np.isnan(wanted)))
            np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-11 * scale, err_msg=name)
