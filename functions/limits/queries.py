"""SQL that counts requests for all instances together."""

from typing import Final

from sqlalchemy import BigInteger, case, delete, func, literal, select
from sqlalchemy.dialects.postgresql import insert

from functions.limits.allowance import Allowance, Verdict
from shared_code.database.tables import rate_limits
from shared_code.database.transactions import Counting

FORGOTTEN_AT_ONCE: Final = 1000


# organization-free: counts addresses too, before anybody is known
def count_request(connection: Counting, caller: str, allowance: Allowance, *, now: int) -> Verdict:
    """Count one request of a caller and return whether it is admitted, in one statement.

    The row is locked while it changes, so requests that arrive together at several instances are decided one after the
    other. A refused one changes nothing but the note that it was.
    """
    kept = rate_limits.c
    moved = func.greatest(kept.whole_at, literal(now, BigInteger)) + literal(allowance.interval, BigInteger)
    admitted = moved <= literal(now + allowance.whole, BigInteger)
    statement = insert(rate_limits).values(caller=caller, whole_at=now + allowance.interval, admitted=True)
    decided = statement.on_conflict_do_update(
        index_elements=[kept.caller],
        set_={"whole_at": case((admitted, moved), else_=kept.whole_at), "admitted": admitted},
    ).returning(kept.whole_at, kept.admitted)
    row = connection.execute(decided).one()
    return Verdict(allowance, row.admitted, row.whole_at, now)


# organization-free: see above
def forget_idle(connection: Counting, *, now: int) -> None:
    """Delete some of the callers whose allowance is whole again: as if they had never asked."""
    kept = rate_limits.c
    idle = (
        select(kept.caller)
        .where(kept.whole_at < now)
        .limit(FORGOTTEN_AT_ONCE)
        .with_for_update(skip_locked=True)
        .cte()  # a subquery would be asked anew for each row, and would delete them all
    )
    connection.execute(delete(rate_limits).where(kept.caller.in_(select(idle.c.caller))))
