"""The fleet over HTTP."""

from fastapi import APIRouter

from functions.access.caller import CurrentCaller, ReadConnection
from functions.fleet import actions
from functions.fleet.schemas import FleetOverview
from functions.problems import responses

router = APIRouter(tags=["fleet"])


@router.get("/fleet", operation_id="get_fleet", responses=responses(401, 403))
def get_fleet(caller: CurrentCaller, connection: ReadConnection) -> FleetOverview:
    """Show the fleet at a glance: machines by health and station, open alerts, and how fresh the data is."""
    return FleetOverview.model_validate(actions.summarize_fleet(connection, caller.organization_id))
