"""Zip and tar archives, read in place: nothing is unpacked, and worker processes share no file position."""

from __future__ import annotations

import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path

from graphc.data.class_folders import Tree
from graphc.data.left_out import LeftOut, Why
from graphc.data.reading import LARGEST_FILE, open_regular
from graphc.data.tars import Handles, tar_members
from graphc.errors import DataError, Place, did_you_mean
from graphc.files import shown
from graphc.weights.npz import LOCAL_HEADER

MOST_MEMBERS = 20_000_000
DEEPEST = 64
"""Parts that a name may have: folders, and the file."""
UTF_8 = 0x800
"""The flag of a zip's member whose name is in UTF-8."""
METHODS = {9: "deflate64", 12: "bzip2", 14: "LZMA", 93: "zstd", 95: "xz"}
"""Ways to compress a zip's member that are not read in place."""
COMPRESSED = {
    b"\x1f\x8b": "one compressed with gzip",
    b"BZh": "one compressed with bzip2",
    b"\xfd7zXZ": "one compressed with xz",
    b"\x28\xb5\x2f\xfd": "one compressed with zstd",
    b"7z\xbc\xaf\x27\x1c": "a 7z",
    b"Rar!": "a rar",
}
"""What files begin with that are other archives."""


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
    unreadable: str = ""
    """Why it cannot be read."""


@dataclass(frozen=True, slots=True)
class Archive:
    """The files of an archive, by name."""

    path: Path
    members: dict[str, Member]
    folders: list[str] = field(default_factory=list)
    """That have a member of their own, empty ones too."""
    left: LeftOut = field(default_factory=LeftOut, compare=False)
    """What is neither a file nor a folder."""
    _handles: Handles = field(default_factory=Handles, compare=False)

    def read(self, name: str) -> bytes:
        member = self.members[name]
        if member.unreadable:
            raise self._broken(name, member.unreadable)
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

    def tree(self, inside: str = "") -> Tree:
        """What lies in one of its folders, which ends with `/`; paths from there."""
        files = [name.removeprefix(inside) for name in self.members if name.startswith(inside)]
        if inside and not files:
            folders = [folder for folder in self.tree().folders if "/" not in folder]
            message = f"inside: expected a folder of the archive, found {inside.rstrip('/')!r}"
            hint = did_you_mean(inside.rstrip("/"), folders)
            some = ", ".join(map(shown, sorted(folders)[:10])) or "none"
            raise DataError("G403", message + hint, Place(shown(self.path)), [f"its folders: {some}"])
        folders = [name.removeprefix(inside) for name in self.folders if name.startswith(inside)]
        every = dict.fromkeys(each for path in files for each in _folders_of(path))
        return Tree(files, list(every | dict.fromkeys(each for path in folders for each in (*_folders_of(path), path))))

    def check(self, names: Iterable[str]) -> None:
        """An error where one of these files cannot be read."""
        bad = [name for name in names if self.members[name].unreadable]
        if bad:
            more = f" ({len(bad):,} such files)" if len(bad) > 1 else ""
            notes = ["`bad_files: skip` leaves out and counts what cannot be read"]
            raise DataError("G406", self.members[bad[0]].unreadable + more, Place(self.shown(bad[0])), notes)

    def size(self, name: str) -> int:
        return self.members[name].size

    def shown(self, name: str) -> str:
        return f"{shown(self.path)}[{shown(name)}]"

    def hints(self, name: str) -> list[str]:
        return []

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
        return self._handles.of(self.path).read(count, offset, partial(self.shown, name))

    def _broken(self, name: str, message: str) -> DataError:
        return DataError("G406", message, Place(self.shown(name)))


def _folders_of(path: str) -> list[str]:
    """The folders that a path leads through."""
    parts = path.split("/")[:-1]
    return ["/".join(parts[: length + 1]) for length in range(len(parts))]


def open_archive(path: Path) -> Archive:
    """The files of a .zip, or of a .tar that is not compressed."""
    with open_regular(path) as file:
        start = file.read(tarfile.BLOCKSIZE)
        zipped = not _is_tar(start) and zipfile.is_zipfile(file)
    if not zipped and (how := next((how for sign, how in COMPRESSED.items() if start.startswith(sign)), None)):
        message = f"expected a zip, or a tar that is not compressed, found {how}: it cannot be read in place"
        raise DataError("G401", message, Place(shown(path)), notes=["unpack it, or pack it anew as a zip"])
    archive = Archive(path, {})
    (_read_zip if zipped else _read_tar)(archive)
    return archive


