"""How long who waits for another rank or process waits, and what it does meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

SPIN = 3e-4
"""Seconds to look again and again for what another process posts: to sleep and be woken takes a tenth of a
millisecond."""
LOOK_AROUND = 0.1
"""Seconds after which who still waits makes sure that the others are there, and hears of signals."""
PATIENCE = 1.0
"""Seconds for a worker that is gone to be known to the system as ended, and for handed out work to come back."""


def acquire(semaphore: Any, look_around: Callable[[], None], spin: float = SPIN) -> None:
    """Take what another process raises; `look_around`, which may raise an error or end this process, now and then."""
    end = time.perf_counter() + spin
    while not semaphore.acquire(block=False):
        if time.perf_counter() >= end:
            while not semaphore.acquire(timeout=LOOK_AROUND):
                look_around()
            return
