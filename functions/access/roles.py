"""Who may do what: one row for each operation of the API."""

from collections.abc import Mapping
from typing import Final

from shared_code.database.tables.organizations import UserRole
from shared_code.errors import ForbiddenError

RANKS: Final = (UserRole.VIEWER, UserRole.OPERATOR, UserRole.ADMIN, UserRole.OWNER)
"""Each may do whatever those before it may."""

LEAST_ROLE: Final[Mapping[str, UserRole | None]] = {
    # None: no session is needed.
    "check_alive": None,
    "check_ready": None,
    "get_openapi_document": None,
    "show_documentation": None,
    "sign_in_for_development": None,
    "sign_out": None,
    # About oneself.
    "get_session": UserRole.VIEWER,
    "refresh_session": UserRole.VIEWER,
    # The fleet.
    "get_compressor": UserRole.VIEWER,
    "get_fleet": UserRole.VIEWER,
    "list_compressors": UserRole.VIEWER,
    "list_readings": UserRole.VIEWER,
    "list_stations": UserRole.VIEWER,
}


def require(operation_id: str, role: UserRole) -> None:
    """Let pass only a role that may do this.

    Raises:
        ForbiddenError: names the role that it takes.
    """
    least = LEAST_ROLE[operation_id]
    if least is not None and RANKS.index(role) < RANKS.index(least):
        raise ForbiddenError(f"this takes the role {least} or higher; yours here is {role}")
