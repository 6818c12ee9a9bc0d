import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from functions.access import sessions
from functions.access.sessions import Member, Session
from shared_code.database.engines import Database
from shared_code.database.tables.organizations import Tier, UserRole
from shared_code.errors import UnauthorizedError
from shared_code.identifiers import OrganizationId, UserId
from tests.factories.fleet import a_customer, a_session
from tests.seams.api_client import ApiClient

KEY = "a key for tests, of which nothing else knows"
NOW = datetime(2026, 1, 12, tzinfo=UTC)
MEMBER = Member(
    sub=UserId(UUID(int=7)),
    email="a@b.example",
    organization_id=OrganizationId(UUID(int=9)),
    organization_name="Öl & Gas",
    role=UserRole.VIEWER,
    subscription_tier=Tier.PRO,
)
SESSION = sessions.start(MEMBER, now=NOW)
CLAIMS: dict[str, Any] = SESSION.model_dump(mode="json", by_alias=True)
HEADER: dict[str, Any] = {"alg": "HS256", "typ": "JWT"}


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(header: bytes, payload: bytes, *, key: str = KEY, digest: str = "sha256") -> str:
    body = f"{encoded(header)}.{encoded(payload)}"
    return f"{body}.{encoded(hmac.new(key.encode(), body.encode(), digest).digest())}"


def token(*, header: dict[str, Any] | None = None, without: str = "", **claims: object) -> str:
    """Sign by hand, so that nothing a library refuses to sign is left untried."""
    payload = {name: value for name, value in (CLAIMS | claims).items() if name != without}
    return signed(json.dumps(HEADER | (header or {})).encode(), json.dumps(payload).encode())


GOOD = token()
HEAD, BODY, SIGNATURE = GOOD.split(".")
ISSUED, ENDS = CLAIMS["iat"], CLAIMS["exp"]

