"""Takes away from this process what Windows or macOS lack, and lets files behave as they do on Windows.

Python runs a module of this name before anything else when its folder stands in PYTHONPATH: so `pytest --without-posix`
reaches the processes that tests start, too.
"""

from __future__ import annotations

import errno
import mmap
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

MODULES = ("fcntl", "grp", "pwd", "resource", "termios", "tty", "pty")
NAMES = {
    os: """
        chown fchmod fchown fork forkpty getgroups getloadavg getpgid killpg lchown mkfifo mknod posix_fadvise
        posix_fallocate pread preadv process_cpu_count pwrite pwritev readv register_at_fork sched_getaffinity
        sched_setaffinity setpgid setsid statvfs sync sysconf wait3 wait4 writev
        O_ASYNC O_CLOEXEC O_DIRECTORY O_DIRECT O_NOATIME O_NOCTTY O_NOFOLLOW O_NONBLOCK O_PATH O_SYNC O_TMPFILE
    """,
    signal: """
        SIGALRM SIGCHLD SIGHUP SIGKILL SIGPIPE SIGQUIT SIGUSR1 SIGUSR2 ITIMER_REAL alarm getitimer pause pthread_kill
        pthread_sigmask setitimer sigpending sigwait
    """,
    mmap: "MAP_ANON MAP_ANONYMOUS MAP_NORESERVE MAP_POPULATE MAP_PRIVATE MAP_SHARED PROT_EXEC PROT_READ PROT_WRITE",
}
NO_FOLDERS = ("/proc", "/dev/shm")

real = {name: getattr(os, name) for name in ("listdir", "open", "replace", "rename", "stat", "unlink", "fstat")}


def take_away() -> None:
    for module in MODULES:
        sys.modules[module] = None  # type: ignore[assignment]
    for owner, names in NAMES.items():
        for name in names.split():
            vars(owner).pop(name, None)
    os.supports_dir_fd.clear()
    shutil._use_fd_functions = False  # type: ignore[attr-defined]
    subprocess.Popen.kill = lambda self: self.send_signal(9)  # type: ignore[method-assign]
    os.open = open_  # type: ignore[assignment]
    os.listdir = listdir  # type: ignore[assignment]
    os.replace, os.rename = moving("replace"), moving("rename")
    os.unlink = os.remove = unlink  # type: ignore[assignment]


def open_(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
    if dir_fd is not None:
        raise NotImplementedError("dir_fd unavailable on this platform")
    if os.path.isdir(path):
        raise PermissionError(errno.EACCES, "Permission denied", path)
    return int(real["open"](path, flags, mode))


def listdir(path: Any = ".") -> Any:
    if str(path).startswith(NO_FOLDERS):
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
    return real["listdir"](path)


def moving(name: str) -> Callable[..., None]:
    def move(source: Any, target: Any) -> None:
        refuse_if_open(source)
        refuse_if_open(target)
        real[name](source, target)

    return move


def unlink(path: Any, *, dir_fd: int | None = None) -> None:
    refuse_if_open(path)
    real["unlink"](path)


def refuse_if_open(path: Any) -> None:
    """As Windows does of a file that this process has open, or mapped."""
    try:
        wanted = real["stat"](path, follow_symlinks=False)
        handles = [int(name) for name in real["listdir"]("/proc/self/fd")]
    except OSError:
        return
    for handle in handles:
        with suppress(OSError):
            if os.path.samestat(real["fstat"](handle), wanted):
                message = "The process cannot access the file because it is being used by another process"
                raise PermissionError(errno.EACCES, message, str(path)) from None


take_away()
