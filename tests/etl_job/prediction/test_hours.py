from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from etl_job.prediction.hours import COLUMNS, hours_of
from etl_job.prediction.residuals import CONTEXT

MIDNIGHT = datetime(2026, 1, 5, tzinfo=UTC)


def a_partial(hour: int, **values: Any) -> dict[str, Any]:  # noqa: ANN401 - of any column
    usual = {name: 6 if name.endswith("_n") else 12.0 for name in COLUMNS}
    return {**usual, "hour": MIDNIGHT + timedelta(hours=hour), **values}


def test_hours_stand_on_a_line_without_holes_whatever_their_order() -> None:
    partials = [a_partial(7, vibration_mms_mean=3.0), a_partial(4, vibration_mms_mean=2.0)]
    line = hours_of(pa.Table.from_pylist(partials))
    assert line.first == int(MIDNIGHT.timestamp()) // 3600 + 4
    assert np.array_equal(line.means[:, 0], [2.0, np.nan, np.nan, 3.0], equal_nan=True)
    assert line.squares[0, 0] == 2.0


def test_a_mean_of_few_readings_is_none() -> None:
    line = hours_of(pa.Table.from_pylist([a_partial(0, vibration_mms_n=2, gas_flow_mcf_n=3)]))
    assert np.isnan(line.means[0]).tolist() == [True, False, False]
    assert line.context[0, CONTEXT.index("flow")] == 12.0
    rarely_read = hours_of(pa.Table.from_pylist([a_partial(0, vibration_mms_n=1)]), readings_an_hour=2)
    assert rarely_read.means[0, 0] == 12.0


def test_the_power_before_is_that_of_the_hour_before_where_it_is_known() -> None:
    power = "horsepower_consumption_mean"
    partials = [a_partial(0, **{power: 1.0}), a_partial(1, **{power: 2.0}), a_partial(3, **{power: 4.0})]
    line = hours_of(pa.Table.from_pylist(partials))
    before = line.context[:, CONTEXT.index("power before")]
    assert np.array_equal(before, [1.0, 1.0, 2.0, 4.0], equal_nan=True)
