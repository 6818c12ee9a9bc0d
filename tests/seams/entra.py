"""In Microsoft Entra's place: an OpenID provider in a process of its own, and the browser that goes there and back."""

import json
import ssl
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import trustme
from pydantic import SecretStr

from functions.settings import AccessSettings
from tests.seams.api_client import BASE_URL, ApiClient

PROGRAM = Path(__file__).with_name("openid_provider.py")
BEGIN, CALLBACK = "/api/auth/entra", "/api/auth/entra/callback"
CLIENT_ID = "altaviz-test"


@dataclass(frozen=True)
class Provider:
    authority: str
    trusted: ssl.SSLContext
    bundle: Path

    def known_to(self, access: AccessSettings) -> AccessSettings:
        """Return the settings of an API that sends people to this provider."""
        return access.model_copy(
            update={
                "entra_client_id": CLIENT_ID,
                "entra_client_secret": SecretStr("canary-entra"),
                "entra_authority": self.authority,
            }
        )


@contextmanager
def a_provider(folder: Path, people: Mapping[str, Mapping[str, Any]]) -> Generator[Provider]:
    """Run a provider that knows these people by their claims; its keys are put into `folder`."""
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    certificate.private_key_pem.write_to_path(str(folder / "key.pem"))
    for pem in certificate.cert_chain_pems:
        pem.write_to_path(str(folder / "cert.pem"), append=True)
    command = [sys.executable, "-W", "ignore", str(PROGRAM), str(folder / "cert.pem"), str(folder / "key.pem")]
    with subprocess.Popen(  # noqa: S603 - our own program
        [*command, json.dumps(people)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        trusted = ssl.create_default_context(cafile=folder / "ca.pem")
        yield Provider(f"https://127.0.0.1:{port}/tenant", trusted, folder / "ca.pem")
        process.terminate()


@dataclass
class Browser:
    api: ApiClient
    provider: Provider

    def begin(self) -> tuple[str, str]:
        """Return the provider's page and the cookie that binds the browser."""
        answer = self.api.get(BEGIN)
        assert answer.status_code == 303, answer.text
        cookie = SimpleCookie(answer.headers["Set-Cookie"])["altaviz_sign_in"]
        assert (cookie["httponly"], cookie["samesite"].lower(), cookie["path"]) == (True, "lax", BEGIN)
        return answer.headers["Location"], f"altaviz_sign_in={cookie.value}"

    def at_the_provider(self, page: str, data: dict[str, str]) -> dict[str, str]:
        """Fill in the provider's form; return what it sends back with the browser."""
        with httpx.Client(verify=self.provider.trusted) as browser:
            answer = browser.post(page, data=data)
        assert answer.status_code == 302, answer.text
        back = urlsplit(answer.headers["Location"])
        assert f"{back.scheme}://{back.netloc}{back.path}" == BASE_URL + CALLBACK
        return {name: values[0] for name, values in parse_qs(back.query).items()}

    def come_back(self, answer: dict[str, str], cookie: str) -> httpx.Response:
        return self.api.get(CALLBACK, params=answer, headers={"Cookie": cookie})

    def sign_in(self, person: str) -> httpx.Response:
        page, cookie = self.begin()
        return self.come_back(self.at_the_provider(page, {"sub": person}), cookie)

    def session(self, person: str) -> tuple[str, str]:
        """Sign somebody in; return where the browser is sent, and the session's token."""
        answer = self.sign_in(person)
        assert answer.status_code == 303, answer.text
        return answer.headers["Location"], SimpleCookie(answer.headers["Set-Cookie"])["altaviz_session"].value
