"""What a small file may cost."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager

SECONDS = 2.0
"""Of the processor."""
MEMORY = 150
"""MiB beyond what was there before."""
SMALL = 1_300_000
"""Bytes of a file."""


@contextmanager
def little(memory: int = MEMORY) -> Iterator[None]:
    """An AssertionError where what is done inside costs more."""
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    yield
    assert time.process_time() - start < SECONDS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < memory * 1024
