"""Signed tokens: JSON claims under our key, each kind for its own audience and taken by no other."""

from typing import Any, Final

import jwt

ALGORITHM: Final = "HS256"
ISSUER: Final = "altaviz"
MAX_TOKEN_LENGTH: Final = 4096


def sign(claims: dict[str, Any], key: str) -> str:
    """Return the claims as a token; its characters are safe in headers, cookies and links."""
    return jwt.encode(claims, key, algorithm=ALGORITHM)


def read(token: str, key: str, *, audience: str) -> dict[str, Any] | None:
    """Return the claims of a token that we signed for this audience, or None; times are for the caller to check."""
    if len(token) > MAX_TOKEN_LENGTH:
        return None
    try:
        return jwt.decode(
            token,
            key,
            algorithms=[ALGORITHM],
            audience=audience,
            issuer=ISSUER,
            # Times are checked against the clock that is passed in; PyJWT would read the system's.
            options={"strict_aud": True, "verify_exp": False, "verify_iat": False, "verify_nbf": False},
        )
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        # Headers are read before the signature is: nested JSON or odd types there raise what PyJWT does not foresee.
        return None
