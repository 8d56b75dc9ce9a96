"""Reading and writing files so that nothing is read past its limit and nothing is left half-written."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from graphc.errors import GraphcError, MachineError, Place, SpecError

ADVICE = {
    errno.ENOSPC: "the disk is full: free some space or write elsewhere",
    errno.EDQUOT: "the disk quota is used up: free some space or write elsewhere",
    errno.EFBIG: "the file would be larger than is allowed here: write elsewhere",
    errno.EACCES: "no permission: choose another place or change its permissions",
    errno.EPERM: "no permission: choose another place or change its permissions",
    errno.EROFS: "the file system is read-only: choose another place",
    errno.ENOENT: "the folder does not exist: make it first",
    errno.ENOTDIR: "a part of the path is a file, not a folder",
    errno.EISDIR: "a folder of this name is in the way",
    errno.EMFILE: "too many files are open: raise the limit (ulimit -n)",
}


def machine_error(action: str, path: Path | str, error: OSError) -> MachineError:
    """What the operating system refused, and what to do about it."""
    said = error.strerror or str(error) or type(error).__name__
    advice = ADVICE.get(error.errno or 0, "")
    return MachineError("G502", f"cannot {action} {shown(path)}: {said}", notes=[advice] if advice else [])


def shown(path: Path | str) -> str:
    """A path as text that any terminal can print."""
    return str(path).encode("utf-8", "backslashreplace").decode("utf-8")


def atomic_write(path: Path | str, data: bytes | Callable[[BinaryIO], None]) -> None:
    """Write a file beside `path` and move it there: readers see the old file or the new one, never a part."""
    path = Path(path)
    try:
        _check_place(path)
        with _temporary_beside(path) as (name, file):
            if isinstance(data, bytes):
                file.write(data)
            else:
                data(file)
            file.flush()
            os.fsync(file.fileno())
            os.replace(name, path)
        sync_folder(path.parent)
    except OSError as error:
        raise machine_error("write", path, error) from error


def _check_place(path: Path) -> None:
    """An error where the move would take the place of a device or a pipe: `-o /dev/null`, `-o /dev/stdout`."""
    is_stream = path.is_symlink() and str(path.readlink()).startswith("/proc/")
    if is_stream or (path.exists() and not path.is_file() and not path.is_dir()):
        raise MachineError("G502", f"cannot write {shown(path)}: it is a device or a pipe; name a file")


@contextlib.contextmanager
def _temporary_beside(path: Path) -> Iterator[tuple[str, BinaryIO]]:
    """A new file in the folder of `path`, with the permissions that `path` has or would get."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name[:100]}.{os.getpid()}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), _mode(path))
            yield name, file
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def _mode(path: Path) -> int:
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask


def sync_folder(folder: Path) -> None:
    """Make a rename in this folder outlast a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_limited(
    path: Path | str, limit: int, error: type[GraphcError] = SpecError, code: str = "G101", dir_fd: int | None = None
) -> bytes:
    """The bytes of a regular file of at most `limit` bytes; `error` where it is none, or larger.

    A path below `dir_fd` must not be a symbolic link. Devices and pipes are refused without being read.
    """
    try:
        follow = 0 if dir_fd is None else os.O_NOFOLLOW
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | follow, dir_fd=dir_fd)
    except ValueError:
        raise error(code, f"the path {str(path)!r} holds a NUL character") from None
    except (FileNotFoundError, NotADirectoryError):
        raise error(code, f"there is no file {shown(path)}", Place(shown(path))) from None
    except OSError as problem:
        if problem.errno in (errno.ELOOP, errno.ENAMETOOLONG):
            raise error(code, f"cannot read {shown(path)}: {problem.strerror}") from None
        raise machine_error("read", path, problem) from None
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            what = "a folder" if stat.S_ISDIR(status.st_mode) else "a device or a pipe"
            raise error(code, f"expected a file, found {what}", Place(shown(path)))
        if status.st_size <= limit:
            with os.fdopen(handle, "rb", closefd=False) as file:
                data = file.read(limit + 1)
            if len(data) <= limit:
                return data
        size = max(status.st_size, limit + 1)
        raise error(code, f"the file has {size:,} bytes, the limit is {limit:,}", Place(shown(path)))
    except OSError as problem:
        raise machine_error("read", path, problem) from None
    finally:
        os.close(handle)
