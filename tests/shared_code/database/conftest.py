"""Two organizations that both own a COMP-001, and a database with a single connection."""

from collections.abc import Generator

import pytest

from shared_code.database.engines import Database
from shared_code.identifiers import OrganizationId
from tests.shared_code.database.rows import an_organization_with_rows


@pytest.fixture(scope="session")
def ours(database: Database) -> OrganizationId:
    return an_organization_with_rows(database)


@pytest.fixture(scope="session")
def theirs(database: Database) -> OrganizationId:
    return an_organization_with_rows(database)


@pytest.fixture
def single(database: Database) -> Generator[Database]:
    """The run's database through a pool of one connection, so that whoever comes next gets the last one's."""
    single = Database(database.settings.model_copy(update={"pool_size": 1}))
    yield single
    single.dispose()
