from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Table, select, update

from etl_job import publish
from etl_job.fleet import Compressor, FleetData, MaintenanceEvent, Refused, Station
from shared_code.database import transactions
from shared_code.database.engines import Database
from shared_code.database.tables import compressor_metadata, maintenance_events, station_locations
from tests.etl_job.customer import an_organization

FILE = "metadata/a.parquet"
EVENT = uuid4()


@pytest.fixture
def owner(database: Database) -> UUID:
    return an_organization(database)


def station(owner: UUID, name: str = "Station A") -> Station:
    row = {"station_id": "A", "station_name": name, "latitude": 28.9, "longitude": -98.5, "timezone": "America/Chicago"}
    return Station.model_validate({**row, "organization_id": owner, "source_file": FILE, "row_number": 0})


def compressor(owner: UUID, station_id: str = "A", row_number: int = 0) -> Compressor:
    row = {"compressor_id": "COMP-001", "model": "Ariel JGK/4", "horsepower": 1480, "station_id": station_id}
    return Compressor.model_validate({**row, "organization_id": owner, "source_file": FILE, "row_number": row_number})


def maintenance(owner: UUID, compressor_id: str = "COMP-001") -> MaintenanceEvent:
    row = {
        "event_id": EVENT,
        "compressor_id": compressor_id,
        "event_date": "2026-01-05T06:00:00Z",
        "event_type": "inspection",
        "description": "as logged",
        "downtime_hours": 1,
        "severity": "low",
    }
    return MaintenanceEvent.model_validate({**row, "organization_id": owner, "source_file": FILE, "row_number": 0})


def save(database: Database, fleet: FleetData) -> list[Refused]:
    with transactions.job(database) as connection:
        return publish.save_fleet(connection, fleet).refused


def test_a_row_that_refers_to_something_unknown_is_refused_by_file_and_row(database: Database, owner: UUID) -> None:
    stranger = uuid4()
    fleet = FleetData(
        stations=[station(owner), station(stranger)],
        compressors=[compressor(owner), compressor(owner, station_id="Z", row_number=7)],
        maintenance=[maintenance(owner, compressor_id="COMP-999")],
    )
    assert save(database, fleet) == [
        Refused(FILE, 0, "unknown organization"),
        Refused(FILE, 7, "unknown station"),
        Refused(FILE, 0, "unknown compressor"),
    ]
    with transactions.job(database) as connection:
        mine = compressor_metadata.c.organization_id == owner
        assert connection.scalars(select(compressor_metadata.c.station_id).where(mine)).all() == ["A"]


def test_the_row_read_last_counts(database: Database, owner: UUID) -> None:
    save(database, FleetData(stations=[station(owner, "old"), station(owner, "new")]))
    with transactions.job(database) as connection:
        mine = station_locations.c.organization_id == owner
        assert connection.scalars(select(station_locations.c.station_name).where(mine)).all() == ["new"]


def test_what_people_made_of_a_maintenance_event_survives_the_next_run(database: Database, owner: UUID) -> None:
    fleet = FleetData(stations=[station(owner)], compressors=[compressor(owner)], maintenance=[maintenance(owner)])
    mine = maintenance_events.c.organization_id == owner
    save(database, fleet)
    with transactions.owner(database) as connection:
        connection.execute(update(maintenance_events).where(mine).values(description="mended by hand"))
    save(database, fleet)
    with transactions.job(database) as connection:
        assert connection.scalars(select(maintenance_events.c.description).where(mine)).all() == ["mended by hand"]


def edited(database: Database, owner: UUID, table: Table, **values: object) -> None:
    """Change a row as the API does."""
    with transactions.owner(database) as connection:
        mine = table.c.organization_id == owner
        connection.execute(update(table).where(mine).values(**values, edited_at=datetime(2026, 1, 6, tzinfo=UTC)))


def row(database: Database, owner: UUID, table: Table) -> dict[str, Any]:
    with transactions.job(database) as connection:
        return dict(connection.execute(select(table).where(table.c.organization_id == owner)).mappings().one())


def test_what_people_made_of_stations_and_machines_is_not_undone_and_is_told(database: Database, owner: UUID) -> None:
    fleet = FleetData(stations=[station(owner)], compressors=[compressor(owner)])
    save(database, fleet)
    edited(database, owner, station_locations, station_name="renamed")
    edited(database, owner, compressor_metadata, retired_at=datetime(2026, 1, 6, tzinfo=UTC))
    before = row(database, owner, station_locations), row(database, owner, compressor_metadata)

    with transactions.job(database) as connection:
        saved = publish.save_fleet(connection, fleet)

    assert (row(database, owner, station_locations), row(database, owner, compressor_metadata)) == before
    assert saved == ([], 1)  # the machine's file says nothing else than people do


def test_a_file_replaces_what_only_files_have_said(database: Database, owner: UUID) -> None:
    save(database, FleetData(stations=[station(owner)]))
    with transactions.job(database) as connection:
        saved = publish.save_fleet(connection, FleetData(stations=[station(owner, "newer")]))

    assert row(database, owner, station_locations)["station_name"] == "newer"
    assert saved == ([], 0)


def test_what_people_created_is_known_to_be_in_files_once_it_is(database: Database, owner: UUID) -> None:
    save(database, FleetData(stations=[station(owner)]))
    edited(database, owner, station_locations, in_files=False)

    save(database, FleetData(stations=[station(owner, "as the file says")]))

    found = row(database, owner, station_locations)
    assert (found["station_name"], found["in_files"]) == ("Station A", True)
