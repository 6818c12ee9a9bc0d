"""Sign-in with an OpenID provider that runs as a process of its own, from the first redirect to the session."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest
from pydantic import SecretStr
from sqlalchemy import func, select, text

from functions.access import entra
from functions.api import create_app
from functions.settings import AccessSettings, Settings
from shared_code.database import transactions
from shared_code.database.engines import Database, Role
from shared_code.database.tables import sign_in_attempts
from shared_code.errors import UnauthorizedError
from tests.seams.api_client import ApiClient
from tests.seams.entra import BEGIN, CALLBACK, CLIENT_ID, Browser, Provider, a_provider

TENANT = str(uuid4())
LONG = "x" * 101
PEOPLE: dict[str, dict[str, Any]] = {
    "ada": {"tid": TENANT, "oid": str(uuid4()), "name": "Ada Lovelace", "preferred_username": "ada@customer.example"},
    "ben": {"tid": TENANT, "oid": str(uuid4()), "preferred_username": "ada@customer.example"},
    "eve": {"tid": str(uuid4()), "oid": str(uuid4()), "preferred_username": "ada@customer.example"},
    "mallory": {
        "tid": TENANT,
        "oid": str(uuid4()),
        "name": "Mal\r\nBcc: all@\u0000customer.example " + "x" * 500,
        "preferred_username": "mallory@customer.example\u0000",
    },
    "no tenant": {"oid": str(uuid4())},
    "no object": {"tid": TENANT},
    "long": {"tid": TENANT, "oid": LONG},
    "newline": {"tid": TENANT, "oid": "a\nb"},
    "nothing": {"tid": TENANT, "oid": "\u0000"},
    "odd": {"tid": [TENANT], "oid": {"$ne": ""}},
    "other audience": {"tid": TENANT, "oid": str(uuid4()), "aud": "somebody-else"},
    "other issuer": {"tid": TENANT, "oid": str(uuid4()), "iss": "https://evil.example"},
}


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Generator[Provider]:
    with a_provider(tmp_path_factory.mktemp("provider"), PEOPLE) as provider:
        yield provider


@dataclass
class World(Browser):
    now: datetime

    def claims(self, person: str) -> dict[str, Any]:
        location, session = self.session(person)
        return self.api.get(location, headers={"Cookie": f"altaviz_session={session}"}).json()


@pytest.fixture
def world(
    provider: Provider, database: Database, settings: Settings, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> World:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(provider.bundle))
    access = provider.known_to(settings.access)
    app = create_app(replace(settings, access=access), lambda: database, clock=lambda: world.now)
    world = World(ApiClient(app), provider, now)
    return world


def test_a_stranger_signs_in_gets_an_organization_and_finds_it_again(world: World) -> None:
    first, second = world.claims("ada"), world.claims("ada")

    assert (first["email"], first["role"], first["subscriptionTier"]) == ("ada@customer.example", "owner", "free")
    assert first["organizationName"] == "Ada Lovelace's organization"
    assert (second["sub"], second["organizationId"]) == (first["sub"], first["organizationId"])


def test_an_identity_is_issuer_tenant_and_object_whatever_the_email_says(world: World) -> None:
    organizations = {world.claims(person)["organizationId"] for person in ("ada", "ben", "eve")}

    assert len(organizations) == 3


def test_what_a_tenant_writes_into_a_name_is_one_short_line(world: World) -> None:
    claims = world.claims("mallory")

    assert claims["email"] == "mallory@customer.example"
    assert claims["organizationName"].startswith("Mal Bcc: all@ customer.example xxx")
    assert len(claims["organizationName"]) <= 200


def test_the_browser_is_sent_with_pkce_state_and_nonce(world: World) -> None:
    asked = parse_qs(urlsplit(world.begin()[0]).query)

    assert asked["response_type"] == ["code"]
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["redirect_uri"] == ["http://127.0.0.1:7071" + CALLBACK]
    assert asked["client_id"] == [CLIENT_ID]
    assert set(asked["scope"][0].split()) == {"openid", "profile"}
    assert all(len(asked[name][0]) >= 43 for name in ("code_challenge", "state", "nonce"))


def test_an_answer_is_taken_once(world: World) -> None:
    page, cookie = world.begin()
    answer = world.at_the_provider(page, {"sub": "ada"})

    assert [world.come_back(answer, cookie).status_code for _ in range(2)] == [303, 401]


def test_of_ten_that_bring_one_answer_at_once_one_is_signed_in(world: World) -> None:
    page, cookie = world.begin()
    answer = world.at_the_provider(page, {"sub": "ada"})

    answers = world.api.together([("GET", CALLBACK)] * 10, params=answer, headers={"Cookie": cookie})

    assert sorted(each.status_code for each in answers) == [303] + [401] * 9


def test_an_answer_is_taken_from_the_browser_that_began_alone(world: World) -> None:
    """Otherwise an attacker could sign a victim's browser in to the attacker's account."""
    page, cookie = world.begin()
    _, another = world.begin()
    answer = world.at_the_provider(page, {"sub": "eve"})

    for stolen in ("", another, "altaviz_sign_in=", "altaviz_sign_in=%FC"):
        assert world.come_back(answer, stolen).status_code == 401
    assert world.come_back(answer, cookie).status_code == 303


def test_a_sign_in_takes_ten_minutes_at_most(world: World) -> None:
    page, cookie = world.begin()
    answer = world.at_the_provider(page, {"sub": "ada"})
    world.now += timedelta(minutes=10)

    assert world.come_back(answer, cookie).status_code == 401


def test_a_code_of_one_sign_in_is_no_use_in_another(world: World) -> None:
    """The nonce in the token is the other one's."""
    first_page, _ = world.begin()
    second_page, cookie = world.begin()
    code = world.at_the_provider(first_page, {"sub": "eve"})["code"]
    state = world.at_the_provider(second_page, {"sub": "ada"})["state"]

    assert world.come_back({"code": code, "state": state}, cookie).status_code == 401


