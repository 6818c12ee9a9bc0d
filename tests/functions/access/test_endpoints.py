from dataclasses import replace
from datetime import datetime
from http.cookies import SimpleCookie
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import func, select

from functions.access import actions, sessions
from functions.access.audit import Origin
from functions.access.queries import Identity, Person
from functions.api import create_app
from functions.settings import AccessSettings, Settings
from shared_code.database import transactions
from shared_code.database.demo import DEMO_ORGANIZATION, RIVAL_ORGANIZATION
from shared_code.database.engines import Database
from shared_code.database.tables import organizations, users
from tests.seams.api_client import ApiClient

NOWHERE = Origin(None, None)


def sign_in(api: ApiClient, email: str) -> httpx.Response:
    return api.post("/api/auth/dev", json={"email": email})


@pytest.mark.parametrize(
    ("email", "organization", "name"),
    [
        ("demo@altaviz.dev", DEMO_ORGANIZATION, "Demo Gas Gathering"),
        (" Rival@Altaviz.DEV ", RIVAL_ORGANIZATION, "Rival Midstream"),
    ],
)
def test_the_demo_owners_sign_in_to_their_organizations(
    api: ApiClient, email: str, organization: UUID, name: str
) -> None:
    answer = sign_in(api, email)

    assert answer.status_code == 200
    assert set(answer.json()) == {"token", "expiresAt"}
    assert answer.json()["expiresAt"] == "2026-01-12T08:00:00Z"
    claims = api.with_token(answer.json()["token"]).get("/api/auth/session").json()
    assert claims["email"] == email.strip().lower()
    assert (claims["organizationId"], claims["organizationName"]) == (str(organization), name)
    assert (claims["role"], claims["subscriptionTier"]) == ("owner", "enterprise")


@pytest.mark.parametrize(
    ("url", "secure"),
    [
        ("http://127.0.0.1:7071", False),
        ("http://localhost:7071", False),
        ("http://[::1]:7071", False),
        ("https://localhost", True),
        ("https://api.altaviz.example", True),
        ("http://api.altaviz.example", True),
    ],
)
def test_the_cookie_is_the_session_and_secure_but_on_this_machine(api: ApiClient, url: str, *, secure: bool) -> None:
    answer = sign_in(replace(api, base_url=url), "demo@altaviz.dev")

    cookie = SimpleCookie(answer.headers["Set-Cookie"])["altaviz_session"]
    assert cookie.value == answer.json()["token"]
    assert (cookie["httponly"], cookie["samesite"].lower(), cookie["path"]) == (True, "lax", "/")
    assert cookie["max-age"] == "28800"
    assert bool(cookie["secure"]) is secure
    headers = {"Cookie": f"altaviz_session={cookie.value}"}
    assert api.get("/api/auth/session", headers=headers).status_code == 200


def test_signing_out_clears_the_cookie(api: ApiClient) -> None:
    answer = api.post("/api/auth/logout")

    cookie = SimpleCookie(answer.headers["Set-Cookie"])["altaviz_session"]
    assert (answer.status_code, answer.content) == (204, b"")
    assert (cookie.value, cookie["max-age"], cookie["path"]) == ("", "0", "/")


def test_who_is_not_on_the_list_is_told_no_more_than_where_there_is_no_list(
    api: ApiClient, database: Database, settings: Settings
) -> None:
    disabled = AccessSettings(dev_credentials_allow_list=frozenset({"demo@altaviz.dev"}))
    without = ApiClient(create_app(replace(settings, access=disabled), lambda: database))

    answers = [sign_in(api, "stranger@altaviz.dev"), sign_in(without, "demo@altaviz.dev")]

    assert [answer.status_code for answer in answers] == [403, 403]
    assert {answer.json()["detail"] for answer in answers} == {"development credentials are not open to this e-mail"}
    assert not any("Set-Cookie" in answer.headers for answer in answers)


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        None,
        {"email": ""},
        {"email": None},
        {"email": 7},
        {"email": "nobody"},
        {"email": "two words@x.example"},
        {"email": ["demo@altaviz.dev"]},
        {"email": "a\u0000@x.example"},
        {"email": "x" * 320 + "@x.example"},
    ],
)
def test_what_is_no_email_is_422_and_is_not_said_back(api: ApiClient, body: object) -> None:
    answer = api.post("/api/auth/dev", json=body)

    assert answer.status_code == 422
    assert "xxxx" not in answer.text
    assert answer.json()["errors"]


def test_a_body_that_is_no_json_is_422(api: ApiClient) -> None:
    headers = {"Content-Type": "application/json"}
    for body in (b"{", b'{"email": "\\ud800@x.example"}', b""):
        assert api.post("/api/auth/dev", content=body, headers=headers).status_code == 422
    assert api.post("/api/auth/dev", content=b"\xff", headers=headers).status_code == 400


def test_a_huge_body_is_refused(api: ApiClient) -> None:
    answer = api.post("/api/auth/dev", json={"email": "x" * 2_000_000})

    assert answer.status_code == 413
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_first_sign_in_makes_a_free_organization_and_its_owner_and_a_second_finds_them(
    api: ApiClient, database: Database, now: datetime
) -> None:
    claims = [
        api.with_token(sign_in(api, "new@altaviz.dev").json()["token"]).get("/api/auth/session").json()
        for _ in range(2)
    ]

    assert claims[0]["organizationId"] == claims[1]["organizationId"]
    assert claims[0]["sub"] == claims[1]["sub"]
    assert (claims[0]["role"], claims[0]["subscriptionTier"]) == ("owner", "free")
    with transactions.owner(database) as connection:
        made = connection.execute(
            select(organizations, users.c.last_login_at)
            .join_from(organizations, users, users.c.organization_id == organizations.c.id)
            .where(organizations.c.id == UUID(claims[0]["organizationId"]))
        ).one()
    assert (made.max_compressors, made.subscription_status, made.last_login_at) == (2, "active", now)


def test_twenty_first_sign_ins_at_once_make_one_organization(database: Database, settings: Settings) -> None:
    email = f"{uuid4().hex}@altaviz.dev"
    access = settings.access.model_copy(update={"dev_credentials_allow_list": frozenset({email})})
    api = ApiClient(create_app(replace(settings, access=access), lambda: database))

    answers = api.together([("POST", "/api/auth/dev")] * 20, json={"email": email})

    assert {answer.status_code for answer in answers} == {200}
    with transactions.owner(database) as connection:
        slugs = select(func.count()).where(organizations.c.slug.startswith(email.partition("@")[0]))
        assert connection.execute(slugs).scalar_one() == 1


def test_the_same_email_from_another_issuer_is_somebody_else(database: Database, now: datetime) -> None:
    """An e-mail is for display: whoever controls an issuer could claim anybody's."""
    email = "demo@altaviz.dev"

    session = actions.sign_in(
        database=database,
        person=Person(Identity("https://evil.example", uuid4().hex, email), email, "A person"),
        origin=NOWHERE,
        now=now,
    )

    assert session.organization_id not in {DEMO_ORGANIZATION, RIVAL_ORGANIZATION}


def test_a_session_of_another_key_is_refused(api: ApiClient, database: Database, now: datetime) -> None:
    session = actions.sign_in(
        database=database,
        person=Person(Identity("urn:test", "test", uuid4().hex), "x@y.example", "A person"),
        origin=NOWHERE,
        now=now,
    )

    assert (
        api.with_token(sessions.sign(session, "another key, as long as it needs")).get("/api/fleet").status_code == 401
    )
