"""Transactions of a request: opened for the caller's organization, ended before the answer is sent.

`scope="function"` makes a commit that fails an error of this request instead of a lie told after a 200.
Requests beyond `max_concurrency` wait without a thread: were they to wait for a pooled connection in one, those that
hold a connection would find no thread to finish in.
"""

from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends

from functions.access.caller import CurrentSession
from functions.application import CurrentApplication
from shared_code.database import transactions
from shared_code.database.transactions import Read, Write


def open_read(session: CurrentSession, application: CurrentApplication) -> Iterator[Read]:
    """Open a read-only transaction of the caller's organization."""
    with transactions.read(application.database(), session.organization_id) as connection:
        yield connection


def open_write(session: CurrentSession, application: CurrentApplication) -> Iterator[Write]:
    """Open a transaction of the caller's organization that may write."""
    with transactions.write(application.database(), session.organization_id) as connection:
        yield connection


# Together they stay below the fifteen connections that a pool of five may grow to.
ReadConnection = Annotated[Read, Depends(open_read, scope="function", max_concurrency=8)]
WriteConnection = Annotated[Write, Depends(open_write, scope="function", max_concurrency=4)]
