"""What a small file may cost."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager

SECONDS = 10.0
"""Of the processor: many times what it takes on a busy machine (below one), and far less than without a bound
(minutes)."""
MEMORY = 150
"""MiB beyond what was there before."""
SMALL = 1_300_000
"""Bytes of a file."""


@contextmanager
def little(memory: int = MEMORY) -> Iterator[None]:
    """An AssertionError where what is done inside costs more.

    What other tests left is no cost of it: a collection of garbage does not look at that.
    """
    import resource  # Windows has none

    gc.freeze()
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    try:
        yield
    finally:
        took = time.process_time() - start
        gc.unfreeze()
    assert took < SECONDS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < memory * 1024
