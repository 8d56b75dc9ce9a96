"""How many threads BLAS has."""

from __future__ import annotations

import threading
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController

from graphc.lazy import np
from graphc.system import after_fork_in_child


class SingleThreadedBlas:
    """Within it BLAS has one thread: ranks share the processors, and a second layer of threads would only fight.

    Whoever is first to ask changes the setting and the last one changes it back: within a longer stretch it costs
    nothing to ask again.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._limits: Any = None
        after_fork_in_child(self._unlock)

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._limits = libraries().limit(limits=1, user_api="blas")
            self._inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._limits.restore_original_limits()

    def _unlock(self) -> None:
        """In a process that was forked while another thread was changing the setting."""
        self._lock = threading.Lock()


single_threaded_blas = SingleThreadedBlas()


@cache
def libraries() -> ThreadpoolController:
    assert np.__version__  # which loads NumPy, and with it what is to be limited
    return ThreadpoolController()
