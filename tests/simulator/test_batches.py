from uuid import UUID

import pyarrow as pa

from shared_code.readings import REQUIRED_FIELDS
from simulator.batches import collect
from simulator.simulation import Simulation

OWNER = UUID("11111111-2222-3333-4444-555555555555")


def test_a_batch_has_the_agreed_columns_in_order() -> None:
    assert tuple(collect(Simulation(), 0, 0).table.column_names) == REQUIRED_FIELDS


def test_an_organization_is_the_first_column_of_every_row() -> None:
    table = collect(Simulation(organization=OWNER), 0, 0).table
    assert tuple(table.column_names) == ("organization_id", *REQUIRED_FIELDS)
    assert set(table.column("organization_id").to_pylist()) == {str(OWNER)}


def test_rows_are_in_order_of_timestamp_and_compressor() -> None:
    table = collect(Simulation(compressors=4000), 2, 0).table
    keys = list(zip(table.column("timestamp").to_pylist(), table.column("compressor_id").to_pylist(), strict=True))
    assert keys == sorted(set(keys))


def test_a_batch_is_the_same_whatever_the_length_of_the_period() -> None:
    week, quarter = (collect(Simulation(days=days), 1, 11) for days in (7, 90))
    assert week.table.equals(quarter.table)
    assert week.injected == quarter.injected


def test_another_seed_gives_other_readings() -> None:
    one, other = (collect(Simulation(seed=seed), 1, 1).table for seed in (1, 2))
    assert not one.equals(other)


def test_instants_are_utc() -> None:
    timestamps = collect(Simulation(), 0, 0).table.select(["timestamp"])
    assert timestamps.schema.equals(pa.schema([("timestamp", pa.timestamp("us", tz="UTC"))]))
