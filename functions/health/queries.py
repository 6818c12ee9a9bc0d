"""What readiness asks of the database."""

import logging
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

from shared_code.database import transactions
from shared_code.database.engines import Database
from shared_code.errors import SettingsError

logger = logging.getLogger(__name__)


# organization-free: asks whether the server answers, and no table
def database_answers(database: Callable[[], Database]) -> bool:
    """Return whether the database can be opened and answers."""
    try:
        transactions.ping(database())
    except (SQLAlchemyError, SettingsError, OSError):
        logger.exception("the database does not answer")
        return False
    return True
