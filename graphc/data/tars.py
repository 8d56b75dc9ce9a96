"""The members of tar archives, one after the other, without trust in what a header says."""

from __future__ import annotations

import os
import tarfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from graphc.data.reading import open_regular
from graphc.errors import DataError, Place
from graphc.files import machine_error, shown
from graphc.system import read_at

BLOCK = tarfile.BLOCKSIZE
LARGEST_OFFSET = 2**62
"""Bytes, beyond which no system has files."""
OPEN = 16
"""Files that a process keeps open at most."""


def tar_members(file: BinaryIO, path: Path, expected: str) -> Iterator[tarfile.TarInfo]:
    """The members of a tar that is not compressed, in their order; none is kept. A DataError where the file is no such
    tar (`expected` says what it should be), is damaged, or ends without the mark of the end, as one that was cut off
    between two members does."""
    where = Place(shown(path))
    try:
        with tarfile.open(fileobj=file, mode="r:") as archive:
            while (info := archive.next()) is not None:
                archive.members = []  # type: ignore[attr-defined]  # tarfile keeps all that it has seen
                yield info
            end = archive.offset  # type: ignore[attr-defined,unused-ignore]
    except (tarfile.TarError, OSError, ValueError, EOFError, RecursionError) as error:
        raise DataError("G401", f"{expected}: {error}", where) from None
    file.seek(end)
    if file.read(BLOCK) != bytes(BLOCK):
        message = f"the archive is damaged or cut off: expected a member or the end of the archive at byte {end:,}"
        raise DataError("G401", message, where)


class Handle:
    """A descriptor of a file, which is closed with the last one who has it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with open_regular(path) as file:
            self._number = os.dup(file.fileno())

    def __del__(self) -> None:
        if hasattr(self, "_number"):
            os.close(self._number)

    def read(self, count: int, offset: int, where: Callable[[], str]) -> bytes:
        """So many bytes from a place of the file on, whatever others read; where there are fewer a DataError at what
        `where` says, which is asked for then alone."""
        if not 0 <= offset <= LARGEST_OFFSET:
            message = f"the archive is damaged: expected a place in it, found {offset:,}"
            raise DataError("G406", message, Place(where()))
        try:
            data = read_at(self._number, count, offset)
        except OSError as error:
            raise machine_error("read", self._path, error) from None
        if len(data) != count:
            message = f"the archive is cut off: expected {count:,} bytes, found {len(data):,}"
            raise DataError("G406", message, Place(where()))
        return data


class Handles:
    """Descriptors of the last files that were read, of each process its own: workers share no file position."""

    def __init__(self) -> None:
        self._open: OrderedDict[tuple[int, Path], Handle] = OrderedDict()

    def of(self, path: Path) -> Handle:
        """That of a file, opened where need be."""
        key = (os.getpid(), path)
        handle = self._open.pop(key, None) or Handle(path)
        self._open[key] = handle
        while len(self._open) > OPEN:
            self._open.popitem(last=False)
        return handle
