"""The API over the run's database, with a clock that stands still."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from pydantic import SecretStr

from functions.access import sessions
from functions.api import create_app
from functions.settings import AccessSettings, EdgeSettings, Settings
from shared_code.database.engines import Database
from tests.factories.fleet import Customer, a_compressor, a_customer, a_session, a_station
from tests.seams.api_client import ApiClient

KEY = "a key for tests, of which nothing else knows"
NOW = datetime(2026, 1, 12, tzinfo=UTC)


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture(scope="session")
def settings(database: Database) -> Settings:
    access = AccessSettings(
        session_secret=SecretStr(KEY),
        dev_credentials_enabled=True,
        dev_credentials_allow_list=frozenset({"demo@altaviz.dev", "rival@altaviz.dev", "new@altaviz.dev"}),
    )
    # The clock stands still, so what is spent never comes back.
    edge = EdgeSettings(altaviz_requests_per_minute=100_000)
    return Settings(access, database.settings, KEY, edge=edge)


@pytest.fixture
def api(database: Database, settings: Settings) -> ApiClient:
    """A client without a session."""
    return ApiClient(create_app(settings, lambda: database, clock=lambda: NOW))


@pytest.fixture
def signed_in(api: ApiClient, database: Database) -> Callable[[Customer], ApiClient]:
    """Make a client with a customer's session."""

    def sign_in(customer: Customer) -> ApiClient:
        return api.with_token(sessions.sign(a_session(database, customer, now=NOW), KEY))

    return sign_in


@pytest.fixture
def customer(database: Database) -> Customer:
    """A customer with two machines at one station; where another is wanted, a module says so."""
    customer = a_customer(database)
    a_station(database, customer)
    for machine in ("COMP-001", "COMP-002"):
        a_compressor(database, customer, machine)
    return customer


@pytest.fixture
def client(signed_in: Callable[[Customer], ApiClient], customer: Customer) -> ApiClient:
    """A client with the customer's session."""
    return signed_in(customer)
