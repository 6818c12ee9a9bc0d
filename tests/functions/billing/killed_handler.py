"""`python -m tests.functions.billing.killed_handler STEP DATA_DIR ADDRESS`: handles what waits, killed at a step.

The process ends itself by SIGKILL, so nothing of it has a last word.
"""

import os
import signal
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from functions.billing import handling, queries
from functions.billing.stripe_gateway import StripeGateway
from functions.settings import AccessSettings, BillingSettings, Settings
from shared_code.database.home import open_database
from shared_code.settings import DatabaseSettings, read
from tests.functions.billing.conftest import START
from tests.seams import stripe as seam

STEPS: dict[str, tuple[Any, str]] = {
    "claimed": (handling, "_look_into"),
    "held": (StripeGateway, "read_account"),
    "written": (queries, "mark_handled"),
    "committed": (handling, "_conclude"),
}
"""What is about to be done when the process dies, by what is done already."""


def kill(*_: object, **__: object) -> None:
    print("killed", end="", flush=True)  # noqa: T201 - who started this wants to know
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    step, data_dir, address = sys.argv[1:]
    pytest.MonkeyPatch().setattr(*STEPS[step], kill)
    now = START + timedelta(seconds=1)
    settings = Settings(
        AccessSettings(),
        read(DatabaseSettings, data_dir=Path(data_dir)),
        "a key that nobody needs here, at least 32 bytes",
        billing=BillingSettings(stripe_api_key=SecretStr(seam.KEY), stripe_api_base=address),
    )
    handling.handle(open_database(settings.database, now=now), settings, clock=lambda: now)
