"""One organization asks ten times what its plan includes: it is refused, and no other ever is.

What the other one waits is measured by `benchmarks/noisy_neighbour.py`.
"""

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta

import httpx
import pytest

from functions.access import sessions
from functions.access.keys import Scope
from functions.api import create_app
from functions.settings import Settings
from shared_code.database.engines import Database
from shared_code.database.tables.organizations import Tier
from tests.factories.fleet import Customer, a_customer, a_key, a_session
from tests.functions.conftest import KEY
from tests.seams.api_client import BASE_URL

QUOTA = 120
SECONDS = 20


@pytest.mark.parametrize("place", ["memory", "sql"])
def test_who_stays_within_the_quota_is_never_refused(
    database: Database, settings: Settings, now: datetime, place: str
) -> None:
    """Twenty seconds of both at once: one at ten times its two requests a second, one at two."""
    moment = now
    edge = settings.edge.model_copy(update={"altaviz_requests_counted_in": place})
    app = create_app(replace(settings, edge=edge), lambda: database, clock=lambda: moment)
    noisy, quiet = (a_customer(database, tier=Tier.FREE) for _ in range(2))
    loud = {"Authorization": f"Bearer {a_key(database, noisy, Scope.READ, now=now)}"}
    calm = {"Authorization": f"Bearer {_token(database, quiet, now)}"}
    asked: dict[str, Counter[int]] = {"noisy": Counter(), "quiet": Counter()}

    async def a_second() -> None:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url=BASE_URL) as client:
            calls = [client.get("/api/stations", headers=loud) for _ in range(20)]
            calls += [client.get("/api/stations", headers=calm) for _ in range(2)]
            answers = await asyncio.gather(*calls)
        asked["noisy"].update(answer.status_code for answer in answers[:20])
        asked["quiet"].update(answer.status_code for answer in answers[20:])

    for _ in range(SECONDS):
        asyncio.run(a_second())
        moment += timedelta(seconds=1)

    assert asked["quiet"] == {200: 2 * SECONDS}
    # The burst of a quiet minute, and two for each second that followed.
    assert asked["noisy"][200] == QUOTA + 2 * (SECONDS - 1)
    assert asked["noisy"][429] == 20 * SECONDS - asked["noisy"][200]


def _token(database: Database, customer: Customer, now: datetime) -> str:
    return sessions.sign(a_session(database, customer, now=now), KEY)
