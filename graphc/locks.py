"""Locks by a file, which end with their holder: `flock` where there is one, a locked byte of the file on Windows.
Without either the file says whose it is.

Not by a library: of filelock's two kinds the one that the system frees does not say who holds it, and the one that does
is not freed by the system.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from graphc.system import NotPlain, after_fork_in_child, is_alive, open_own, optional_module, read_at

FAR = 0x7FFFFFF0
"""Where Windows locks a byte: behind all text, which a locked file could not show."""
TEXT_LIMIT = 200


class Held(Exception):
    """Somebody else has the lock: `holder` says who."""

    def __init__(self, holder: str) -> None:
        super().__init__(holder)
        self.holder = holder


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file, made if need be, which says whose it is; Held where another has it.

    The system frees it however the process ends: what is forked from it has no part in it. NotPlain where the file
    is a link, or holds something else; OSError where it cannot be opened, locked or written.
    """
    handle = open_own(path)
    _locks.add(handle)
    try:
        free = _take(handle, path)
        os.ftruncate(handle, 0)
        os.lseek(handle, 0, os.SEEK_SET)
        os.write(handle, f"pid {os.getpid()} on {socket.gethostname()}\n".encode())
        try:
            yield
        finally:
            free()
    finally:
        _locks.discard(handle)
        with contextlib.suppress(OSError):  # of a disk that has no room for the text; the lock is free
            os.close(handle)


_locks: set[int] = set()
"""Descriptors of the locks that this process holds."""


def _forget_locks() -> None:
    """In a process that was forked: only closed copies let a lock end with its holder."""
    for handle in _locks:
        with contextlib.suppress(OSError):
            os.close(handle)
    _locks.clear()


after_fork_in_child(_forget_locks)


def _take(handle: int, path: Path) -> Callable[[], None]:
    """What frees the lock, which is ours now."""
    unix, windows = optional_module("fcntl"), optional_module("msvcrt")
    holder = read_at(handle, TEXT_LIMIT, 0).decode(errors="replace").strip("\0 \n")  # zeros: of a power cut
    if not (holder.startswith("pid ") or "pid ".startswith(holder)):
        raise NotPlain("something else than a lock of graphc's", path)
    try:
        if unix is not None:
            unix.flock(handle, unix.LOCK_EX | unix.LOCK_NB)
            return lambda: None  # closing frees it
        if windows is not None:
            os.lseek(handle, FAR, os.SEEK_SET)
            windows.locking(handle, windows.LK_NBLCK, 1)
            return lambda: _free_on_windows(windows, handle)
    except (BlockingIOError, PermissionError):
        raise Held(holder or "another process") from None
    if _is_alive(holder):
        raise Held(holder)
    return lambda: os.ftruncate(handle, 0)


def _free_on_windows(windows: Any, handle: int) -> None:
    os.lseek(handle, FAR, os.SEEK_SET)
    windows.locking(handle, windows.LK_UNLCK, 1)


def _is_alive(holder: str) -> bool:
    """Whether `pid 12 on host` is a process of this machine. Never asked on Windows, where asking would end it."""
    words = holder.split()
    if len(words) != 4 or not words[1].isdecimal() or words[3] != socket.gethostname():
        return False
    return is_alive(int(words[1]))
