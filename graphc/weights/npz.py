"""NumPy's .npz, read with the suspicion that a downloaded file deserves: data and weights come this way.

Only wanted arrays are read, into memory of their known size; the list of members and the headers are bounded before
they are parsed, sizes are compared before a byte is unpacked, and nothing is ever unpickled.
"""

from __future__ import annotations

import io
import math
import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Any, BinaryIO

from graphc.errors import WeightsError, clipped
from graphc.lazy import np
from graphc.types import Array
from graphc.weights.file import Entry, Layout, check_array, check_floats
from graphc.weights.floats import FLOATS

MAX_HEADER = 10_000
LITERAL = re.compile(
    r"""(?:[\s{}()\[\],:]|True|False|None|-?\d+L?(?!\d)|'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")*""", re.ASCII | re.DOTALL
)
"""A header: Python's literals, and no operations, of which its parser takes thousands within each other for a want of
memory."""
MAX_AXES, MAX_AXIS = 64, 2**63 - 1
"""NumPy's."""
PART = 1 << 20
"""Bytes that are read at once."""
MAX_DIRECTORY = 16 * 2**20
"""Bytes of the list of members: of 200,000 members, which take 200 MB of memory."""
LOCATOR = 20
"""Bytes that stand between the two forms of an archive's end, where it has the larger one."""
LARGE_END = struct.Struct("<40xQ8x")
"""The larger form: the bytes of the list of members."""
BFLOAT16 = "V2"
"""NumPy's kind and size of bfloat16, which it writes as two bytes of its own."""
BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError, KeyError, struct.error)
"""What zipfile raises for a damaged file (NotImplementedError is a RuntimeError)."""
LONGEST = 100
"""Letters of what NumPy says, which may repeat the header."""
LOCAL_HEADER = struct.Struct("<4s22xHH")
"""Before a member: signature, and the lengths of its name and extra field."""


class NpzError(Exception):
    """What is wrong with an archive or an array of it; whoever reads it says it with a code and a place."""


class NotReadable(NpzError):
    """No archive, no array, or a damaged one."""


class WrongNames(NpzError):
    """Members that nobody can tell apart, or that are named like paths."""


class TooLarge(NpzError):
    """A part beyond its bound."""


class WrongSize(NpzError):
    """Other bytes than the shape takes."""


@dataclass(frozen=True, slots=True)
class Header:
    """What stands before an array's bytes."""

    length: int
    """Bytes up to the array's."""
    dtype: Any
    fortran: bool
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        return int(self.dtype.itemsize) * math.prod(self.shape)


