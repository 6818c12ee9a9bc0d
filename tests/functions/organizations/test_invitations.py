"""Invitations: who holds the link and is signed in may join, once; nobody is moved by an e-mail address."""

import base64
import json
import ssl
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from http.cookies import SimpleCookie
from pathlib import Path
from socket import create_server
from typing import Any
from uuid import uuid4

import httpx
import pytest
import trustme
from aiosmtpd.smtp import AuthResult, LoginPassword
from pydantic import SecretStr

from functions.access import actions, invitations, sessions, tokens
from functions.access.audit import Origin
from functions.access.queries import Identity, Person
from functions.api import create_app
from functions.settings import MailSettings, Settings
from shared_code.database.engines import Database
from shared_code.database.tables.organizations import UserRole
from shared_code.identifiers import OrganizationId
from tests.factories.fleet import Customer, a_colleague, a_customer, a_session
from tests.seams.api_client import ApiClient
from tests.seams.mail_server import a_mail_server

NOWHERE = Origin(None, None)
SignIn = Callable[[Customer], ApiClient]
INVITATIONS = "/api/organization/invitations"
ACCEPT = "/api/invitations/accept"


@dataclass
class World:
    now: datetime
    nobody: ApiClient
    inviter: Customer
    database: Database
    settings: Settings

    def client(self, customer: Customer) -> ApiClient:
        session = a_session(self.database, customer, now=self.now)
        return self.nobody.with_token(sessions.sign(session, self.settings.session_key))

    def invite(self, role: str = "operator", email: str = "guest@elsewhere.example") -> dict[str, Any]:
        answer = self.client(self.inviter).post(INVITATIONS, json={"email": email, "role": role})
        assert answer.status_code == 201, answer.text
        return answer.json()

    def accept(self, client: ApiClient, invitation: dict[str, Any]) -> httpx.Response:
        return client.post(ACCEPT, json={"token": invitation["link"].partition("#token=")[2]})

    def listed(self) -> dict[str, str]:
        return {each["id"]: each["status"] for each in self.client(self.inviter).get(INVITATIONS).json()["items"]}

    def first_sign_in(self, email: str) -> ApiClient:
        session = actions.sign_in(
            database=self.database,
            person=Person(Identity("urn:test", "test", email), email, "A person"),
            origin=NOWHERE,
            now=self.now,
        )
        return self.nobody.with_token(sessions.sign(session, self.settings.session_key))


@pytest.fixture
def world(database: Database, settings: Settings, now: datetime) -> World:
    app = create_app(settings, lambda: database, clock=lambda: world.now)
    world = World(now, ApiClient(app), a_customer(database), database, settings)
    return world


def who(client: ApiClient) -> dict[str, Any]:
    return client.get("/api/auth/session").json()


def test_anonymous_is_401_and_another_organizations_invitation_is_like_a_missing_one(world: World) -> None:
    invited = world.invite()
    stranger = world.client(a_customer(world.database))

    assert world.nobody.get(INVITATIONS).status_code == 401
    assert world.accept(world.nobody, invited).status_code == 401
    assert stranger.get(INVITATIONS).json() == {"items": [], "next": None}
    answers = [stranger.request("DELETE", f"{INVITATIONS}/{each}") for each in (invited["id"], uuid4())]
    assert {answer.status_code for answer in answers} == {404}
    assert len({str(answer.json() | {"requestId": ""}) for answer in answers}) == 1


def test_without_a_mail_server_the_link_is_shown_to_the_inviter_once(world: World) -> None:
    invited = world.invite()

    link = invited.pop("link")
    assert link.startswith("http://127.0.0.1:7071/invitations/accept#token=")
    assert invited == {
        "id": invited["id"],
        "email": "guest@elsewhere.example",
        "role": "operator",
        "invited_by": world.inviter.member.email,
        "status": "open",
        "created_at": "2026-01-12T00:00:00Z",
        "expires_at": "2026-01-19T00:00:00Z",
    }
    assert world.client(world.inviter).get(INVITATIONS).json() == {"items": [invited], "next": None}


