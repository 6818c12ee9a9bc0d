"""Batches delivered by several processes, which leave when they are done, interrupted or orphaned."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Generator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Final

from simulator.landing import Delivered, deliver
from simulator.simulation import Simulation

BATCHES_AHEAD: Final = 8
"""Waiting for each process: enough that none idles, few enough that memory does not grow with the period."""


def delivered_in_order(
    simulation: Simulation, out: Path, batches: list[tuple[int, int]], processes: int
) -> Generator[Delivered]:
    """Deliver each (station, batch number); results come in the order of `batches`, whichever process did which.

    Close the generator, or let it end, and no process and no half-written file stays.
    """
    if processes == 1:
        for station, batch in batches:
            yield deliver(simulation, out, station, batch)
        return
    pool = ProcessPoolExecutor(
        processes, mp_context=multiprocessing.get_context("spawn"), initializer=_leave_with_parent
    )
    remaining = (pool.submit(deliver, simulation, out, station, batch) for station, batch in batches)
    try:
        with _interrupts_ignored():
            ahead = deque(islice(remaining, processes))
        ahead.extend(islice(remaining, processes * BATCHES_AHEAD))
        while ahead:
            yield ahead.popleft().result()
            ahead.extend(islice(remaining, 1))
    finally:
        # What is being written is finished, what has not begun is dropped.
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _interrupts_ignored() -> Generator[None]:
    """Processes started within never see Ctrl-C, which a terminal sends to all: the parent alone decides."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _leave_with_parent() -> None:
    """End this worker as soon as its parent is gone, however it went."""
    parent = multiprocessing.parent_process()

    def wait() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
