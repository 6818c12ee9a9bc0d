"""Measures POST /api/readings with 10,000 readings in every form: `python -m benchmarks.ingest` prints a line of JSON.

The API runs in this process over an embedded PostgreSQL of its own, and lands files in a folder that is removed again.
The first request of a form, which loads what it needs, is told apart from the median of the others.
"""

import asyncio
import io
import json
import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import httpx
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from sqlalchemy import insert

from functions.access import keys
from functions.api import create_app
from functions.settings import AccessSettings, LandingSettings, Settings
from shared_code.database import transactions
from shared_code.database.demo import DEMO_ORGANIZATION
from shared_code.database.engines import Database
from shared_code.database.home import open_database
from shared_code.database.tables import api_keys, compressor_metadata, station_locations
from shared_code.readings import SENSOR_FIELDS
from shared_code.settings import DatabaseSettings, read

READINGS: Final = 10_000
MACHINES: Final = 100
REPEATS: Final = 7
ACCEPTED: Final = 202


def main() -> None:
    """Send batches, each of them new, in every form."""
    with tempfile.TemporaryDirectory(prefix="altaviz-ingest-") as folder:
        now = datetime.now(UTC)
        database = open_database(read(DatabaseSettings, data_dir=Path(folder, "postgresql")), now=now)
        try:
            settings = Settings(
                AccessSettings(), database.settings, "", landing=LandingSettings(altaviz_landing=f"{folder}/landing")
            )
            app = create_app(settings, lambda: database)
            headers = {"Authorization": f"Bearer {_a_key_and_machines(database, now)}"}
            print(json.dumps(asyncio.run(_measure(httpx.ASGITransport(app), headers, now))))
        finally:
            database.dispose()


async def _measure(transport: httpx.ASGITransport, headers: dict[str, str], now: datetime) -> dict[str, object]:
    measured: dict[str, object] = {"readings": READINGS}
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=headers) as client:
        for media_type in _bodies(now):
            seconds: list[float] = []
            for attempt in range(REPEATS):
                body = _bodies(now - timedelta(days=attempt + 1))[media_type]
                began = time.perf_counter()
                answer = await client.post("/api/readings", content=body, headers={"Content-Type": media_type})
                seconds.append(time.perf_counter() - began)
                if answer.status_code != ACCEPTED or answer.json()["accepted"] != READINGS:
                    raise SystemExit(f"{media_type}: {answer.status_code} {answer.text[:200]}")
            first, *others = seconds
            measured[media_type] = {
                "first_ms": round(first * 1000),
                "median_ms": round(statistics.median(others) * 1000),
                "slowest_ms": round(max(others) * 1000),
            }
    return measured


def _bodies(end: datetime) -> dict[str, bytes]:
    table = _table(end)
    rows = [row | {"timestamp": row["timestamp"].isoformat()} for row in table.to_pylist()]
    text, file = io.BytesIO(), io.BytesIO()
    pyarrow.csv.write_csv(table, text)
    pq.write_table(table, file)  # pyright: ignore[reportUnknownMemberType]
    return {
        "application/json": json.dumps(rows).encode(),
        "application/x-ndjson": "\n".join(map(json.dumps, rows)).encode(),
        "text/csv": text.getvalue(),
        "application/vnd.apache.parquet": file.getvalue(),
    }


def _table(end: datetime) -> pa.Table:
    values: dict[str, Any] = {
        "compressor_id": [f"COMP-{row % MACHINES:03d}" for row in range(READINGS)],
        "timestamp": pa.array(
            [end - row // MACHINES * timedelta(minutes=10) for row in range(READINGS)], pa.timestamp("us", "UTC")
        ),
        **{field: [40 + row % 97 / 10 for row in range(READINGS)] for field in SENSOR_FIELDS},
        "operating_hours": [20_000 + row / 6 for row in range(READINGS)],
    }
    return pa.table(values)


def _a_key_and_machines(database: Database, now: datetime) -> str:
    secret = keys.make()
    owner = {"organization_id": DEMO_ORGANIZATION}
    station = owner | {"station_id": "S"}
    machine = station | {"model": "Ajax DPC-360", "horsepower": 1340}
    key = owner | {"id": uuid4(), "name": "Gateway", "prefix": secret[: keys.SHOWN], "scopes": "ingest"}
    place = {"station_name": "S", "latitude": 0, "longitude": 0, "timezone": "UTC"}
    with transactions.owner(database) as connection:
        connection.execute(insert(station_locations).values(station | place))
        connection.execute(
            insert(compressor_metadata), [machine | {"compressor_id": f"COMP-{n:03d}"} for n in range(MACHINES)]
        )
        connection.execute(
            insert(api_keys).values(
                key | {"secret_hash": keys.digest(secret), "created_at": now, "expires_at": now + timedelta(days=1)}
            )
        )
    return secret


if __name__ == "__main__":
    main()