def test_who_accepts_joins_with_the_role_and_loses_nothing(world: World) -> None:
    guest = a_customer(world.database)
    before = world.client(guest)

    answer = world.accept(before, world.invite())

    assert answer.status_code == 200
    after = world.nobody.with_token(answer.json()["token"])
    assert SimpleCookie(answer.headers["Set-Cookie"])["altaviz_session"].value == answer.json()["token"]
    assert (who(after)["organizationId"], who(after)["role"]) == (str(world.inviter.organization_id), "operator")
    assert who(after)["email"] == guest.member.email
    assert before.get("/api/fleet").status_code == 401  # the session went along
    mine = after.get("/api/auth/organizations").json()["items"]
    assert {(each["organization_id"], each["role"]) for each in mine} == {
        (str(guest.organization_id), "owner"),
        (str(world.inviter.organization_id), "operator"),
    }


def test_a_person_switches_between_organizations_and_signs_in_to_the_last(world: World) -> None:
    identity = Identity("urn:test", "test", uuid4().hex)

    def sign_in() -> ApiClient:
        world.now += timedelta(minutes=1)
        session = actions.sign_in(
            database=world.database, person=Person(identity, "p@x.example", "p"), origin=NOWHERE, now=world.now
        )
        return world.nobody.with_token(sessions.sign(session, world.settings.session_key))

    client = sign_in()
    home = who(client)["organizationId"]
    world.now += timedelta(minutes=1)
    world.accept(client, world.invite())
    client = sign_in()
    assert who(client)["organizationId"] == str(world.inviter.organization_id)

    world.now += timedelta(minutes=1)
    answer = client.post("/api/auth/session", json={"organization_id": home})

    assert answer.status_code == 200
    assert client.get("/api/fleet").status_code == 401
    assert who(world.nobody.with_token(answer.json()["token"]))["organizationId"] == home
    assert who(sign_in())["organizationId"] == home


def test_nobody_switches_to_an_organization_they_do_not_belong_to(world: World) -> None:
    client = world.client(a_customer(world.database))
    answers = [
        client.post("/api/auth/session", json={"organization_id": str(each)})
        for each in (world.inviter.organization_id, uuid4())
    ]

    assert {answer.status_code for answer in answers} == {404}
    assert len({str(answer.json() | {"requestId": ""}) for answer in answers}) == 1
    assert client.get("/api/fleet").status_code == 200


def test_pre_hijacked_invitation_moves_nobody_who_does_not_accept(world: World) -> None:
    """An attacker invites an address before its owner first signs in; that must bring neither to the other."""
    victim = f"{uuid4().hex}@victim.example"
    invited = world.invite(role="owner", email=victim)

    for _ in range(2):
        client = world.first_sign_in(victim)
        assert who(client)["organizationId"] != str(world.inviter.organization_id)
        assert who(client)["role"] == "owner"
        assert len(client.get("/api/auth/organizations").json()["items"]) == 1
    assert world.listed() == {invited["id"]: "open"}
    assert len(world.client(world.inviter).get("/api/organization/members").json()["items"]) == 1


def test_pre_hijacked_invitation_is_no_use_to_the_address_without_the_link(world: World) -> None:
    email = f"{uuid4().hex}@victim.example"
    invited = world.invite(email=email)
    client = world.first_sign_in(email)

    for token in (invited["id"], email, "", "x.y.z"):
        assert client.post(ACCEPT, json={"token": token}).status_code in {404, 422}
    assert world.listed() == {invited["id"]: "open"}


def test_an_invitation_is_accepted_once(world: World) -> None:
    invited = world.invite()
    first, second = (world.client(a_customer(world.database)) for _ in range(2))

    assert world.accept(first, invited).status_code == 200
    assert world.accept(second, invited).status_code == 404
    assert second.get("/api/fleet").status_code == 200
    assert world.listed() == {invited["id"]: "accepted"}


