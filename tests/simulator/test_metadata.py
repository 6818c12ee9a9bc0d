from datetime import date

from simulator.fleet import STATIONS
from tests.simulator.landed import Landed, rows_of


def test_stations_are_the_four_of_texas(default_week: Landed) -> None:
    rows = rows_of(default_week.folder / "metadata/stations/stations.parquet")
    assert [row["station_name"] for row in rows] == [
        "Eagle Ford Station A",
        "Permian Basin Station B",
        "Haynesville Station C",
        "Barnett Shale Station D",
    ]
    assert list(rows[0]) == [
        "station_id", "station_name", "latitude", "longitude", "elevation_ft", "region", "city", "state", "timezone",
    ]  # fmt: skip
    assert {(row["state"], row["timezone"]) for row in rows} == {("TX", "America/Chicago")}


def test_every_compressor_is_described_and_stands_at_a_known_station(default_week: Landed) -> None:
    rows = rows_of(default_week.folder / "metadata/compressors/compressors.parquet")
    assert {row["compressor_id"] for row in rows} == {machine for machine, _ in default_week.rows}
    assert list(rows[0]) == [
        "compressor_id", "model", "horsepower", "install_date", "station_id", "latitude", "longitude",
    ]  # fmt: skip
    assert {row["station_id"] for row in rows} == {station.station_id for station in STATIONS}
    assert all(date(2010, 1, 1) < row["install_date"] < date(2025, 1, 1) for row in rows)


def test_no_counter_shows_more_hours_than_the_machine_is_old(default_week: Landed) -> None:
    installed = {
        row["compressor_id"]: row["install_date"]
        for row in rows_of(default_week.folder / "metadata/compressors/compressors.parquet")
    }
    for (machine, at), row in default_week.rows.items():
        assert row["operating_hours"] <= ((at.date() - installed[machine]).days + 1) * 24
