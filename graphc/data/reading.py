"""Opening files that a recipe names: regular files only, and every refusal as graphc's own error."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from graphc.errors import DataError, Place
from graphc.files import machine_error, shown


def open_regular(path: Path | str) -> BinaryIO:
    """A regular file, open for reading; devices, pipes and folders are refused without being read."""
    return os.fdopen(_open(path), "rb")


def read_regular(path: Path | str, limit: int) -> bytes:
    """The bytes of a regular file, at most one more than `limit`."""
    handle = _open(path)
    try:
        data = os.read(handle, min(os.fstat(handle).st_size, limit) + 1)
        while len(data) <= limit and (more := os.read(handle, limit + 1 - len(data))):
            data += more
        return data
    except OSError as error:
        raise machine_error("read", path, error) from None
    finally:
        os.close(handle)


def _open(path: Path | str) -> int:
    """A handle of a regular file."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except ValueError:
        raise DataError("G401", f"the path {str(path)!r} holds a NUL character") from None
    except (FileNotFoundError, NotADirectoryError):
        raise DataError("G401", f"there is no file {shown(path)}", Place(shown(path))) from None
    except OSError as error:
        raise machine_error("read", path, error) from None
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        os.close(handle)
        what = "a folder" if stat.S_ISDIR(mode) else "a device or a pipe"
        raise DataError("G401", f"expected a file, found {what}", Place(shown(path)))
    return handle