def test_of_twenty_who_accept_at_once_one_joins(world: World) -> None:
    invited = world.invite()
    body = {"token": invited["link"].partition("#token=")[2]}
    guests = [world.client(a_customer(world.database)) for _ in range(20)]

    answers = world.nobody.each_at_once([("POST", ACCEPT, guest.headers, body) for guest in guests])

    assert sorted(answer.status_code for answer in answers) == [200] + [404] * 19
    assert len(world.client(world.inviter).get("/api/organization/members").json()["items"]) == 2


def test_a_member_does_not_accept_again(world: World) -> None:
    invited = world.invite(role="owner")
    colleague = world.client(a_colleague(world.database, world.inviter, UserRole.VIEWER))

    assert world.accept(colleague, invited).status_code == 409
    assert who(colleague)["role"] == "viewer"
    assert world.listed() == {invited["id"]: "open"}


def test_a_revoked_invitation_is_no_use(world: World) -> None:
    invited = world.invite()
    inviter = world.client(world.inviter)

    assert inviter.request("DELETE", f"{INVITATIONS}/{invited['id']}").status_code == 204

    assert world.accept(world.client(a_customer(world.database)), invited).status_code == 404
    assert inviter.request("DELETE", f"{INVITATIONS}/{invited['id']}").status_code == 404
    assert world.listed() == {invited["id"]: "revoked"}


def test_an_invitation_ends_after_seven_days(world: World) -> None:
    invited = world.invite()
    world.now += timedelta(days=7)

    assert world.accept(world.client(a_customer(world.database)), invited).status_code == 404
    assert world.listed() == {invited["id"]: "expired"}


@pytest.mark.parametrize(
    "bad",
    [
        {"aud": "altaviz-api"},
        {"iss": "other"},
        {"exp": 2**53},
        {"exp": "1"},
        {"organizationId": "00000000-0000-4000-8000-000000000001"},
        {"jti": "00000000-0000-4000-8000-000000000001"},
        {"jti": 7},
        {"role": "owner"},
    ],
    ids=str,
)
def test_a_bad_token_of_an_invitation_is_refused(world: World, bad: dict[str, object]) -> None:
    invited = world.invite()
    token = invited["link"].partition("#token=")[2]
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    client = world.client(a_customer(world.database))

    for key in (world.settings.session_key, "another key, as long as it needs"):
        if key == world.settings.session_key and "exp" in bad and isinstance(bad["exp"], int):
            continue  # whoever has the key may say when it ends
        answer = client.post(ACCEPT, json={"token": tokens.sign(claims | bad, key)})
        assert answer.status_code == 404
    assert world.listed() == {invited["id"]: "open"}


def test_a_session_is_no_invitation_and_an_invitation_no_session(world: World) -> None:
    guest = world.client(a_customer(world.database))
    invited = world.invite()

    session_as_invitation = guest.post(ACCEPT, json={"token": guest.headers["Authorization"].partition(" ")[2]})
    invitation_as_session = world.nobody.with_token(invited["link"].partition("#token=")[2]).get("/api/fleet")

    assert (session_as_invitation.status_code, invitation_as_session.status_code) == (404, 401)


def test_an_admin_invites_no_owner(world: World) -> None:
    admin = world.client(a_colleague(world.database, world.inviter, UserRole.ADMIN))

    assert admin.post(INVITATIONS, json={"email": "a@b.example", "role": "owner"}).status_code == 403
    assert admin.post(INVITATIONS, json={"email": "a@b.example", "role": "admin"}).status_code == 201


