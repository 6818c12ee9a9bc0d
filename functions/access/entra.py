"""Sign-in with Microsoft Entra: authorization code with PKCE, through MSAL.

MSAL trades the code and checks state and nonce; since 1.38 it leaves the ID token's claims to its caller, and they are
checked here. The token comes straight from the provider's token endpoint over TLS, which stands in for checking its
signature (OpenID Connect Core 3.1.3.7, rule 6).
"""

import logging
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

from functions.access.queries import Identity, Person
from functions.settings import AccessSettings
from shared_code.errors import UnauthorizedError, UnavailableError

CALLBACK_PATH: Final = "/api/auth/entra/callback"
REFUSED: Final = "the sign-in did not succeed or was not begun here; begin again"
TIMEOUT: Final = 10.0
"""Seconds that the provider may take for an answer."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Attempt:
    """A sign-in that has begun: where to send the browser, and what MSAL must be given back to finish."""

    url: str
    flow: dict[str, Any]


def start(settings: AccessSettings, *, state: str) -> Attempt:
    """Return how to begin a sign-in.

    Raises:
        UnavailableError: Entra is not set up here, or does not answer.
    """
    client = _client(settings)
    with warnings.catch_warnings():
        # MSAL would rather have the answer posted. A post from another site brings no SameSite cookie along, and
        # the cookie is what keeps an answer to the browser that asked.
        warnings.filterwarnings("ignore", message="response_mode='form_post' is recommended", category=UserWarning)
        flow = client.initiate_auth_code_flow(
            scopes=[], redirect_uri=settings.altaviz_public_url + CALLBACK_PATH, state=state
        )
    return Attempt(flow["auth_uri"], flow)


def finish(settings: AccessSettings, flow: dict[str, Any], *, state: str, code: str, now: datetime) -> Person:
    """Return who has signed in, proven by the provider.

    Raises:
        UnauthorizedError: the provider does not take the code, or says nothing that proves who it is.
        UnavailableError: Entra does not answer.
    """
    from requests import RequestException  # noqa: PLC0415 - see _client

    client = _client(settings)
    try:
        result: dict[str, Any] = client.acquire_token_by_auth_code_flow(flow, {"state": state, "code": code})
    except RequestException as error:
        raise _unavailable(error) from None
    except (ValueError, RuntimeError, KeyError):  # what MSAL raises for a wrong state, nonce or answer
        logger.warning("the sign-in provider's answer did not fit the sign-in that was begun")
        raise UnauthorizedError(REFUSED) from None
    if "error" in result:
        logger.warning("the sign-in provider refused a code: %s", result["error"])
        raise UnauthorizedError(REFUSED)
    return _person(settings, result.get("id_token_claims") or {}, now)


def _client(settings: AccessSettings) -> Any:  # noqa: ANN401 - MSAL has no types
    # Half a second of imports that only who signs in has to wait for.
    from msal import ConfidentialClientApplication  # noqa: PLC0415
    from requests import RequestException  # noqa: PLC0415

    if settings.entra_client_id is None or settings.entra_client_secret is None:
        raise UnavailableError("sign-in with Microsoft Entra is not set up here")
    try:
        return ConfidentialClientApplication(
            settings.entra_client_id,
            client_credential=settings.entra_client_secret.get_secret_value(),
            authority=settings.entra_authority,
            instance_discovery=False,  # the authority is ours to say, and no other host need be asked about it
            exclude_scopes=["offline_access"],  # who somebody is, once; nothing is done in their name later
            timeout=TIMEOUT,
        )
    except (RequestException, ValueError, KeyError) as error:
        raise _unavailable(error) from None


def _unavailable(error: Exception) -> UnavailableError:
    logger.error("the sign-in provider does not answer as it should: %s", type(error).__name__)
    return UnavailableError("the sign-in provider does not answer; try again later")


def _person(settings: AccessSettings, claims: Mapping[str, Any], now: datetime) -> Person:
    """Return whom the claims are about; the e-mail address is for display, and Entra does not vouch for it."""
    issuer, tenant, object_id = (_identifier(claims.get(name)) for name in ("iss", "tid", "oid"))
    expires = claims.get("exp")
    if not (
        issuer
        and tenant
        and object_id
        and urlsplit(issuer)[:2] == urlsplit(settings.entra_authority)[:2]
        and claims.get("aud") in (settings.entra_client_id, [settings.entra_client_id])
        and isinstance(expires, int)
        and now.timestamp() < expires
    ):
        logger.warning("the sign-in provider's token lacks what proves who it is about")
        raise UnauthorizedError(REFUSED)
    email = _shown(claims.get("preferred_username")) or _shown(claims.get("email")) or object_id
    name = _shown(claims.get("name")) or email.partition("@")[0]
    return Person(Identity(issuer, tenant, object_id), email, name)


def _identifier(claim: object) -> str | None:
    """Return a claim that is plain text of a length that the users' table holds, or None."""
    return claim if isinstance(claim, str) and re.fullmatch(r"[!-~]{1,100}", claim) else None


def _shown(claim: object) -> str:
    """Return what people see of a claim: one line. Whoever runs a tenant there writes what they like into it."""
    return " ".join(re.sub(r"[\x00-\x1f\x7f]", " ", claim).split())[:150] if isinstance(claim, str) else ""
