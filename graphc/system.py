"""All that differs between Linux, macOS and Windows, and nothing else asks which of them this is.

Whether a call is there is asked when it is needed. Where it is missing:

processors          all of the machine's, not those that this process may use
processes           none: threads do the work, with the same results (on macOS too, where a fork is not safe)
links in paths      looked for before and after a file is opened, not by descriptors
locks               as in locks.py
permissions         those of a new file

`multiprocessing`, which no command needs that reads a spec, is loaded where it is used.
"""

from __future__ import annotations

import _thread
import contextlib
import errno
import importlib
import mmap
import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path, PureWindowsPath
from typing import Any

IS_WINDOWS = os.name == "nt"
MOST_HANDLES = 1 << 16
"""Descriptors that a process is thought to have open where the system does not list them."""


# -- processors and processes -----------------------------------------------------------------------------------


def processors() -> int:
    """How many this process may use, where the system says it; else how many there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def can_fork() -> bool:
    """Whether this process may have workers that are forked from it: on Linux, and not in such a worker itself.

    macOS has fork, but its own libraries (Accelerate among them) may hang in what was forked.
    """
    if sys.platform != "linux" or not hasattr(os, "fork"):
        return False
    return not importlib.import_module("multiprocessing").current_process().daemon


def fork_context() -> Any:
    """What makes processes, pipes and semaphores; only where `can_fork`."""
    return importlib.import_module("multiprocessing").get_context("fork")


def after_fork_in_child(call: Callable[[], None]) -> None:
    """Have this called in every process that is forked from this one, where there is a fork."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=call)


def is_alive(pid: int) -> bool:
    """Whether there is a process of this number here; on Windows, where asking would end it, always."""
    if IS_WINDOWS:
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # somebody else's
        return True
    return True


def is_stopped(pid: int) -> bool:
    """Whether a process was told to stop (SIGSTOP, a debugger), where the system says so."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] in (b"T", b"t")
    except (OSError, IndexError):
        return False


def shared_memory(size: int | None = None) -> mmap.mmap:
    """Memory of `size` bytes that is shared with processes forked later.

    Without a size, addresses for as much as the machine has, of which a page counts when it is touched; an OSError
    where the system grants only what it could fill.
    """
    if size is not None:
        return mmap.mmap(-1, max(size, 1))
    if not (hasattr(os, "sysconf") and hasattr(mmap, "MAP_SHARED") and hasattr(mmap, "MAP_ANONYMOUS")):
        raise OSError(errno.ENOSYS, "no memory that is taken page by page")
    size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return mmap.mmap(-1, size, mmap.MAP_SHARED | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0x4000))


def close_all_but(kept: int) -> None:
    """Close what a forked process has inherited, which would keep locks held and pipes open; streams stay."""
    try:
        handles = [int(name) for name in os.listdir("/proc/self/fd")]
    except OSError:  # no /proc
        os.closerange(3, kept)
        os.closerange(kept + 1, max(min(os.sysconf("SC_OPEN_MAX"), MOST_HANDLES), kept + 1))
        return
    for handle in handles:
        if handle > 2 and handle != kept:
            with contextlib.suppress(OSError):
                os.close(handle)


# -- signals ----------------------------------------------------------------------------------------------------


def stop_signals() -> list[signal.Signals]:
    """Signals by which a person or the system asks a program to end: Ctrl-C, and on Windows Ctrl-Break too; a terminal
    that closes, but where it is to be outlived (nohup)."""
    names = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
    found = [getattr(signal, name) for name in names if hasattr(signal, name)]
    return [number for number in found if number.name != "SIGHUP" or signal.getsignal(number) != signal.SIG_IGN]


@contextlib.contextmanager
def stop_signals_held() -> Iterator[None]:
    """Signals that ask this process to end come after this block, and to a process forked within when it says so."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, stop_signals())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def ignore_stop_signals() -> None:
    """For a worker: they reach the whole group, and its parent decides. Those that were held back are forgotten."""
    for number in stop_signals():
        signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, stop_signals())


def wake_main_thread(number: int) -> None:
    """Run the main thread's handler of this signal soon, from another thread; also while it waits for something,
    where the system can."""
    main = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and main is not None:
        signal.pthread_kill(main, number)
    else:
        _thread.interrupt_main(signal.Signals(number))


def is_broken_pipe(error: OSError) -> bool:
    """Whether nobody reads our output any more."""
    return error.errno == errno.EPIPE or (IS_WINDOWS and error.errno == errno.EINVAL and error.filename is None)


