"""A database whose alerts nobody else is told of, and somebody who is."""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import delete, insert, select, update

from functions.notifications import telling
from functions.notifications.sending import Postman
from functions.notifications.telling import Told
from functions.settings import MailSettings
from shared_code.alarms import Severity
from shared_code.database import transactions
from shared_code.database.engines import Database
from shared_code.database.home import open_database
from shared_code.database.tables import (
    alert_history,
    delivery_attempts,
    notification_channels,
    notification_deliveries,
    notifications,
)
from shared_code.settings import DatabaseSettings, read
from tests.factories.fleet import Customer, a_compressor, a_customer, a_station, an_alert
from tests.seams.receiver import Receiver, a_receiver

START = datetime(2026, 1, 12, 18, tzinfo=UTC)  # noon at the station
SECRET = "whsec_" + "QUJDRA" * 7 + "QQ=="


@pytest.fixture(scope="session")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Generator[Database]:
    settings = read(DatabaseSettings, data_dir=tmp_path_factory.mktemp("told") / "data")
    database = open_database(settings, now=START)
    yield database
    database.dispose()


@pytest.fixture
def receiver() -> Generator[Receiver]:
    with a_receiver() as receiver:
        yield receiver


@dataclass
class People:
    """A customer whose people want to be told, and the time."""

    database: Database
    receiver: Receiver
    customer: Customer
    mail: MailSettings = field(default_factory=MailSettings)
    now: datetime = START

    def clock(self) -> datetime:
        return self.now

    def tell(self, *, after: timedelta = timedelta(), chance: Callable[[], float] = lambda: 0.5) -> Told:
        """Let the timer fire, so much later than before."""
        self.now += after
        postman = Postman(self.mail, self.clock, (ip_network("127.0.0.0/8"),))
        return telling.tell(self.database, postman=postman, chance=chance)

    def channel(self, kind: str = "webhook", **more: object) -> UUID:
        channel_id = uuid4()
        row = {
            "organization_id": self.customer.organization_id,
            "channel_id": channel_id,
            "kind": kind,
            "name": "On-call",
            "address": f"http://127.0.0.1:{self.receiver.port}/{channel_id}",
            "secret": SECRET if kind == "webhook" else None,
            "least_severity": "warning",
            "after_minutes": 0,
            "tells_resolved": True,
            "quiet_for_critical": False,
            "enabled": True,
            "created_at": self.now,
            "created_by": self.customer.member.email,
        }
        with transactions.owner(self.database) as connection:
            connection.execute(insert(notification_channels).values(row | more))
        return channel_id

    def change_channel(self, channel_id: UUID, **values: object) -> None:
        with transactions.owner(self.database) as connection:
            own = notification_channels.c.channel_id == channel_id
            connection.execute(update(notification_channels).where(own).values(**values))

    def alert(self, severity: Severity = Severity.WARNING, **more: Any) -> UUID:  # noqa: ANN401 - columns
        given: dict[str, Any] = {"at": self.now, "rule": "vibration_high", **more}
        return an_alert(self.database, self.customer, given.pop("compressor_id", "COMP-001"), severity, **given)

    def change_alert(self, alert_id: UUID, **values: object) -> None:
        with transactions.owner(self.database) as connection:
            own = alert_history.c.alert_id == alert_id
            connection.execute(update(alert_history).where(own).values(**values))

    def rows(self, table: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - a table
        own = select(table).where(table.c.organization_id == self.customer.organization_id)
        with transactions.owner(self.database) as connection:
            return [dict(row) for row in connection.execute(own).mappings()]

    def deliveries(self) -> list[dict[str, Any]]:
        return sorted(self.rows(notification_deliveries), key=lambda row: row["created_at"])

    def attempts(self) -> list[dict[str, Any]]:
        return sorted(self.rows(delivery_attempts), key=lambda row: row["attempted_at"])

    def dropped(self) -> list[str]:
        return [row["dropped"] for row in self.rows(notifications) if row["dropped"]]


@pytest.fixture
def people(apart: Database, receiver: Receiver) -> Generator[People]:
    customer = a_customer(apart)
    a_station(apart, customer)
    for number in range(1, 4):
        a_compressor(apart, customer, f"COMP-{number:03}")
    yield People(apart, receiver, customer)
    with transactions.owner(apart) as connection:
        for table in (notifications, delivery_attempts, notification_deliveries, notification_channels, alert_history):
            connection.execute(delete(table))