BAD_TOKENS = {
    "no algorithm": f"{encoded(json.dumps(HEADER | {'alg': 'none'}).encode())}.{BODY}.",
    "no algorithm, capital": f"{encoded(json.dumps(HEADER | {'alg': 'None'}).encode())}.{BODY}.",
    "no algorithm, signature kept": f"{encoded(json.dumps(HEADER | {'alg': 'none'}).encode())}.{BODY}.{SIGNATURE}",
    "no algorithm named": signed(b'{"typ":"JWT"}', json.dumps(CLAIMS).encode()),
    "HS512 properly signed": signed(
        json.dumps(HEADER | {"alg": "HS512"}).encode(), json.dumps(CLAIMS).encode(), digest="sha512"
    ),
    "HS384 properly signed": signed(
        json.dumps(HEADER | {"alg": "HS384"}).encode(), json.dumps(CLAIMS).encode(), digest="sha384"
    ),
    "says RS256": token(header={"alg": "RS256"}),
    "says ES256": token(header={"alg": "ES256"}),
    "algorithm is a list": token(header={"alg": ["HS256"]}),
    "algorithm is null": token(header={"alg": None}),
    "algorithm in small letters": token(header={"alg": "hs256"}),
    "critical extension": token(header={"crit": ["exp2"], "exp2": 1}),
    "unencoded payload": token(header={"b64": False, "crit": ["b64"]}),
    "key id is a number": token(header={"kid": 1}),
    "wrong key": signed(json.dumps(HEADER).encode(), json.dumps(CLAIMS).encode(), key="x" * 44),
    "empty key": signed(json.dumps(HEADER).encode(), json.dumps(CLAIMS).encode(), key=""),
    "key brought along": signed(
        json.dumps(HEADER | {"jwk": {"kty": "oct", "k": encoded(b"mine")}}).encode(),
        json.dumps(CLAIMS).encode(),
        key="mine",
    ),
    "no signature": f"{HEAD}.{BODY}.",
    "no third part": f"{HEAD}.{BODY}",
    "header alone": HEAD,
    "four parts": f"{GOOD}.{SIGNATURE}",
    "five parts": "a.b.c.d.e",
    "cut short": GOOD[:-1],
    "cut in the middle": GOOD[: len(GOOD) // 2],
    "payload changed": f"{HEAD}.{encoded(json.dumps(CLAIMS | {'role': 'owner'}).encode())}.{SIGNATURE}",
    "signature of another": f"{HEAD}.{BODY}.{encoded(hashlib.sha256(b'').digest())}",
    "garbage": "not-a-token",
    "dots": "..",
    "not base64": "%%%.%%%.%%%",
    "not ASCII": "ü.ü.ü",
    "header is no JSON": signed(b"hello", json.dumps(CLAIMS).encode()),
    "header is a list": signed(b"[]", json.dumps(CLAIMS).encode()),
    "header is nested deep": signed(b"[" * 2000, b"{}"),
    "payload is no JSON": signed(json.dumps(HEADER).encode(), b"hello"),
    "payload is a list": signed(json.dumps(HEADER).encode(), b"[]"),
    "payload is null": signed(json.dumps(HEADER).encode(), b"null"),
    "payload is not UTF-8": signed(json.dumps(HEADER).encode(), b'{"sub":"\xff"}'),
    "huge": signed(json.dumps(HEADER).encode(), json.dumps(CLAIMS | {"email": "x" * 100_000}).encode()),
    "ended": token(iat=ISSUED - 8 * 3600, exp=ISSUED),
    "ended long ago": token(iat=1, exp=2),
    "not begun": token(iat=ISSUED + 61, exp=ENDS),
    "lives too long": token(exp=ENDS + 1),
    "lives for ever": token(exp=2**53),
    "ends before it begins": token(iat=ISSUED, exp=ISSUED - 1),
    "end is text": token(exp=str(ENDS)),
    "end is a fraction": token(exp=ENDS - 0.5),
    "end is null": token(exp=None),
    "end is true": token(exp=True),
    "begin is text": token(iat=str(ISSUED)),
    "begin is infinite": token(iat=float("-inf")),
    "issued by another": token(iss="https://login.example"),
    "issued by a list": token(iss=["altaviz"]),
    "for somebody else": token(aud="other-api"),
    "for several": token(aud=["altaviz-api", "other-api"]),
    "subject is no id": token(sub="admin"),
    "subject is a number": token(sub=7),
    "organization is no id": token(organizationId="*"),
    "organization is a list": token(organizationId=[CLAIMS["organizationId"]]),
    "organization is null": token(organizationId=None),
    "organization under another name": token(without="organizationId", organization_id=CLAIMS["organizationId"]),
    "role unknown": token(role="root"),
    "role in capitals": token(role="OWNER"),
    "roles": token(role=["viewer", "owner"]),
    "tier unknown": token(subscriptionTier="platinum"),
    "e-mail is an object": token(email={"$ne": ""}),
    "id is no id": token(jti="1"),
    "id of the session is no id": token(sid="1"),
    "one claim more": token(admin=True),
    **{f"without {name}": token(without=name) for name in CLAIMS},
}


@pytest.mark.parametrize("bad", BAD_TOKENS.values(), ids=BAD_TOKENS.keys())
def test_a_bad_token_is_refused(bad: str) -> None:
    with pytest.raises(UnauthorizedError):
        sessions.verify(bad, KEY, now=NOW)


def test_every_bad_token_is_a_401_in_the_same_words(api: ApiClient) -> None:
    def answer(headers: dict[str, str]) -> tuple[int, str, str]:
        answer = api.get(
            "/api/auth/session", headers={name.encode(): value.encode() for name, value in headers.items()}
        )
        return answer.status_code, answer.headers["WWW-Authenticate"], answer.json()["detail"]

    assert len(BAD_TOKENS) >= 40
    by_header = {answer({"Authorization": f"Bearer {bad}"}) for bad in BAD_TOKENS.values()}
    by_cookie = {answer({"Cookie": f"altaviz_session={bad}"}) for bad in BAD_TOKENS.values()}
    refused = (401, "Bearer", "the session is not valid or has ended; sign in again")
    assert by_header == by_cookie == {refused}


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", f"Basic {GOOD}", f"Token {GOOD}", GOOD, f"Bearer: {GOOD}"])
def test_a_header_without_a_bearer_token_is_no_session(api: ApiClient, header: str) -> None:
    assert api.get("/api/auth/session", headers={"Authorization": header}).status_code == 401


def test_a_bad_bearer_token_is_not_excused_by_a_good_cookie(api: ApiClient) -> None:
    headers = {"Authorization": "Bearer bad", "Cookie": f"altaviz_session={GOOD}"}

    assert api.get("/api/auth/session", headers=headers).status_code == 401


@pytest.mark.parametrize(("header", "before"), [("Authorization", "bearer "), ("Cookie", "altaviz_session=")])
def test_a_good_token_is_believed_from_header_and_cookie(
    api: ApiClient, database: Database, header: str, before: str
) -> None:
    session = a_session(database, a_customer(database), now=NOW)

    answer = api.get("/api/auth/session", headers={header: before + sessions.sign(session, KEY)})

    assert (answer.status_code, answer.json()) == (200, session.model_dump(mode="json", by_alias=True))


def test_the_claims_have_the_names_that_clients_know() -> None:
    payload = sessions.sign(SESSION, KEY).split(".")[1]
    names = "aud email exp iat iss jti organizationId organizationName role sid sub subscriptionTier"

    assert sorted(json.loads(base64.urlsafe_b64decode(payload + "=="))) == names.split()


@pytest.mark.parametrize("after", [timedelta(seconds=-60), timedelta(0), timedelta(hours=8, seconds=-1)])
def test_a_session_is_believed_for_eight_hours(after: timedelta) -> None:
    assert sessions.verify(sessions.sign(SESSION, KEY), KEY, now=NOW + after) == SESSION


@pytest.mark.parametrize("after", [timedelta(seconds=-61), timedelta(hours=8)])
def test_and_not_before_or_after(after: timedelta) -> None:
    with pytest.raises(UnauthorizedError):
        sessions.verify(sessions.sign(SESSION, KEY), KEY, now=NOW + after)


def test_no_two_sessions_are_the_same() -> None:
    assert sessions.start(MEMBER, now=NOW).jti != SESSION.jti


def test_a_token_is_safe_in_a_cookie_of_the_functions_host() -> None:
    assert set(sessions.sign(SESSION, KEY)) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def test_a_session_says_when_it_ends() -> None:
    assert Session.model_validate(CLAIMS).expires_at == NOW + timedelta(hours=8)
