"""Lets workers end by themselves, so that what they have run is counted: `.ci/coverage` puts this folder in PYTHONPATH.

graphc closes a worker's pipe, by which it would end, and kills it at once. coverage.py writes its data when a process
ends by itself, which a killed one does not: so the kill waits a little.
"""

from __future__ import annotations

import time
from multiprocessing.process import BaseProcess

GRACE = 1.0
"""Seconds from the closed pipe to the kill: a rank looks at it every 0.1 s."""

kill_at_once = BaseProcess.kill


def kill(process: BaseProcess) -> None:
    """Not by `join`: it waits for a descriptor that ranks close, and then for ever."""
    deadline = time.monotonic() + GRACE
    while process.exitcode is None and time.monotonic() < deadline:
        time.sleep(0.01)
    kill_at_once(process)


BaseProcess.kill = kill  # type: ignore[method-assign]
