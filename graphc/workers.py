"""Processes forked from this one, with a pipe to each: what those that feed and those that compute share."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from graphc.system import fork_context


def fork(work: Callable[..., None], name: str, *arguments: Any) -> tuple[Any, Connection]:
    """A daemon process that does `work(its end of the pipe, *arguments)`, and our end. Nothing is copied or sent: the
    arguments are there already."""
    context = fork_context()
    ours, theirs = context.Pipe()
    process = context.Process(target=_begin, args=(work, ours, theirs, arguments), name=name, daemon=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of fork beside threads: workers take no lock of ours
        process.start()
    theirs.close()
    return process, ours


def _begin(work: Callable[..., None], ours: Connection, theirs: Connection, arguments: tuple[Any, ...]) -> None:
    ours.close()  # or the worker would not notice when we are gone
    work(theirs, *arguments)


def how_it_ended(process: Any, patience: float) -> str:
    """`was killed by signal 9`, `ended with exit code 1`: of a process whose pipe is closed."""
    process.join(patience)
    code = process.exitcode
    return f"was killed by signal {-code}" if code is not None and code < 0 else f"ended with exit code {code}"
