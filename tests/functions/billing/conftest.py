"""A database whose events nobody else handles, a Stripe on loopback, and somebody who pays."""

import json
from collections.abc import Generator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import delete, select, update

from functions.access import sessions
from functions.api import create_app
from functions.billing import handling
from functions.billing.handling import Handled, Reconciled
from functions.settings import Settings
from shared_code.database import transactions
from shared_code.database.engines import Database
from shared_code.database.home import open_database
from shared_code.database.tables import billing_events, organizations, payment_failures, stripe_events, subscriptions
from shared_code.database.tables.organizations import Tier, UserRole
from shared_code.settings import DatabaseSettings, read
from tests.factories.fleet import Customer, a_colleague, a_customer, a_session
from tests.functions.conftest import KEY as SESSION_KEY
from tests.seams.api_client import ApiClient
from tests.seams.stripe import SECRET, Stripe, a_stripe, prices, signed

START = datetime(2026, 1, 12, 18, tzinfo=UTC)
WEBHOOK = "/api/stripe/webhook"


@pytest.fixture(scope="session")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Generator[Database]:
    settings = read(DatabaseSettings, data_dir=tmp_path_factory.mktemp("billing") / "data")
    database = open_database(settings, now=START)
    yield database
    database.dispose()


@pytest.fixture
def stripe() -> Generator[Stripe]:
    with a_stripe(START) as stripe:
        yield stripe


@dataclass
class Billing:
    """An installation that sells plans, a customer of it on Free, and the time."""

    database: Database
    stripe: Stripe
    customer: Customer
    settings: Settings
    now: datetime = START
    _api: ApiClient | None = None

    @property
    def api(self) -> ApiClient:
        if self._api is None:
            self._api = ApiClient(create_app(self.settings, lambda: self.database, clock=self.clock))
        return self._api

    def with_settings(self, **changes: Any) -> None:  # noqa: ANN401 - settings
        """Begin anew with other settings of billing."""
        billing = self.settings.billing.model_copy(update=changes)
        self.settings = replace(self.settings, billing=billing)
        self._api = None

    def clock(self) -> datetime:
        return self.now

    def later(self, time: timedelta) -> None:
        self.now += time
        self.stripe.now = int(self.now.timestamp())

    def client(self, role: UserRole = UserRole.OWNER) -> ApiClient:
        who = self.customer if role is UserRole.OWNER else a_colleague(self.database, self.customer, role)
        session = a_session(self.database, who, now=self.now)
        return self.api.with_token(sessions.sign(session, SESSION_KEY))

    def checkout(self, **wanted: str) -> httpx.Response:
        return self.client().post("/api/billing/checkout", json={"plan": "pro", **wanted})

    def state(self) -> dict[str, Any]:
        return self.client().get("/api/billing/subscription").json()

    def customer_id(self) -> str:
        """Return the organization's customer at Stripe, made where there is none."""
        known = self.organization()["stripe_customer_id"]
        if known is None:
            known = self.stripe.a_customer()
            with transactions.owner(self.database) as connection:
                own = organizations.c.id == self.customer.organization_id
                connection.execute(update(organizations).where(own).values(stripe_customer_id=known))
        return known

    def deliver(self, *events: dict[str, Any]) -> list[int]:
        """Send events as Stripe does; return the statuses of the answers."""
        return [self.send(json.dumps(event).encode()).status_code for event in events]

    def send(self, body: bytes, *, secret: str = SECRET, at: datetime | None = None) -> httpx.Response:
        headers = {"Stripe-Signature": signed(body, at=at or self.now, secret=secret)}
        return self.api.post(WEBHOOK, content=body, headers=headers)

    def take_in(self, *events: dict[str, Any]) -> None:
        """Keep events whose signatures were believed."""
        for event in events:
            handling.take_in(self.database, self.settings, event, now=self.now)

    def handle(self) -> Handled:
        return handling.handle(self.database, self.settings, clock=self.clock, chance=lambda: 0.5)

    def reconcile(self) -> Reconciled:
        done = handling.reconcile(self.database, self.settings, clock=self.clock)
        assert done is not None
        return done

    def organization(self) -> dict[str, Any]:
        with transactions.owner(self.database) as connection:
            own = select(organizations).where(organizations.c.id == self.customer.organization_id)
            return dict(connection.execute(own).mappings().one())

    def plan(self) -> tuple[str, str, int | None]:
        row = self.organization()
        return row["subscription_tier"], row["subscription_status"], row["max_compressors"]

    def rows(self, table: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - a table
        own = select(table)
        if table is not stripe_events:
            own = own.where(table.c.organization_id == self.customer.organization_id)
        with transactions.owner(self.database) as connection:
            return [dict(row) for row in connection.execute(own).mappings()]

    def final(self) -> dict[str, Any]:
        """Return all that follows from what Stripe has, without the times at which we learned of it."""
        (row,) = self.rows(subscriptions)
        mine = {name: value for name, value in self.organization().items() if name != "updated_at"}
        return mine | {name: value for name, value in row.items() if name != "changed_at"}


@pytest.fixture
def billing(apart: Database, stripe: Stripe, settings: Settings) -> Generator[Billing]:
    customer = a_customer(apart, tier=Tier.FREE)
    with prices():
        yield Billing(apart, stripe, customer, replace(settings, database=apart.settings, billing=stripe.settings))
    with transactions.owner(apart) as connection:
        for table in (stripe_events, billing_events, subscriptions, payment_failures):
            connection.execute(delete(table))
        connection.execute(update(organizations).values(stripe_customer_id=None))