class Archive:
    """The arrays of an open file: `header(name)` before `read(name)`."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._left = max(file.seek(0, io.SEEK_END), MAX_HEADER)
        """Bytes of headers: those that were unpacked are no more than the file's own, however well they compress."""
        try:
            check_directory(file)
            self._zip = zipfile.ZipFile(file)
            check_members(self._zip)
        except BROKEN as error:
            raise NotReadable(f"expected an .npz file, found {_said(error)}") from None
        self.members: dict[str, zipfile.ZipInfo] = {}
        for info in self._zip.infolist():
            name = info.filename.removesuffix(".npy")
            if name in self.members:
                raise WrongNames(f"the array {name!r} is there twice")
            if name.startswith(("/", "\\")) or ".." in name.split("/"):
                raise WrongNames(f"the array {name!r} is named like a path outside the file")
            self.members[name] = info
        self._headers: dict[str, Header] = {}

    def header(self, name: str) -> Header:
        """Of an array; an NpzError where it cannot be read."""
        if name not in self._headers:
            try:
                with self._zip.open(self.members[name]) as member:
                    self._headers[name] = _header(member)
            except BROKEN as error:
                raise NotReadable(f"the array is damaged or cut off: {_said(error)}") from None
            self._left -= self._headers[name].length
            if self._left < 0:
                raise TooLarge("expected headers of arrays that take no more than the file, found larger ones")
        return self._headers[name]

    def read(self, name: str) -> Array:
        """The array, of any shape, in its own type and in C order; an NpzError where it is damaged or the file has
        other bytes for it than its shape takes, which is seen before one is unpacked."""
        header, info = self.header(name), self.members[name]
        if header.dtype.hasobject:
            raise NotReadable("object arrays are refused")
        if info.file_size != header.length + header.nbytes:
            raise WrongSize(f"expected {header.length + header.nbytes:,} bytes for its shape, found {info.file_size:,}")
        try:
            with self._zip.open(info) as member:
                member.read(header.length)
                return _values(member, header)
        except BROKEN as error:
            raise NotReadable(f"the array is damaged or cut off: {_said(error)}") from None

    def start(self, name: str) -> int:
        """Where the bytes of an array begin in the file, in which they are stored as they are; an NpzError where they
        are not, or are cut off."""
        header, info = self.header(name), self.members[name]
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
            raise NotReadable("only arrays that are not compressed can be mapped (np.savez writes such)")
        whole = header.length + header.nbytes
        if not header.nbytes or not info.file_size == info.compress_size == whole:
            raise WrongSize(f"expected {whole:,} bytes for its shape, found {info.file_size:,}")
        self._file.seek(info.header_offset)
        local = self._file.read(LOCAL_HEADER.size)
        if len(local) < LOCAL_HEADER.size or local[:4] != b"PK\x03\x04":
            raise NotReadable("the archive is damaged")
        _, names, extra = LOCAL_HEADER.unpack(local)
        start = int(info.header_offset + LOCAL_HEADER.size + names + extra + header.length)
        if start + header.nbytes > self._file.seek(0, io.SEEK_END):
            raise WrongSize(f"the header announces {header.nbytes:,} bytes, the file ends before")
        return start


def array_of(file: BinaryIO) -> tuple[Header, Callable[[], Array]]:
    """(header, how its values [...] are read) of a .npy file; an NpzError where it is none, or holds other bytes than
    the shape takes, so that a header alone claims no memory."""
    header = _header(file)
    there = file.seek(0, io.SEEK_END) - header.length
    if there != header.nbytes and not header.dtype.hasobject:
        raise WrongSize(f"the header announces {header.nbytes:,} bytes, found {there:,}")

    def read() -> Array:
        file.seek(header.length)
        try:
            return _values(file, header)
        except BROKEN as error:
            raise NotReadable(f"the array is damaged or cut off: {_said(error)}") from None

    return header, read


