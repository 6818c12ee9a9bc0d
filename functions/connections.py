"""The transaction of a request: opened for the caller's organization, ended before the answer is sent.

`scope="function"` makes a commit that fails an error of this request instead of a lie told after a 200.
Requests beyond `max_concurrency` wait without a thread: were they to wait for a pooled connection in one, those that
hold a connection would find no thread to finish in.
"""

from functions.access.caller import ReadConnection, WriteConnection

__all__ = ["ReadConnection", "WriteConnection"]
