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
LARGEST_HEADER = 1 << 20
"""Bytes of a member's headers together, with the long names and other records that they may have."""
MOST_RECORDS = 1_000
"""Of a member, with those of the archive before it, which tarfile goes through again with each member."""
OPEN = 16
"""Files that a process keeps open at most."""


def tar_members(file: BinaryIO, path: Path, expected: str) -> Iterator[tarfile.TarInfo]:
    """The members of a tar that is not compressed, in their order; none is kept. A DataError where the file is no such
    tar (`expected` says what it should be), is damaged, or ends without the mark of the end, as one that was cut off
    between two members does."""
    where, end, headers = Place(shown(path)), 0, _Headers(file)
    try:
        with tarfile.open(fileobj=headers, mode="r:") as archive:  # type: ignore[call-overload]
            while (info := archive.next()) is not None:
                archive.members = []  # tarfile keeps all that it has seen
                if info.size < 0 or archive.offset <= end:
                    raise tarfile.ReadError(f"a member of {info.size:,} bytes")
                if len(info.pax_headers) > MOST_RECORDS:
                    raise tarfile.ReadError(f"more than {MOST_RECORDS:,} records of a member")
                info.pax_headers = {}
                end, headers.left = archive.offset, LARGEST_HEADER
                yield info
            end = archive.offset
    except (tarfile.TarError, OSError, ValueError, EOFError, RecursionError) as error:
        raise DataError("G401", f"{expected}: {error}", where) from None
    file.seek(end)
    if file.read(BLOCK) != bytes(BLOCK):
        message = f"the archive is damaged or cut off: expected a member or the end of the archive at byte {end:,}"
        raise DataError("G401", message, where)


class _Headers:
    """A file of which headers alone are read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell
        self.left = LARGEST_HEADER
        """Bytes that the next member's headers may take."""

    def read(self, count: int) -> bytes:
        """So many bytes, fewer at the file's end: memory for them is there before they are."""
        if not 0 <= count <= self.left:
            raise tarfile.ReadError(f"headers of more than {LARGEST_HEADER:,} bytes, or of a negative size")
        self.left -= count
        return self._file.read(count)


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
