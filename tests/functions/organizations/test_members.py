"""Who belongs to an organization, and who may change that."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import select

from functions.access import actions
from functions.access.audit import Origin
from functions.access.queries import Identity, Person
from shared_code.database import transactions
from shared_code.database.engines import Database
from shared_code.database.tables import users
from shared_code.database.tables.organizations import UserRole
from tests.factories.fleet import Customer, a_colleague, a_customer
from tests.seams.api_client import ApiClient

NOWHERE = Origin(None, None)
SignIn = Callable[[Customer], ApiClient]
ANOTHER_ID = "00000000-0000-4000-8000-000000000001"
OWNER, ADMIN, OPERATOR, VIEWER = UserRole.OWNER, UserRole.ADMIN, UserRole.OPERATOR, UserRole.VIEWER


@dataclass
class Team:
    """An organization with one member of each role."""

    people: dict[UserRole, Customer]
    clients: dict[UserRole, ApiClient]

    def change(self, by: UserRole, of: UserRole, role: str) -> int:
        path = f"/api/organization/members/{self.people[of].member.sub}"
        return self.clients[by].request("PATCH", path, json={"role": role}).status_code

    def remove(self, by: UserRole, of: UserRole) -> httpx.Response:
        return self.clients[by].request("DELETE", f"/api/organization/members/{self.people[of].member.sub}")

    def members(self) -> list[dict[str, Any]]:
        return self.clients[OWNER].get("/api/organization/members").json()["items"]


@pytest.fixture
def team(database: Database, signed_in: SignIn) -> Team:
    owner = a_customer(database)
    people = {OWNER: owner} | {role: a_colleague(database, owner, role) for role in (ADMIN, OPERATOR, VIEWER)}
    return Team(people, {role: signed_in(person) for role, person in people.items()})


def test_anonymous_is_401_and_another_organizations_member_is_like_a_missing_one(
    team: Team, api: ApiClient, signed_in: SignIn, database: Database
) -> None:
    stranger = signed_in(a_customer(database))
    there = f"/api/organization/members/{team.people[VIEWER].member.sub}"
    missing = f"/api/organization/members/{uuid4()}"

    assert api.get("/api/organization").status_code == 401
    assert api.get("/api/organization/members").status_code == 401
    assert len(stranger.get("/api/organization/members").json()["items"]) == 1
    for method, body in (("PATCH", {"role": "viewer"}), ("DELETE", None)):
        answers = [stranger.request(method, path, json=body) for path in (there, missing)]
        assert {answer.status_code for answer in answers} == {404}
        assert len({str(answer.json() | {"requestId": ""}) for answer in answers}) == 1
    assert len(team.members()) == 4


def test_members_are_listed_with_their_roles_in_pages(team: Team) -> None:
    client = team.clients[VIEWER]
    first = client.get("/api/organization/members", params={"limit": 3}).json()
    rest = client.get("/api/organization/members", params={"limit": 3, "cursor": first["next"]}).json()

    listed = {item["user_id"]: item["role"] for item in first["items"] + rest["items"]}
    assert listed == {str(person.member.sub): role for role, person in team.people.items()}
    assert rest["next"] is None
    assert set(first["items"][0]) == {"user_id", "email", "name", "role", "created_at", "last_login_at"}


def test_the_organization_is_shown_and_renamed(team: Team) -> None:
    renamed = team.clients[ADMIN].request("PATCH", "/api/organization", json={"name": " Karnes  "})

    assert renamed.status_code == 200
    assert renamed.json() == team.clients[VIEWER].get("/api/organization").json()
    assert renamed.json()["name"] == "Karnes"
    assert team.clients[VIEWER].get("/api/auth/session").json()["organizationName"] == "Karnes"


@pytest.mark.parametrize(
    "more",
    [
        {"subscription_tier": "enterprise"},
        {"max_compressors": None},
        {"id": ANOTHER_ID},
        {"slug": "x"},
    ],
    ids=str,
)
def test_mass_assignment_of_an_organization_is_refused(team: Team, more: dict[str, object]) -> None:
    before = team.clients[OWNER].get("/api/organization").json()

    answer = team.clients[OWNER].request("PATCH", "/api/organization", json={"name": "x"} | more)

    assert answer.status_code == 422
    assert team.clients[OWNER].get("/api/organization").json() == before


@pytest.mark.parametrize(
    "body",
    [
        {"role": "viewer", "organization_id": ANOTHER_ID},
        {"role": "viewer", "email": "a@b.example"},
    ],
    ids=str,
)
def test_mass_assignment_of_a_member_is_refused(team: Team, body: dict[str, object]) -> None:
    path = f"/api/organization/members/{team.people[OPERATOR].member.sub}"

    assert team.clients[OWNER].request("PATCH", path, json=body).status_code == 422


@pytest.mark.parametrize("role", ["root", "OWNER", "", None, ["owner"]])
def test_a_role_is_one_of_the_four(team: Team, role: object) -> None:
    path = f"/api/organization/members/{team.people[OPERATOR].member.sub}"

    assert team.clients[OWNER].request("PATCH", path, json={"role": role}).status_code == 422


@pytest.mark.parametrize(
    ("by", "of", "role", "status"),
    [
        (OWNER, VIEWER, "owner", 200),
        (OWNER, ADMIN, "viewer", 200),
        (ADMIN, VIEWER, "admin", 200),
        (ADMIN, ADMIN, "viewer", 200),
        (ADMIN, VIEWER, "owner", 403),
        (ADMIN, ADMIN, "owner", 403),
        (ADMIN, OWNER, "viewer", 403),
        (OPERATOR, VIEWER, "operator", 403),
        (VIEWER, VIEWER, "owner", 403),
    ],
)
def test_owners_alone_make_and_change_owners(team: Team, by: UserRole, of: UserRole, role: str, status: int) -> None:
    assert team.change(by, of, role) == status
    expected = role if status == 200 else of
    assert {item["user_id"]: item["role"] for item in team.members()}[str(team.people[of].member.sub)] == expected


def test_a_new_role_holds_from_the_next_request_on(team: Team) -> None:
    assert team.clients[VIEWER].get("/api/organization/invitations").status_code == 403
    team.change(OWNER, VIEWER, "admin")
    assert team.clients[VIEWER].get("/api/organization/invitations").status_code == 200


def test_the_last_owner_cannot_be_demoted_or_leave(team: Team) -> None:
    assert team.change(OWNER, OWNER, "admin") == 409
    assert team.remove(OWNER, OWNER).status_code == 409
    team.change(OWNER, ADMIN, "owner")
    assert team.remove(OWNER, OWNER).status_code == 204


@pytest.mark.parametrize("again", range(5))
def test_two_owners_who_demote_each_other_at_once_leave_one(database: Database, signed_in: SignIn, again: int) -> None:
    del again
    owner = a_customer(database)
    other = a_colleague(database, owner, OWNER)
    clients = [signed_in(owner), signed_in(other)]
    headers = [client.headers["Authorization"] for client in clients]
    targets = [other.member.sub, owner.member.sub]

    answers = ApiClient(clients[0].app).each_at_once(
        [
            ("PATCH", f"/api/organization/members/{target}", {"Authorization": header}, {"role": "viewer"})
            for target, header in zip(targets, headers, strict=True)
        ]
    )

    # The one who comes second is no owner any more when the table of roles is asked, or when the lock is held.
    assert sorted(answer.status_code for answer in answers) in ([200, 403], [200, 409])
    roles = roles_in(database, owner)
    assert sorted(roles.values()) == ["owner", "viewer"]


def roles_in(database: Database, customer: Customer) -> dict[UUID, str]:
    with transactions.read(database, customer.organization_id) as connection:
        return {row.id: row.role for row in connection.execute(select(users.c.id, users.c.role))}


def test_anybody_may_leave_and_is_out_at_once(team: Team) -> None:
    assert team.remove(VIEWER, VIEWER).status_code == 204

    assert team.clients[VIEWER].get("/api/fleet").status_code == 401
    assert len(team.members()) == 3


@pytest.mark.parametrize(
    ("by", "of", "status"),
    [
        (ADMIN, VIEWER, 204),
        (OWNER, ADMIN, 204),
        (ADMIN, OWNER, 403),
        (OPERATOR, VIEWER, 403),
        (VIEWER, OWNER, 403),
    ],
)
def test_others_are_removed_by_admins_and_owners_by_owners(team: Team, by: UserRole, of: UserRole, status: int) -> None:
    assert team.remove(by, of).status_code == status
    assert team.clients[of].get("/api/fleet").status_code == (401 if status == 204 else 200)


def test_who_was_removed_signs_in_to_an_organization_of_their_own(
    team: Team, database: Database, now: datetime
) -> None:
    viewer = team.people[VIEWER].member
    team.remove(OWNER, VIEWER)

    session = actions.sign_in(
        database=database,
        person=Person(Identity("urn:test", "test", viewer.sub.hex), viewer.email, "A person"),
        origin=NOWHERE,
        now=now,
    )

    assert session.organization_id != viewer.organization_id
    assert session.role is OWNER
