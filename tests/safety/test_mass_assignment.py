"""Fields that a client has no business to set: every write refuses them, and none is ever applied."""

from collections.abc import Callable
from typing import Any, cast
from uuid import uuid4

import pytest

from functions.access.roles import RULES
from shared_code.database.engines import Database
from tests.factories.fleet import Customer, a_compressor, a_customer, a_station
from tests.seams.api_client import ApiClient
from tests.seams.operations import described, of_nothing
from tests.test_function_app import EXPECTED

FIELDS: dict[str, object] = {
    "organization_id": str(uuid4()),
    "organizationId": str(uuid4()),
    "id": str(uuid4()),
    "user_id": str(uuid4()),
    "role": "owner",
    "scopes": ["ingest", "read"],
    "subscription_tier": "enterprise",
    "subscription_status": "active",
    "max_compressors": None,
    "stripe_customer_id": "cus_1",
    "slug": "mine",
    "is_admin": True,
    "founder": True,
    "invited_by": "owner@victim.example",
    "accepted_at": None,
    "expires_at": "2099-01-01T00:00:00Z",
    "created_at": "2020-01-01T00:00:00Z",
    "retired_at": None,
    "edited_at": None,
    "in_files": True,
    "secret_hash": "0" * 64,
    "last_used_at": None,
    "__class__": "x",
    "constructor": {"prototype": {}},
}
SIGNED = {"receive_stripe_event"}
"""What no client writes: an event is believed by its signature, and nothing in it is assigned to anything."""
WRITES = sorted(
    name for name, (method, _) in EXPECTED.items() if method in {"POST", "PATCH", "PUT"} and name not in SIGNED
)


def test_no_write_is_left_out() -> None:
    assert set(WRITES) <= set(RULES)
    assert len(WRITES) >= 15


@pytest.mark.parametrize("name", WRITES)
def test_a_field_that_is_not_the_clients_is_refused_by_name(
    api: ApiClient, signed_in: Callable[[Customer], ApiClient], database: Database, name: str
) -> None:
    method, path, operation = next(each for each in described(api) if each[2]["operationId"] == name)
    body: Any = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("example")
    if not isinstance(body, dict):
        return  # takes no fields; a batch of readings is judged reading by reading, its organization too
    fields = cast("dict[str, Any]", body)
    customer = a_customer(database)
    a_compressor(database, customer, station_id=a_station(database, customer))
    client = signed_in(customer)
    before = client.get("/api/organization").json(), client.get("/api/organization/members").json()

    for field, value in FIELDS.items():
        if field in fields:
            continue
        answer = client.request(method, of_nothing(path, operation), json={**fields, field: value})
        assert answer.status_code == 422, (field, answer.text)
        assert field in [error["field"] for error in answer.json()["errors"]]

    assert before == (client.get("/api/organization").json(), client.get("/api/organization/members").json())