def _is_tar(start: bytes) -> bool:
    """Whether a file begins as a tar does; one may have a zip as its last member."""
    try:
        return not start.startswith(b"PK") and bool(tarfile.TarInfo.frombuf(start, "utf-8", "surrogateescape").name)
    except (tarfile.TarError, ValueError):
        return False


def _refuse_overlaps(spans: list[tuple[int, int]]) -> None:
    """A BadZipFile where two members (offset, bytes) share some of the file: few bytes would be many images."""
    spans.sort()
    for (start, size), (following, _) in pairwise(spans):
        if start + LOCAL_HEADER.size + size > following:
            raise zipfile.BadZipFile(f"members that overlap at byte {following:,}")


def _read_zip(archive: Archive) -> None:
    try:
        with open_regular(archive.path) as opened, zipfile.ZipFile(opened) as file:
            _refuse_overlaps([(info.header_offset, info.compress_size) for info in file.infolist()])
            for info in file.infolist():
                name = _clean(_zip_name(info, archive.left), archive)
                if name is None:
                    continue
                if info.is_dir() or name.endswith("/"):
                    archive.folders.append(name.rstrip("/"))
                    continue
                deflated = info.compress_type == zipfile.ZIP_DEFLATED
                sizes = (info.header_offset, info.compress_size, info.file_size)
                _add(archive, name, Member(*sizes, deflated, True, info.CRC, _why_not(info)))
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error) as error:
        raise DataError("G401", f"the archive is damaged: {error}", Place(shown(archive.path))) from None


def _zip_name(info: zipfile.ZipInfo, left: LeftOut) -> str:
    """A member's name as it was meant: UTF-8 without the flag that says so (macOS), parts with backslashes (.NET)."""
    name = info.filename
    if not info.flag_bits & UTF_8 and not name.isascii():
        try:
            name = name.encode("cp437").decode("utf-8")
        except UnicodeError:
            left.add(Why.OTHER_LETTERS, name)
    return name if "/" in name.rstrip("/") else name.replace("\\", "/")


def _why_not(info: zipfile.ZipInfo) -> str:
    """Why a member cannot be read; nothing where it can."""
    if info.flag_bits & 1:
        return "the file is encrypted: unpack the archive with its password"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        how = METHODS.get(info.compress_type, f"method {info.compress_type}")
        return f"expected a file that is stored or deflated, found one compressed by {how}"
    return ""


def _read_tar(archive: Archive) -> None:
    """Regular files, and hard links to them; other links and devices are counted."""
    what = "expected a zip, or a tar that is not compressed (a compressed one cannot be read in place)"
    with open_regular(archive.path) as opened:
        for info in tar_members(opened, archive.path, what):
            name = _clean(info.name, archive)
            if name is None:
                continue
            if info.isdir():
                archive.folders.append(name)
            elif info.isreg():
                why_not = "the file is sparse, which cannot be read in place" if info.issparse() else ""
                _add(archive, name, Member(info.offset_data, info.size, info.size, unreadable=why_not))
            elif info.islnk() and (other := _clean(info.linkname, Archive(archive.path, {}))) in archive.members:
                _add(archive, name, archive.members[other])
            else:
                archive.left.add(Why.LINK, name)
            if len(archive.members) > MOST_MEMBERS:
                raise DataError("G407", f"more than {MOST_MEMBERS:,} files", Place(shown(archive.path)))


def _clean(name: str, archive: Archive) -> str | None:
    """A member's path from the archive's root; None where it leads out of it, which is counted."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if len(parts) > DEEPEST:
        message = f"a name has {len(parts):,} parts, the limit is {DEEPEST}"
        raise DataError("G407", message, Place(shown(archive.path)))
    if ".." in parts:
        archive.left.add(Why.OUTSIDE, name)
        return None
    return "/".join(parts) + ("/" if name.endswith("/") else "") if parts else None


def _add(archive: Archive, name: str, member: Member) -> None:
    """A file; of several with one name the last is read, as programs that unpack do."""
    if name in archive.members:
        archive.left.add(Why.REPEATED, name)
    archive.members[name] = member
