"""Requests that may be sent twice and take effect once: what is kept under an Idempotency-Key, and how.

The row is made in the transaction of the write and commits with it, so there is never one without the other. Of
requests with one key at once, the first holds the row and the others wait for its end: for its answer, or, where it
failed, for their turn. What is refused or fails has no effect and is not kept: sent again, it is judged again.

An answer may hold a secret, such as a new API key. So every answer is kept encrypted, under a key that is derived from
the session secret and from the Idempotency-Key itself, of which only a hash is stored: the database alone tells nobody
anything, and with the session secret it tells no more, as long as the keys cannot be guessed.
"""

import hashlib
import json
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from functions.access import queries
from shared_code.database.transactions import Write
from shared_code.errors import ConflictError, InvalidError
from shared_code.identifiers import OrganizationId

REMEMBERED: Final = timedelta(hours=24)
NONCE_BYTES: Final = 12
OTHER_REQUEST: Final = "this key came with another request before; a new request takes a new key"
FORGOTTEN_ANSWER: Final = "this request was carried out before, and its answer cannot be told any more"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it was first given: status, the headers that belong to it, and its bytes."""

    status: int
    headers: dict[str, str]
    body: bytes


class ReplayedError(Exception):
    """Not a failure: the request was carried out before, and this is what it was told."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer


@dataclass(frozen=True, slots=True)
class Pending:
    """A request with a key that is being carried out for the first time, in this transaction."""

    connection: Write
    organization_id: OrganizationId
    key_hash: str
    sealing_key: bytes


def announce(
    connection: Write,
    organization_id: OrganizationId,
    *,
    caller: UUID,
    key: str,
    fingerprint: str,
    session_key: str,
    now: datetime,
) -> Pending:
    """Note in the request's transaction that it is carried out under a key of this caller's.

    Raises:
        ReplayedError: it was before; holds the answer.
        InvalidError: the key came with another request.
        ConflictError: it was before, and the answer cannot be read any more: the session secret has changed.
    """
    key_hash = hashlib.sha256(f"{caller} {key}".encode()).hexdigest()
    pending = Pending(connection, organization_id, key_hash, _sealing_key(session_key, key))
    if queries.claim_request(
        connection, organization_id, key_hash, fingerprint=fingerprint, expires_at=now + REMEMBERED, now=now
    ):
        queries.forget_requests(connection, organization_id, before=now)
        return pending
    known = queries.get_request(connection, organization_id, key_hash)
    if known.fingerprint != fingerprint:
        raise InvalidError(OTHER_REQUEST, field="Idempotency-Key")
    raise ReplayedError(_open(pending, known.answer))


def keep(pending: Pending, answer: Answer) -> None:
    """Keep the answer in the transaction that the effect is in."""
    queries.keep_answer(pending.connection, pending.organization_id, pending.key_hash, _seal(pending, answer))


def _sealing_key(session_key: str, key: str) -> bytes:
    # Where the time for them goes, few requests need to spend it.
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF  # noqa: PLC0415

    return HKDF(SHA256(), 32, salt=key.encode(), info=b"altaviz answers").derive(session_key.encode())


def _seal(pending: Pending, answer: Answer) -> bytes:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

    nonce = secrets.token_bytes(NONCE_BYTES)
    head = json.dumps({"status": answer.status, "headers": answer.headers}).encode()
    return nonce + AESGCM(pending.sealing_key).encrypt(nonce, head + b"\n" + answer.body, _place(pending))


def _open(pending: Pending, sealed: bytes | None) -> Answer:
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

    if sealed is None:
        raise ConflictError(FORGOTTEN_ANSWER)
    try:
        plain = AESGCM(pending.sealing_key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _place(pending))
    except InvalidTag:
        raise ConflictError(FORGOTTEN_ANSWER) from None
    head, _, body = plain.partition(b"\n")
    return Answer(**json.loads(head), body=body)


def _place(pending: Pending) -> bytes:
    """What is sealed for one row cannot be opened in the place of another."""
    return f"{pending.organization_id} {pending.key_hash}".encode()
