"""Customers with machines, put into the database as its owner would."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import Uuid, insert, literal, select
from sqlalchemy.dialects.postgresql import insert as upsert

from etl_job import publish
from etl_job.fleet import FleetData, MaintenanceEvent
from functions.access import keys, queries, sessions
from functions.access.keys import Scope
from functions.access.sessions import Member, Session
from shared_code.alarms import AlertType, Severity
from shared_code.database import transactions
from shared_code.database.engines import Database
from shared_code.database.tables import (
    alert_history,
    api_keys,
    compressor_metadata,
    data_quality_metrics,
    machine_contacts,
    ml_predictions,
    sensor_readings_agg,
    staging_data_quality_metrics,
    staging_ml_predictions,
    staging_sensor_readings_agg,
    station_locations,
    users,
)
from shared_code.database.tables.fleet import MaintenanceSeverity, MaintenanceType
from shared_code.database.tables.organizations import Tier, UserRole
from shared_code.database.tables.readings import QualityMetric, WindowType
from shared_code.database.transactions import JobWrite, Write
from shared_code.identifiers import OrganizationId, UserId
from tests.factories.organizations import LONG_AGO, add_organization

NORMAL_VALUES: dict[str, float | int | None] = {
    "vibration_mean": 3.0,
    "vibration_std": 0.2,
    "vibration_max": 3.5,
    "vibration_min": 2.5,
    "discharge_temp_mean": 200.0,
    "discharge_temp_std": 2.0,
    "discharge_temp_max": 205.0,
    "discharge_temp_rate_of_change": 1.0,
    "suction_pressure_mean": 60.0,
    "suction_pressure_std": 1.0,
    "suction_pressure_min": 58.0,
    "discharge_pressure_mean": 1050.0,
    "discharge_pressure_std": 10.0,
    "discharge_pressure_max": 1070.0,
    "pressure_delta_mean": 990.0,
    "horsepower_mean": 1400.0,
    "horsepower_std": 20.0,
    "gas_flow_mean": 10000.0,
    "reading_count": 6,
    "missing_readings": 0,
    "suspect_readings": 0,
}


@dataclass(frozen=True, slots=True)
class Customer:
    """An organization and its first user."""

    member: Member

    @property
    def organization_id(self) -> OrganizationId:
        return self.member.organization_id


def a_customer(database: Database, *, tier: Tier = Tier.ENTERPRISE, role: UserRole = UserRole.OWNER) -> Customer:
    with transactions.owner(database) as connection:
        organization_id = OrganizationId(add_organization(connection, tier=tier))
    return _a_person(database, organization_id, tier, role)


def a_colleague(database: Database, customer: Customer, role: UserRole) -> Customer:
    """Add somebody else to a customer's organization."""
    return _a_person(database, customer.organization_id, customer.member.subscription_tier, role)


def _a_person(database: Database, organization_id: OrganizationId, tier: Tier, role: UserRole) -> Customer:
    user_id = UserId(uuid4())
    email = f"{user_id.hex}@customer.example"
    with transactions.owner(database) as connection:
        connection.execute(
            insert(users).values(
                organization_id=organization_id,
                id=user_id,
                email=email,
                name="A Person",
                identity_issuer="urn:test",
                identity_tenant="test",
                identity_object=user_id.hex,
                role=role,
                created_at=LONG_AGO,
            )
        )
    member = Member(
        sub=user_id,
        email=email,
        organization_id=organization_id,
        organization_name="A Customer",
        role=role,
        subscription_tier=tier,
    )
    return Customer(member)


def a_session(database: Database, customer: Customer, *, now: datetime) -> Session:
    """Sign the customer's first user in."""
    session = sessions.start(customer.member, now=now)
    with transactions.owner(database) as connection:
        queries.add_session(Write(connection), customer.organization_id, session, now=now)
    return session


def a_key(database: Database, customer: Customer, *scopes: Scope, now: datetime) -> str:
    """Make a key for a machine of the customer's, and return its secret."""
    secret = keys.make()
    with transactions.owner(database) as connection:
        connection.execute(
            insert(api_keys).values(
                organization_id=customer.organization_id,
                id=uuid4(),
                name="A Gateway",
                prefix=secret[: keys.SHOWN],
                scopes=" ".join(scopes),
                secret_hash=keys.digest(secret),
                created_at=now,
                expires_at=now + timedelta(days=365),
            )
        )
    return secret


def a_station(database: Database, customer: Customer, station_id: str = "STATION-A") -> str:
    with transactions.owner(database) as connection:
        connection.execute(
            insert(station_locations).values(
                organization_id=customer.organization_id,
                station_id=station_id,
                station_name=f"Name of {station_id}",
                latitude=28.9144,
                longitude=-98.5242,
                elevation_ft=450.0,
                region="Eagle Ford",
                city="Karnes City",
                state="TX",
                timezone="America/Chicago",
            )
        )
    return station_id


def a_compressor(
    database: Database, customer: Customer, compressor_id: str = "COMP-001", *, station_id: str = "STATION-A"
) -> str:
    with transactions.owner(database) as connection:
        connection.execute(
            insert(compressor_metadata).values(
                organization_id=customer.organization_id,
                compressor_id=compressor_id,
                model="Ajax DPC-360",
                horsepower=1340.0,
                install_date=LONG_AGO.date(),
                station_id=station_id,
            )
        )
    return compressor_id


