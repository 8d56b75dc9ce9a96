"""Zip and tar archives, read in place: nothing is unpacked, and worker processes share no file position."""

from __future__ import annotations

import os
import struct
import tarfile
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path

from graphc.data.images import SUFFIXES
from graphc.data.npz import LOCAL_HEADER
from graphc.data.reading import open_regular
from graphc.data.stored import LARGEST_FILE
from graphc.errors import DataError, Place
from graphc.files import shown
from graphc.system import read_at

MOST_MEMBERS = 20_000_000


@dataclass(frozen=True, slots=True)
class Member:
    """Where a file lies in an archive."""

    offset: int
    """Of a zip: of its local header."""
    stored: int
    """Bytes in the archive."""
    size: int
    """Bytes of the file."""
    deflated: bool = False
    zipped: bool = False
    crc: int = 0


@dataclass(frozen=True, slots=True)
class Archive:
    """The images of an archive, by name."""

    path: Path
    members: dict[str, Member]
    _handles: dict[int, int] = field(default_factory=dict, compare=False)

    def read(self, name: str) -> bytes:
        member = self.members[name]
        if member.size > LARGEST_FILE or member.stored > LARGEST_FILE:
            raise self._broken(name, f"the file has {member.size:,} bytes, the limit is {LARGEST_FILE:,}")
        start = member.offset
        if member.zipped:
            signature, names, extra = LOCAL_HEADER.unpack(self._bytes(name, start, LOCAL_HEADER.size))
            if signature != b"PK\x03\x04":
                raise self._broken(name, "the archive is damaged: expected a member, found something else")
            start += LOCAL_HEADER.size + names + extra
        data = self._bytes(name, start, member.stored)
        if member.deflated:
            data = self._inflated(name, data, member.size)
        if member.zipped and zlib.crc32(data) != member.crc:
            raise self._broken(name, "the archive is damaged: the checksum is another")
        return data

    def size(self, name: str) -> int:
        return self.members[name].size

    def shown(self, name: str) -> str:
        return f"{shown(self.path)}[{shown(name)}]"

    def _inflated(self, name: str, data: bytes, size: int) -> bytes:
        """At most one byte more than the directory announces, whatever the stream would give."""
        try:
            found = zlib.decompressobj(-15).decompress(data, size + 1)
        except zlib.error as error:
            raise self._broken(name, f"the archive is damaged: {error}") from None
        if len(found) != size:
            raise self._broken(name, f"the archive announces {size:,} bytes, found {len(found):,} or more")
        return found

    def _bytes(self, name: str, offset: int, count: int) -> bytes:
        handle = self._handles.get(os.getpid())
        if handle is None:
            with open_regular(self.path) as file:
                handle = self._handles[os.getpid()] = os.dup(file.fileno())
        data = read_at(handle, count, offset)
        if len(data) != count:
            raise self._broken(name, f"the archive is cut off: expected {count:,} bytes, found {len(data):,}")
        return data

    def _broken(self, name: str, message: str) -> DataError:
        return DataError("G406", message, Place(self.shown(name)))


def open_archive(path: Path) -> Archive:
    """The images of a .zip, or of a .tar that is not compressed."""
    with open_regular(path) as file:
        zipped = zipfile.is_zipfile(file)
    members = _zip_members(path) if zipped else _tar_members(path)
    members = {name: each for name, each in members.items() if _is_image(name)}
    return Archive(path, members)


def _is_image(name: str) -> bool:
    hidden = any(part.startswith((".", "__MACOSX")) for part in name.split("/"))
    return name.lower().endswith(SUFFIXES) and not hidden


def _zip_members(path: Path) -> dict[str, Member]:
    found = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if info.is_dir():
                    continue
                if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    message = "expected members that are stored or deflated, found another compression or a password"
                    raise DataError("G401", message, Place(f"{shown(path)}[{shown(info.filename)}]"))
                deflated = info.compress_type == zipfile.ZIP_DEFLATED
                sizes = (info.header_offset, info.compress_size, info.file_size)
                found[info.filename] = Member(*sizes, deflated, True, info.CRC)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error) as error:
        raise DataError("G401", f"the archive is damaged: {error}", Place(shown(path))) from None
    return found


def _tar_members(path: Path) -> dict[str, Member]:
    """Regular files only: links and devices of a tar are passed over."""
    found = {}
    try:
        with tarfile.open(path, "r:") as archive:
            for info in archive:
                if info.isreg():
                    found[info.name.removeprefix("./")] = Member(info.offset_data, info.size, info.size)
                if len(found) > MOST_MEMBERS:
                    raise DataError("G407", f"more than {MOST_MEMBERS:,} files", Place(shown(path)))
    except (tarfile.TarError, OSError, ValueError, EOFError) as error:
        what = "expected a zip, or a tar that is not compressed (a compressed one cannot be read in place)"
        raise DataError("G401", f"{what}: {error}", Place(shown(path))) from None
    return found