# -- opening files ----------------------------------------------------------------------------------------------


SEVERAL_NAMES = "a file with several names (hard links)"


class NotPlain(OSError):
    """What was found where a plain file should be: `found` says what."""

    def __init__(self, found: str, path: object) -> None:
        super().__init__(errno.EINVAL, f"expected a file, found {found}", str(path))
        self.found = found


def open_plain(path: Path | str) -> int:
    """A descriptor of a plain file, for reading; a NotPlain for folders, devices and pipes, which are not read."""
    return _checked(_open(path), path)


def open_below(folder: Path | str, relative_path: str, *, hard_links: bool = False) -> int:
    """A descriptor of a plain file below a folder, for reading.

    `relative_path` has / between its steps and leads downwards. No step may be a symbolic link, nor, unless
    `hard_links`, the file have other names elsewhere; NotPlain says what was found instead. What becomes of the
    folders meanwhile leads nowhere else. OSError as from `os.open`.
    """
    parts = relative_path.split("/")
    if not all(map(is_plain_name, parts)):
        raise NotPlain("a path that leads elsewhere", relative_path)
    by_descriptors = hasattr(os, "O_NOFOLLOW") and hasattr(os, "O_DIRECTORY") and os.open in os.supports_dir_fd
    handle = (_open_by_descriptors if by_descriptors else _open_by_looking)(folder, parts)
    _checked(handle, relative_path)
    if not hard_links and os.fstat(handle).st_nlink > 1:
        os.close(handle)
        raise NotPlain(SEVERAL_NAMES, relative_path)
    return handle


def is_plain_name(name: str) -> bool:
    """Whether it names something in a folder, and nothing else: no path, no drive, no stream of a file."""
    separators = ("/", "\\", ":") if IS_WINDOWS else ("/",)
    return name not in ("", ".", "..") and "\0" not in name and not any(each in name for each in separators)


def is_reserved(path: Path) -> bool:
    """Whether Windows takes the name for a device: `nul`, `con.onnx`."""
    return IS_WINDOWS and PureWindowsPath(path).is_reserved()


def is_stream(path: Path) -> bool:
    """Whether it stands for an open stream: /dev/stdout."""
    return path.is_symlink() and str(path.readlink()).startswith("/proc/")


def _open(path: Path | str, *flags: str, dir_fd: int | None = None) -> int:
    """A descriptor for reading bytes, without waiting for the other end of a pipe, not for child processes."""
    names = ("O_NONBLOCK", "O_CLOEXEC", "O_NOINHERIT", "O_BINARY", *flags)
    chosen = os.O_RDONLY
    for name in names:
        chosen |= getattr(os, name, 0)
    try:
        return os.open(path, chosen, dir_fd=dir_fd) if dir_fd is not None else os.open(path, chosen)
    except PermissionError:
        if dir_fd is None and os.path.isdir(path):  # Windows opens no folders
            raise NotPlain("a folder", path) from None
        raise


def _checked(handle: int, path: object) -> int:
    mode = os.fstat(handle).st_mode
    if stat.S_ISREG(mode):
        return handle
    os.close(handle)
    raise NotPlain("a folder" if stat.S_ISDIR(mode) else "a device or a pipe", path)


def _open_by_descriptors(folder: Path | str, parts: list[str]) -> int:
    """Every step relative to the one before."""
    handle = _open(folder, "O_DIRECTORY")
    for part, flags in [*((part, ("O_DIRECTORY", "O_NOFOLLOW")) for part in parts[:-1]), (parts[-1], ("O_NOFOLLOW",))]:
        try:
            inner = _open(part, *flags, dir_fd=handle)
        except OSError:
            if _is_link(os.stat(part, dir_fd=handle, follow_symlinks=False)):
                raise NotPlain("a symbolic link", part) from None
            raise
        finally:
            os.close(handle)
        handle = inner
    return handle


def _open_by_looking(folder: Path | str, parts: list[str]) -> int:
    """Look at every step, open the file, and look again: the same file, and still no link on the way."""
    before = _steps(folder, parts)
    handle = _open(Path(folder, *parts))
    with contextlib.ExitStack() as undo:
        undo.callback(os.close, handle)
        after = [*_steps(folder, parts)[:-1], os.fstat(handle)]
        if not all(map(os.path.samestat, before, after)):
            raise NotPlain("a file that was replaced meanwhile", "/".join(parts))
        undo.pop_all()
    return handle


