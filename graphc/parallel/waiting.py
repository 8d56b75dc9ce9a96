"""Waiting for another rank or process: how long to spin, to sleep, and until it is given up; what is done meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

SPIN = 3e-4
"""Seconds to look again and again for what another process posts: to sleep and be woken takes a tenth of a
millisecond."""
LOOK_AROUND = 0.1
"""Seconds after which who still waits makes sure that the others are there, and hears of signals."""
PATIENCE = 1.0
"""Seconds for a worker that is gone to be known to the system as ended, and for handed out work to come back."""


ANSWER_TIMEOUT: ContextVar[float] = ContextVar("answer_timeout", default=120.0)
"""Seconds after which a worker that is there but gives no answer is given up."""


@contextmanager
def answers_within(seconds: float) -> Iterator[None]:
    """Give workers so long to answer, in this block."""
    token = ANSWER_TIMEOUT.set(seconds)
    try:
        yield
    finally:
        ANSWER_TIMEOUT.reset(token)


class Overdue:
    """How long an answer is waited for. Naps are counted, not the clock: while this process itself is stopped, or the
    machine sleeps, nobody is late."""

    def __init__(self) -> None:
        self.limit = ANSWER_TIMEOUT.get()
        self._waited = 0.0

    def after_nap(self) -> bool:
        """Whether it is too long, after one more `LOOK_AROUND`."""
        self._waited += LOOK_AROUND
        return self._waited >= self.limit


def acquire(semaphore: Any, look_around: Callable[[], None], spin: float = SPIN) -> None:
    """Take what another process raises; `look_around`, which may raise an error or end this process, now and then."""
    end = time.perf_counter() + spin
    while not semaphore.acquire(block=False):
        if time.perf_counter() >= end:
            while not semaphore.acquire(timeout=LOOK_AROUND):
                look_around()
            return