@pytest.mark.parametrize("change", [{"code": "made-up"}, {"code": ""}, {"state": "made-up"}, {"state": ""}])
def test_a_changed_answer_is_refused(world: World, change: dict[str, str]) -> None:
    page, cookie = world.begin()
    answer = world.at_the_provider(page, {"sub": "ada"}) | change

    refused = world.come_back(answer, cookie)

    assert refused.status_code == 401
    assert "Set-Cookie" not in refused.headers


def test_who_says_no_at_the_provider_is_not_signed_in(world: World) -> None:
    page, cookie = world.begin()
    answer = world.at_the_provider(page, {"action": "deny"})

    assert answer["error"] == "access_denied"
    assert world.come_back(answer, cookie).status_code == 401


@pytest.mark.parametrize(
    "person",
    ["no tenant", "no object", "long", "newline", "nothing", "odd", "other audience", "other issuer", "unknown"],
)
def test_a_token_that_does_not_prove_who_it_is_about_is_refused(world: World, person: str) -> None:
    assert world.sign_in(person).status_code == 401


@pytest.mark.parametrize(
    "change",
    [
        {"exp": 0},
        {"exp": None},
        {"exp": "9999999999"},
        {"aud": [CLIENT_ID, "other"]},
        {"aud": "other"},
        {"iss": None},
        {"tid": ""},
        {"oid": 7},
    ],
    ids=str,
)
def test_claims_that_do_not_hold_are_refused(
    now: datetime, change: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = AccessSettings(
        entra_client_id=CLIENT_ID,
        entra_client_secret=SecretStr("x"),
        entra_authority="https://login.example/tenant",
    )
    good: dict[str, object] = {
        "iss": "https://login.example/tenant/v2.0",
        "aud": CLIENT_ID,
        "tid": TENANT,
        "oid": "ada",
        "exp": int(now.timestamp()) + 60,
    }
    answer: dict[str, object] = {"id_token_claims": good}

    def answering(_: AccessSettings) -> _Answering:
        return _Answering(answer)

    monkeypatch.setattr(entra, "_client", answering)

    assert entra.finish(settings, {}, state="s", code="c", now=now).identity.object_id == "ada"
    answer["id_token_claims"] = good | change
    with pytest.raises(UnauthorizedError):
        entra.finish(settings, {}, state="s", code="c", now=now)


@dataclass
class _Answering:
    """What the provider of these tests cannot be made to say."""

    answer: dict[str, object]

    def acquire_token_by_auth_code_flow(self, *_: object) -> dict[str, object]:
        return self.answer


def test_where_entra_is_not_set_up_it_is_503(api: ApiClient) -> None:
    answer = api.get(BEGIN)

    assert answer.status_code == 503
    assert answer.json()["detail"] == "sign-in with Microsoft Entra is not set up here"


def test_a_provider_that_does_not_answer_is_503(
    world: World, database: Database, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    page, cookie = world.begin()
    answer = world.at_the_provider(page, {"sub": "ada"})
    away = settings.access.model_copy(
        update={
            "entra_client_id": CLIENT_ID,
            "entra_client_secret": SecretStr("canary-entra"),
            "entra_authority": "https://127.0.0.1:9/tenant",
        }
    )
    api = ApiClient(create_app(replace(settings, access=away), lambda: database, clock=lambda: world.now))

    assert api.get(BEGIN).status_code == 503
    assert api.get(CALLBACK, params=answer, headers={"Cookie": cookie}).status_code == 503
    assert "canary" not in caplog.text


def test_the_client_secret_is_in_no_log_and_no_repr(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    world.sign_in("ada")
    world.sign_in("no tenant")

    assert "canary-entra" not in caplog.text
    assert "canary-entra" not in repr(world.api.app.state.application.settings)


@contextmanager
def as_the_api(database: Database, state_hash: str) -> Generator[int]:
    with database.engine(Role.APP).begin() as connection:
        connection.execute(text("SELECT set_config('app.sign_in_state_hash', :hash, true)"), {"hash": state_hash})
        yield connection.scalar(select(func.count()).select_from(sign_in_attempts)) or 0


def test_a_sign_in_that_has_begun_is_seen_by_who_knows_its_state(database: Database) -> None:
    """The row holds the nonce and the PKCE verifier."""
    with transactions.owner(database) as connection:
        connection.execute(
            sign_in_attempts.insert().values(
                state_hash="known", flow={}, expires_at=text("now() + interval '1 minute'")
            )
        )
        connection.execute(sign_in_attempts.delete().where(sign_in_attempts.c.expires_at < text("now()")))

    with (
        as_the_api(database, "known") as known,
        as_the_api(database, "other") as other,
        as_the_api(database, "") as none,
    ):
        assert (known, other, none) == (1, 0, 0)
