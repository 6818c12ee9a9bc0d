"""Measures what one organization waits while another asks ten times its quota: prints a line of JSON.

`python -m benchmarks.noisy_neighbour`. The API runs as `python -m functions` does, in a process of its own over an
embedded PostgreSQL; requests are counted in memory, as there, or with `sql` as an argument in SQL. The quiet one asks
five times a second, first alone and then beside the noisy one.
"""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import Final

import httpx
from sqlalchemy import update

from functions.plans import plans
from shared_code.database import transactions
from shared_code.database.demo import RIVAL_ORGANIZATION
from shared_code.database.home import open_database
from shared_code.database.tables import organizations
from shared_code.database.tables.organizations import Tier
from shared_code.settings import DatabaseSettings, read

SECONDS: Final = 30
QUIET_EACH: Final = 0.2
TIMES_THE_QUOTA: Final = 10


def main(place: str = "memory") -> None:
    """Serve, ask, and print."""
    with tempfile.TemporaryDirectory(prefix="altaviz-noisy-") as folder:
        data = Path(folder, "postgresql")
        database = open_database(read(DatabaseSettings, data_dir=data), now=datetime.now(UTC))
        try:
            with transactions.owner(database) as connection:
                noisy = organizations.c.id == RIVAL_ORGANIZATION
                connection.execute(update(organizations).where(noisy).values(subscription_tier=Tier.FREE))
            environment = os.environ | {
                "ALTAVIZ_DATABASE_DIR": str(data),
                "ALTAVIZ_REQUESTS_PER_MINUTE": "1000000",
                "ALTAVIZ_REQUESTS_COUNTED_IN": place,
                "SESSION_SECRET": "of this measurement alone, and no other",
            }
            command = [sys.executable, "-m", "functions", "--demo", "--port", "0"]
            with subprocess.Popen(  # noqa: S603 - our own program
                command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            ) as server:
                assert server.stdout is not None  # noqa: S101 - piped above
                url = server.stdout.readline().split()[3]
                # Somebody has to read what it says, or it will wait for that.
                Thread(target=deque, args=(server.stdout, 0), daemon=True).start()
                print(json.dumps({"counted in": place} | asyncio.run(_measure(url))))
                server.terminate()
        finally:
            database.dispose()


async def _measure(url: str) -> dict[str, object]:
    limits = httpx.Limits(max_connections=50, max_keepalive_connections=50)
    async with (
        httpx.AsyncClient(base_url=url, limits=limits, timeout=30) as quiet,
        httpx.AsyncClient(base_url=url, limits=limits, timeout=30) as noisy,
    ):
        for client, email in ((quiet, "demo@altaviz.dev"), (noisy, "rival@altaviz.dev")):
            token = (await client.post("/api/auth/dev", json={"email": email})).json()["token"]
            client.headers["Authorization"] = f"Bearer {token}"
        await _ask(quiet, each=0.05, seconds=3)  # warm
        alone, _ = await _ask(quiet, each=QUIET_EACH, seconds=SECONDS)
        each = 60 / plans()[Tier.FREE].requests_per_minute / TIMES_THE_QUOTA
        (beside, answers), (_, refused) = await asyncio.gather(
            _ask(quiet, each=QUIET_EACH, seconds=SECONDS), _ask(noisy, each=each, seconds=SECONDS)
        )
    return {
        "quiet alone": _summary(alone),
        "quiet beside": _summary(beside),
        "p99 beside over alone": round(_p99(beside) / _p99(alone), 2),
        "quiet answers": dict(answers),
        "noisy answers": dict(refused),
    }


async def _ask(client: httpx.AsyncClient, *, each: float, seconds: float) -> tuple[list[float], Counter[int]]:
    """Ask at a steady pace, whatever the answers take; return the milliseconds of each and how often which status."""
    took: list[float] = []
    statuses: Counter[int] = Counter()

    async def once() -> None:
        began = time.perf_counter()
        answer = await client.get("/api/fleet")
        took.append((time.perf_counter() - began) * 1000)
        statuses[answer.status_code] += 1

    began = time.perf_counter()
    async with asyncio.TaskGroup() as asked:
        for n in range(int(seconds / each)):
            await asyncio.sleep(max(0.0, began + n * each - time.perf_counter()))
            asked.create_task(once())
    return took, statuses


def _p99(took: Sequence[float]) -> float:
    return statistics.quantiles(took, n=100)[98]


def _summary(took: Sequence[float]) -> dict[str, float]:
    return {"p50 ms": round(statistics.median(took), 1), "p99 ms": round(_p99(took), 1), "requests": len(took)}


if __name__ == "__main__":
    main(*sys.argv[1:2])