def _values(member: IO[bytes], header: Header) -> Array:
    """What follows the header, in memory of its size: an array in C order, also where the file has it in Fortran's."""
    data = np.empty(header.shape, header.dtype)
    if header.fortran and data.ndim > 1:
        part = np.empty(max(PART // max(data.itemsize, 1), 1), data.dtype)
        for start in range(0, data.size, len(part)):
            some = part[: data.size - start]
            _fill(member, some)
            data.T.flat[start : start + len(some)] = some
    else:
        _fill(member, data.reshape(-1))
    if member.read(1):  # which also checks the member's checksum
        raise ValueError("the data go on after the array's end")
    return data


def _header(member: IO[bytes]) -> Header:
    start = member.read(8)
    if len(start) < 8 or start[:6] != b"\x93NUMPY" or start[6] not in (1, 2, 3) or start[7]:
        raise NotReadable("expected a NumPy array, found something else")
    width = 2 if start[6] == 1 else 4
    length = int.from_bytes(member.read(width), "little")
    if length > MAX_HEADER:
        raise TooLarge(f"expected a header of at most {MAX_HEADER:,} bytes, found {length:,}")
    said = member.read(length)
    if LITERAL.fullmatch(said.decode("latin-1")) is None:
        raise NotReadable("the array's header cannot be read: expected a dictionary of literals")
    text = io.BytesIO(length.to_bytes(width, "little") + said)
    numpy = np.lib.format
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of headers that Python 2 wrote
            shape, fortran, dtype = (numpy.read_array_header_1_0 if width == 2 else numpy.read_array_header_2_0)(text)
    except MemoryError:
        raise
    except Exception as error:  # NumPy reads it with Python's tokenizer and parser, which have errors of their own
        found = str(error.args[0] if error.args else error).splitlines() or [type(error).__name__]
        raise NotReadable(f"the array's header cannot be read: {found[0][:LONGEST]}") from None
    if len(shape) > MAX_AXES or any(type(axis) is not int or not 0 <= axis <= MAX_AXIS for axis in shape):
        raise NotReadable(f"the header announces the shape {clipped(shape)} of {dtype}")
    return Header(8 + width + length, dtype, fortran, shape)


CODES = {NotReadable: "G301", WrongNames: "G302", TooLarge: "G304", WrongSize: "G303"}


class NpzFile:
    """The weights of an open .npz file."""

    format = "NumPy archive"
    writer: str | None = None
    layout: Layout | None = None
    in_order = True
    nested = False

    def __init__(self, file: BinaryIO, path: str) -> None:
        self.path = path
        self.metadata: Mapping[str, str] = {}
        try:
            self._archive = Archive(file)
        except NpzError as error:
            raise WeightsError(CODES[type(error)], f"{path}: {error}") from None
        for name in self.names:
            check_array(path, name, ())

    @property
    def names(self) -> list[str]:
        return list(self._archive.members)

    def entry(self, name: str) -> Entry:
        """Shape and type of an array; its header is read when it is first asked for."""
        try:
            header = self._archive.header(name)
        except NpzError as error:
            raise self._wrong(name, error) from None
        check_array(self.path, name, header.shape)
        return Entry(header.shape, "object" if header.dtype.hasobject else _type(header.dtype))

    def read(self, name: str) -> Array:
        """The array, of any shape, as float32."""
        entry = self.entry(name)
        check_floats(self.path, name, entry)
        try:
            array = self._archive.read(name)
        except NpzError as error:
            raise self._wrong(name, error) from None
        kind = FLOATS[entry.dtype]
        return kind.as_float32(array.view(f"{array.dtype.str[0].replace('|', '<')}{kind.stored}"))

    def _wrong(self, name: str, error: NpzError) -> WeightsError:
        return WeightsError(CODES[type(error)], f"{self.path}: {name}: {error}")


def _type(dtype: Any) -> str:
    if dtype.names is not None or dtype.subdtype is not None:  # fields, or axes in the type: numbers of none
        return str(dtype.name)
    if f"{dtype.kind}{dtype.itemsize}" == BFLOAT16:
        return "bfloat16"
    return str(dtype.newbyteorder("="))


def check_directory(file: BinaryIO) -> None:
    """A ValueError where the list of members is larger than any honest one."""
    size = file.seek(0, 2)
    start = max(0, size - 22 - 65535)
    file.seek(start)
    tail = file.read()
    found = tail.rfind(b"PK\x05\x06")
    if found < 0 or len(tail) < found + 22:
        raise ValueError("no zip archive")
    (length,) = struct.unpack_from("<I", tail, found + 12)
    large = found - LOCATOR - LARGE_END.size
    if large >= 0 and tail[found - LOCATOR :].startswith(b"PK\x06\x07"):
        length = max(length, LARGE_END.unpack_from(tail, large)[0])
    if length > MAX_DIRECTORY:
        raise ValueError(f"a list of members of {length:,} bytes")


def check_members(archive: zipfile.ZipFile) -> None:
    """A ValueError where a member is compressed in another way than by deflate, the only one that is unpacked in
    parts: of the others a few bytes become gigabytes."""
    for info in archive.infolist():
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"members compressed by method {info.compress_type}, neither stored nor deflated")


def _fill(member: IO[bytes], data: Array) -> None:
    """Exactly the bytes of `data`, which has one axis."""
    view = data.view(np.uint8)
    position = 0
    while position < view.size:
        part = member.read(min(view.size - position, PART))
        if not part:
            raise EOFError("the data end early")
        view[position : position + len(part)] = np.frombuffer(part, np.uint8)
        position += len(part)


def _said(error: BaseException) -> str:
    return str(error).strip("'\"") or type(error).__name__


def write_npz(file: BinaryIO, arrays: Mapping[str, Array]) -> None:
    """The same arrays, of any shape, give the same bytes: members carry no time."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            info = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))
            with archive.open(info, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
