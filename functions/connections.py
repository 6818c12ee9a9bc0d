"""The transaction of a request: opened for the caller's organization, ended before the answer is sent.

`scope="function"` makes a commit that fails an error of this request instead of a lie told after a 200.
Requests beyond `max_concurrency` wait without a thread: were they to wait for a pooled connection in one, those that
hold a connection would find no thread to finish in.
"""

from typing import Annotated

from fastapi import Depends

from functions.access.caller import CurrentlyEntered
from shared_code.database.transactions import Read, Write


def open_read(entered: CurrentlyEntered) -> Read:
    """Return the request's transaction, to read in."""
    return Read(entered.connection)


def open_write(entered: CurrentlyEntered) -> Write:
    """Return the request's transaction, to write in; that of a GET refuses."""
    return Write(entered.connection)


ReadConnection = Annotated[Read, Depends(open_read)]
WriteConnection = Annotated[Write, Depends(open_write)]