def _steps(folder: Path | str, parts: list[str]) -> list[os.stat_result]:
    """What lies at every step; a NotPlain where one is a link."""
    paths = [Path(folder, *parts[: count + 1]) for count in range(len(parts))]
    found = [os.lstat(path) for path in paths]
    for path, status in zip(paths, found, strict=True):
        if _is_link(status):
            raise NotPlain("a symbolic link", path)
    return found


def is_link(entry: Path | os.DirEntry[str]) -> bool:
    """Whether it leads elsewhere: a symbolic link, or one of Windows' junctions."""
    return entry.is_symlink() or bool(getattr(entry, "is_junction", bool)())


def _is_link(status: os.stat_result) -> bool:
    """A symbolic link, or what Windows has beside them: junctions and mounts."""
    reparses = getattr(status, "st_file_attributes", 0) & stat.FILE_ATTRIBUTE_REPARSE_POINT
    return stat.S_ISLNK(status.st_mode) or bool(reparses)


_position = threading.Lock()


def read_at(handle: int, count: int, offset: int) -> bytes:
    """`count` bytes of a file, fewer at its end, wherever others are reading."""
    if hasattr(os, "pread"):
        return os.pread(handle, count, offset)
    with _position:
        os.lseek(handle, offset, os.SEEK_SET)
        data = b""
        while len(data) < count and (more := os.read(handle, count - len(data))):
            data += more
        return data


# -- writing files ----------------------------------------------------------------------------------------------


def open_own(path: Path | str, *flags: str) -> int:
    """A descriptor of a plain file, for reading and writing, made if need be; NotPlain where it is a link, has other
    names elsewhere (hard links), or is no file. `flags`: such as O_APPEND."""
    check_own(path)
    names = ("O_RDWR", "O_CREAT", "O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_NOINHERIT", "O_BINARY", *flags)
    chosen = 0
    for name in names:
        chosen |= getattr(os, name, 0)
    handle = _checked(os.open(path, chosen, 0o666), path)
    if os.fstat(handle).st_nlink > 1:
        os.close(handle)
        raise NotPlain(SEVERAL_NAMES, path)
    return handle


def open_new(path: Path | str) -> int:
    """A descriptor of a file that was not there before, for reading and writing, by this user alone."""
    names = ("O_RDWR", "O_CREAT", "O_EXCL", "O_NOFOLLOW", "O_CLOEXEC", "O_NOINHERIT", "O_BINARY")
    chosen = 0
    for name in names:
        chosen |= getattr(os, name, 0)
    return os.open(path, chosen, 0o600)


def check_own(path: Path | str, *, folder: bool = False) -> None:
    """NotPlain where there is something else than a plain file (or folder) of this name and no other."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return
    if _is_link(status):
        raise NotPlain("a symbolic link", path)
    if folder:
        if not stat.S_ISDIR(status.st_mode):
            raise NotPlain("a file", path)
    elif not stat.S_ISREG(status.st_mode):
        raise NotPlain("a folder" if stat.S_ISDIR(status.st_mode) else "a device or a pipe", path)
    elif status.st_nlink > 1:
        raise NotPlain(SEVERAL_NAMES, path)


PATIENCE = 2.0
"""Seconds for which Windows may refuse to replace a file that a virus scanner or an indexer has open."""


def set_permissions(handle: int, path: Path) -> None:
    """Give a new file the permissions of the one at `path`, or those that it would get there."""
    if not hasattr(os, "fchmod"):
        return
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError:
        mask = os.umask(0)
        os.umask(mask)
        mode = 0o666 & ~mask
    os.fchmod(handle, mode)


def replace(source: Path | str, target: Path | str) -> None:
    """Move a file that nobody has open into the place of another."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            os.replace(source, target)
            return
        except PermissionError:
            if not IS_WINDOWS or os.path.isdir(target) or time.monotonic() > deadline:
                raise
        time.sleep(0.02)


def sync_folder(folder: Path) -> None:
    """Make a rename in this folder outlast a power cut, where folders can be opened (not on Windows)."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def begin_writing(handle: int, start: int, length: int) -> None:
    """Bring these bytes of a file to the disk before `fsync` waits for them, where the system can be told to begin."""
    with contextlib.suppress(OSError, AttributeError):  # Linux begins with pages that are not needed any more
        os.posix_fadvise(handle, start, length, os.POSIX_FADV_DONTNEED)


def optional_module(name: str) -> Any:
    """A module that only some systems have."""
    with contextlib.suppress(ImportError):
        return importlib.import_module(name)
    return None
