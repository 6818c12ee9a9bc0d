"""Who may do what: one row for each operation of the API."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from functions.access.keys import Key, Scope
from shared_code.database.tables.organizations import UserRole
from shared_code.errors import ForbiddenError

RANKS: Final = (UserRole.VIEWER, UserRole.OPERATOR, UserRole.ADMIN, UserRole.OWNER)
"""Each may do whatever those before it may."""


PEOPLE_ONLY: Final = "this takes a person's session; an API key cannot do it"
MACHINES_ONLY: Final = "this takes an API key; people cannot do it"


@dataclass(frozen=True, slots=True)
class Rule:
    """The least role of a person, and the scope of a machine's key, that an operation takes; None lets none of them in.

    An operation that says neither is open to anybody.
    """

    role: UserRole | None = None
    scope: Scope | None = None
    installation: bool = False
    """Whether it also takes the installation's own key, for all organizations."""


ANYBODY: Final = Rule()
READERS: Final = Rule(UserRole.VIEWER, Scope.READ)
MEMBERS: Final = Rule(UserRole.VIEWER)
OPERATORS: Final = Rule(UserRole.OPERATOR)
ADMINS: Final = Rule(UserRole.ADMIN)
OWNERS: Final = Rule(UserRole.OWNER)
GATEWAYS: Final = Rule(None, Scope.INGEST)

RULES: Final[Mapping[str, Rule]] = {
    "check_alive": ANYBODY,
    "check_ready": ANYBODY,
    "get_openapi_document": ANYBODY,
    "show_documentation": ANYBODY,
    # Oneself.
    "begin_entra_sign_in": ANYBODY,
    "complete_entra_sign_in": ANYBODY,
    "get_session": MEMBERS,
    "list_my_organizations": MEMBERS,
    "refresh_session": MEMBERS,
    "sign_in_for_development": ANYBODY,
    "sign_out": ANYBODY,
    "switch_organization": MEMBERS,
    # The fleet.
    "create_compressor": ADMINS,
    "create_station": ADMINS,
    "export_readings": READERS,
    "get_compressor": READERS,
    "get_fleet": READERS,
    "ingest_readings": GATEWAYS,
    "list_compressors": READERS,
    "list_readings": READERS,
    "list_stations": READERS,
    "retire_compressor": ADMINS,
    "retire_station": ADMINS,
    "update_compressor": ADMINS,
    "update_station": ADMINS,
    # What happens to machines, and what is done about it.
    "acknowledge_alert": OPERATORS,
    "assess_alerts": READERS,
    "backtest_alert_rule": OPERATORS,
    "comment_on_alert": OPERATORS,
    "describe_alert_rules": READERS,
    "get_alert": READERS,
    "list_alert_history": READERS,
    "list_alerts": READERS,
    "list_data_quality": READERS,
    "assess_predictions": READERS,
    "get_prediction": READERS,
    "list_maintenance": READERS,
    "list_predictions": READERS,
    "record_maintenance": OPERATORS,
    "resolve_alert": OPERATORS,
    "shelve_alert": OPERATORS,
    "unshelve_alert": OPERATORS,
    "update_alert_rule": ADMINS,
    # What runs by itself.
    "get_workflow_settings": ADMINS,
    "list_workflow_runs": READERS,
    "run_workflows": Rule(UserRole.OPERATOR, installation=True),
    "update_workflow_settings": ADMINS,
    # Who is told of it.
    "create_notification_channel": ADMINS,
    "get_notification_delivery": MEMBERS,
    "list_notification_channels": MEMBERS,
    "list_notification_deliveries": MEMBERS,
    "remove_notification_channel": ADMINS,
    "replay_notification_delivery": OPERATORS,
    "rotate_notification_secret": ADMINS,
    "test_notification_channel": ADMINS,
    "update_notification_channel": ADMINS,
    # What it costs.
    "get_subscription": MEMBERS,
    "list_invoices": OWNERS,
    "list_plans": ANYBODY,
    "open_billing_portal": OWNERS,
    "receive_stripe_event": ANYBODY,  # by its signature alone
    "start_checkout": OWNERS,
    # The organization.
    "accept_invitation": MEMBERS,  # of another organization as yet
    "change_member_role": ADMINS,
    "create_api_key": ADMINS,
    "create_invitation": ADMINS,
    "get_organization": READERS,
    "list_api_keys": ADMINS,
    "list_audit_log": ADMINS,
    "list_invitations": ADMINS,
    "list_members": MEMBERS,
    "remove_member": MEMBERS,  # oneself; others take an admin
    "rename_organization": ADMINS,
    "revoke_api_key": ADMINS,
    "revoke_invitation": ADMINS,
    "rotate_api_key": ADMINS,
}


def require_role(operation_id: str, role: UserRole) -> None:
    """Let pass only a role that may do this.

    Raises:
        ForbiddenError: names the role that it takes.
    """
    least = RULES[operation_id].role
    if least is None:
        raise ForbiddenError(MACHINES_ONLY)
    if RANKS.index(role) < RANKS.index(least):
        raise ForbiddenError(f"this takes the role {least} or higher; yours here is {role}")


def require_scope(operation_id: str, key: Key) -> None:
    """Let pass only a key that may do this.

    Raises:
        ForbiddenError: names the scope that it takes.
    """
    scope = RULES[operation_id].scope
    if scope is None:
        raise ForbiddenError(PEOPLE_ONLY)
    if scope not in key.scopes:
        raise ForbiddenError(f"this takes an API key with the scope {scope}")