def a_window(
    database: Database,
    customer: Customer,
    compressor_id: str,
    *,
    end: datetime,
    window_type: WindowType = WindowType.HOUR,
    values: dict[str, float | int | None] | None = None,
) -> None:
    """Publish a window of a machine that runs well, but for `values`, as the job does."""
    row = {
        "organization_id": customer.organization_id,
        "compressor_id": compressor_id,
        "window_type": window_type,
        "agg_timestamp": end,
        **(NORMAL_VALUES | (values or {})),
    }
    batch_id = uuid4().hex
    with transactions.job(database) as connection:
        connection.execute(insert(staging_sensor_readings_agg).values(row | {"batch_id": batch_id}))
        publish.merge(connection, sensor_readings_agg, batch_id, staged=1)


def an_alert(
    database: Database,
    customer: Customer,
    compressor_id: str,
    severity: Severity,
    *,
    resolved: bool = False,
    at: datetime = LONG_AGO,
    alert_id: UUID | None = None,
    **more: object,
) -> UUID:
    """Raise an alert as the job's role may, and say that the organization's data changed.

    Without a `rule` it has one of its own, so that a machine may have several.
    """
    alert_id = alert_id or uuid4()
    row = {
        "organization_id": customer.organization_id,
        "alert_id": alert_id,
        "compressor_id": compressor_id,
        "rule": f"rule_{alert_id}",
        "onset_at": at,
        "alert_timestamp": at,
        "group_at": at,
        "latest_at": at,
        "latched": False,
        "alert_type": AlertType(f"threshold_{severity}"),
        "severity": severity,
        "sensor_name": "vibration_mms",
        "sensor_value": 8.5,
        "threshold_value": 8.0,
        "message": "vibration is high",
        "acknowledged": False,
        "resolved": resolved,
        **more,
    }
    with transactions.job(database) as connection:
        connection.execute(insert(alert_history).values(row))
        _tell(connection, customer)
    return alert_id


def a_contact(database: Database, customer: Customer, compressor_id: str, *, at: datetime) -> None:
    """Note when a machine was last heard, as the job does."""
    row = {"organization_id": customer.organization_id, "compressor_id": compressor_id, "last_reading_at": at}
    with transactions.job(database) as connection:
        statement = upsert(machine_contacts).values(row)
        key = ["organization_id", "compressor_id"]
        connection.execute(statement.on_conflict_do_update(index_elements=key, set_={"last_reading_at": at}))
        _tell(connection, customer)


def a_metric(
    database: Database,
    customer: Customer,
    compressor_id: str,
    metric_type: QualityMetric,
    *,
    day_end: datetime,
    value: float = 1.0,
    passed: bool = True,
) -> None:
    """Publish how good a machine's data of a day is, as the job does."""
    row = {
        "organization_id": customer.organization_id,
        "compressor_id": compressor_id,
        "metric_type": metric_type,
        "metric_timestamp": day_end,
        "metric_value": value,
        "pass_threshold": 0.98,
        "passed": passed,
        "details": {"readings": 144},
    }
    batch_id = uuid4().hex
    with transactions.job(database) as connection:
        connection.execute(insert(staging_data_quality_metrics).values(row | {"batch_id": batch_id}))
        publish.merge(connection, data_quality_metrics, batch_id, staged=1)


def a_prediction(
    database: Database,
    customer: Customer,
    compressor_id: str,
    *,
    at: datetime,
    health: float | None = 1.0,
    **more: object,
) -> None:
    """Publish what was foretold of a machine at the end of an hour, as the job does."""
    off = {"actual": 3.1, "expected": 2.9, "spread_off": 0.4}
    sensors = {"discharge_temp_f": 0.1, "vibration_mms": -1.2}
    row = {
        "organization_id": customer.organization_id,
        "compressor_id": compressor_id,
        "prediction_timestamp": at,
        "model_version": "residual-health-1",
        "rul_days": None,
        "failure_probability": None if health is None else 0.02,
        "confidence_score": 0.75,
        "features_used": {"channels": [{"sensor": name, "off": far, **off} for name, far in sensors.items()]},
        "health": health,
        "threshold": 4.0,
        **more,
    }
    batch_id = uuid4().hex
    with transactions.job(database) as connection:
        connection.execute(insert(staging_ml_predictions).values(row | {"batch_id": batch_id}))
        publish.merge(connection, ml_predictions, batch_id, staged=1)


def a_maintenance_event(
    database: Database,
    customer: Customer,
    compressor_id: str,
    *,
    at: datetime,
    event_id: UUID | None = None,
    event_type: MaintenanceType = MaintenanceType.INSPECTION,
) -> UUID:
    """Take an entry of the maintenance log from a file, as the job does."""
    event = MaintenanceEvent(
        organization_id=customer.organization_id,
        source_file="maintenance.csv",
        row_number=0,
        event_id=event_id or uuid4(),
        compressor_id=compressor_id,
        event_date=at,
        event_type=event_type,
        description="looked at",
        downtime_hours=0.5,
        severity=MaintenanceSeverity.LOW,
        cost_usd=12.5,
    )
    with transactions.job(database) as connection:
        assert publish.save_fleet(connection, FleetData(maintenance=[event])).refused == []
    return event.event_id


def _tell(connection: JobWrite, customer: Customer) -> None:
    publish.tell(connection, select(literal(customer.organization_id, Uuid()).label("organization_id")))
