"""Commands that `mpiexec` has started several times: the first rank speaks, and all of them end together."""

from __future__ import annotations

import math
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from graphc.cli.answers import answer
from graphc.cli.options import say
from graphc.cli.stopping import stopping

SAME_ERROR = 1.0
"""Seconds that a rank other than the first waits before it says an error: what all ranks find, the first one says, and
with that ends them all."""
SAVING = 60.0
"""Seconds that the first rank may take to save, and end all, when it was asked to stop."""
ABORTING = 5.0
"""Seconds that MPI may take to end all processes, after which each rank ends by itself."""


@contextmanager
def ranks() -> Iterator[Any]:
    """The world that this process was started in. Whatever goes wrong inside ends all its processes, and is said once,
    with the rank and its host where it is not the first's."""
    from graphc.parallel.mpi import started_by_mpi, world_of_ranks
    from graphc.parallel.waiting import answers_within

    if not started_by_mpi():
        from graphc.parallel.world import LOCAL_WORLD

        yield LOCAL_WORLD
        return
    world: Any = world_of_ranks()
    if world.size == 1:
        yield world
        return
    try:
        if world.rank:
            _silence()
        with answers_within(math.inf):  # reading data may take one rank longer than another
            yield world
            world.finish()
            # MPICH tells its launcher in exit() that all is well; of one that leaves otherwise it may kill the rest
            stopping.by_exit = True
    except BaseException as error:
        _end(world, error)


def describe(world: Any) -> None:
    """Say who there is: messages of MPI's launcher name processes by host and pid."""
    if world.size > 1:
        say(f"{world.size} ranks: {', '.join(world.name(rank) for rank in range(world.size))}")


def _silence() -> None:
    """Nothing of this rank is said, and signals are the first rank's to answer."""
    from graphc.system import ignore_stop_signals

    ignore_stop_signals()
    sys.stdout = sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  # to the process's end


def _end(world: Any, error: BaseException) -> None:
    """End all ranks, by an error of this one."""
    if world.rank:
        from graphc.train.interruption import Interrupted

        time.sleep(SAVING if isinstance(error, Interrupted) else SAME_ERROR)
        sys.stderr = os.fdopen(os.dup(2), "w", encoding="utf-8")
        say(f"{world.name(world.rank)}:")
    code = answer(error)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    timer = threading.Timer(ABORTING, os._exit, (code,))
    timer.daemon = True
    timer.start()
    world.abort(code)
    os._exit(code)