@pytest.mark.parametrize(
    "body",
    [
        {"email": "a@b.example"},
        {"email": "a@b.example\r\nBcc: all@b.example", "role": "viewer"},
        {"email": "nobody", "role": "viewer"},
        {"email": "a,b@b.example", "role": "viewer"},
        {"email": "a@b.example,c@d.example", "role": "viewer"},
        {"email": "<a@b.example>", "role": "viewer"},
        {"email": '"a b"@b.example', "role": "viewer"},
        {"email": "\u00fc@b.example", "role": "viewer"},
        {"email": "a@b.example", "role": "root"},
        {"email": "a@b.example", "role": "viewer", "accepted_at": None},
        {"email": "a@b.example", "role": "viewer", "expires_at": "2030-01-01T00:00:00Z"},
    ],
    ids=str,
)
def test_a_wrong_invitation_or_mass_assignment_is_422(world: World, body: dict[str, object]) -> None:
    assert world.client(world.inviter).post(INVITATIONS, json=body).status_code == 422


def test_what_an_organization_is_called_does_not_end_up_in_the_link(world: World) -> None:
    """Nor does the Host header: links are made of the setting alone."""
    client = replace(world.client(world.inviter), base_url="https://evil.example")

    answer = client.post(INVITATIONS, json={"email": "a@b.example", "role": "viewer"})

    assert answer.json()["link"].startswith("http://127.0.0.1:7071/")


def mailing(world: World, **mail: Any) -> ApiClient:  # noqa: ANN401 - settings
    with_mail = replace(world.settings, mail=MailSettings(smtp_from="Altaviz <no-reply@altaviz.example>", **mail))
    app = create_app(with_mail, lambda: world.database, clock=lambda: world.now)
    return ApiClient(app, world.client(world.inviter).headers)


def test_with_a_mail_server_the_link_goes_to_the_guest_alone(world: World) -> None:
    with a_mail_server() as (inbox, port):
        client = mailing(world, smtp_host="127.0.0.1", smtp_port=port, smtp_starttls=False)
        answer = client.post(INVITATIONS, json={"email": "guest@elsewhere.example", "role": "viewer"})

    assert (answer.status_code, answer.json()["link"]) == (201, None)
    (message,) = inbox.messages
    assert "To: guest@elsewhere.example" in message
    text = message.replace("=\r\n", "").replace("=3D", "=")
    link = next(word for word in text.split() if "#token=" in word)
    assert world.accept(world.client(a_customer(world.database)), {"link": link}).status_code == 200


def test_mail_goes_encrypted_and_with_a_password(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)  # pyright: ignore[reportUnknownMemberType] - half typed
    seen: list[Any] = []

    def authenticate(_server: object, _session: object, _envelope: object, _mechanism: object, data: Any) -> AuthResult:  # noqa: ANN401 - aiosmtpd's
        seen.append(data)
        return AuthResult(success=True)

    caplog.set_level("DEBUG")
    with a_mail_server(tls_context=context, require_starttls=True, authenticator=authenticate, auth_required=True) as (
        inbox,
        port,
    ):
        client = mailing(
            world, smtp_host="127.0.0.1", smtp_port=port, smtp_user="altaviz", smtp_password=SecretStr("canary-mail")
        )
        answer = client.post(INVITATIONS, json={"email": "guest@elsewhere.example", "role": "viewer"})

    assert (answer.status_code, len(inbox.messages)) == (201, 1)
    assert seen == [LoginPassword(b"altaviz", b"canary-mail")]
    assert "canary-mail" not in caplog.text


def test_where_no_mail_can_be_sent_nobody_is_invited(world: World) -> None:
    with create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    client = mailing(world, smtp_host="127.0.0.1", smtp_port=port)

    answer = client.post(INVITATIONS, json={"email": "guest@elsewhere.example", "role": "viewer"})

    assert answer.status_code == 503
    assert world.listed() == {}


def test_an_invitation_verifies_to_what_was_signed(now: datetime) -> None:
    organization_id, invitation_id = OrganizationId(uuid4()), uuid4()
    key = "a key for this test, as long as it needs"

    token = invitations.sign(organization_id, invitation_id, expires_at=now + timedelta(days=1), key=key)

    read = invitations.verify(token, key, now=now)
    assert (read.organization_id, read.jti) == (organization_id, invitation_id)
