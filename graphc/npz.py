"""NumPy's .npz, read with the suspicion that a downloaded file deserves.

Only wanted arrays are read, into memory of their known size; sizes are compared before a byte is unpacked, headers
are parsed here (NumPy reads a header of any length before it looks at it), and nothing is ever unpickled.
"""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from collections.abc import Mapping
from typing import IO, BinaryIO

from graphc.errors import WeightsError
from graphc.floats import BFLOAT16, FLOAT16, FLOAT32, FLOAT64, NAMES, Float
from graphc.lazy import np
from graphc.types import Array

MAX_HEADER = 10_000
MAX_DIRECTORY = 64 * 2**20
"""Bytes of the list of members."""
FLOATS = {"f2": FLOAT16, "f4": FLOAT32, "f8": FLOAT64, "V2": BFLOAT16}
"""By NumPy's type behind the byte order; it writes bfloat16 as two bytes of its own."""
BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError, KeyError, struct.error)
"""What zipfile raises for a damaged file (NotImplementedError is a RuntimeError)."""


class NpzFile:
    """The arrays of an open file: `shape(name)` before `read(name)`."""

    def __init__(self, file: BinaryIO, path: str) -> None:
        self.path = path
        try:
            check_directory(file)
            self._zip = zipfile.ZipFile(file)
        except BROKEN as error:
            raise WeightsError("G301", f"{path}: expected an .npz file, found {_said(error)}") from None
        self._members: dict[str, zipfile.ZipInfo] = {}
        for info in self._zip.infolist():
            name = info.filename.removesuffix(".npy")
            if name in self._members:
                raise WeightsError("G302", f"{path}: the array {name!r} is there twice")
            if name.startswith(("/", "\\")) or ".." in name.split("/"):
                raise WeightsError("G302", f"{path}: the array {name!r} is named like a path outside the file")
            self._members[name] = info
        self._headers: dict[str, _Header] = {}

    @property
    def names(self) -> list[str]:
        return list(self._members)

    def shape(self, name: str) -> tuple[int, ...]:
        """The array's shape; a WeightsError where it is of other than floating-point numbers."""
        return self._header(name).shape

    def read(self, name: str) -> Array:
        """The array as float32."""
        header = self._header(name)
        info = self._members[name]
        size = header.kind.size * _count(header.shape)
        if info.file_size != header.length + size:
            found = f"{info.file_size:,} bytes"
            raise WeightsError(
                "G303", f"{self.path}: {name}: expected {header.length + size:,} bytes for its shape, found {found}"
            )
        data = np.empty(_count(header.shape), header.order + header.kind.stored)
        try:
            with self._zip.open(info) as member:
                member.read(header.length)
                _fill(member, data)
        except BROKEN as error:
            raise WeightsError("G301", f"{self.path}: {name}: {_said(error)}") from None
        array = data.reshape(header.shape[::-1]).T if header.fortran else data.reshape(header.shape)
        return header.kind.as_float32(array)

    def _header(self, name: str) -> _Header:
        if name not in self._headers:
            try:
                with self._zip.open(self._members[name]) as member:
                    self._headers[name] = _parse(member)
            except WeightsError as error:
                raise WeightsError(error.code, f"{self.path}: {name}: {error.message}") from None
            except BROKEN as error:
                raise WeightsError("G301", f"{self.path}: {name}: {_said(error)}") from None
        return self._headers[name]


class _Header:
    """What stands before an array's bytes."""

    def __init__(self, length: int, kind: Float, order: str, fortran: bool, shape: tuple[int, ...]) -> None:
        self.length = length
        """Bytes up to the array's."""
        self.kind = kind
        self.order = order
        self.fortran = fortran
        self.shape = shape


def _parse(member: IO[bytes]) -> _Header:
    start = member.read(8)
    if start[:6] != b"\x93NUMPY":
        raise WeightsError("G301", "expected a NumPy array, found something else")
    width = 2 if start[6:7] == b"\x01" else 4
    length = int.from_bytes(member.read(width), "little")
    if length > MAX_HEADER:
        raise WeightsError("G304", f"expected a header of at most {MAX_HEADER:,} bytes, found {length:,}")
    text = member.read(length).decode("latin-1")
    kind = re.search(r"'descr':\s*'([^']*)'", text)
    fortran = re.search(r"'fortran_order':\s*(True|False)", text)
    shape = re.search(r"'shape':\s*\(([\d,\s]*)\)", text)
    if kind is None or fortran is None or shape is None:
        raise WeightsError("G301", "its header is not NumPy's")
    if "O" in kind[1]:
        raise WeightsError("G305", f"object array refused: expected {NAMES}")
    order, code = kind[1][:1], kind[1][1:]
    if code not in FLOATS or order not in ("<", ">", "|"):
        raise WeightsError("G305", f"expected {NAMES}, found {_dtype_name(kind[1])}")
    sizes = tuple(int(size) for size in shape[1].split(",") if size.strip())
    return _Header(8 + width + length, FLOATS[code], ">" if order == ">" else "<", fortran[1] == "True", sizes)


def _dtype_name(code: str) -> str:
    try:
        return str(np.dtype(code))
    except (TypeError, ValueError, SyntaxError):  # NumPy parses it with Python's own parser
        return repr(code)


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
    if length > MAX_DIRECTORY:
        raise ValueError(f"a list of members of {length:,} bytes")


def _fill(member: IO[bytes], data: Array) -> None:
    """Exactly the bytes of `data`; reading to the end also checks the member's checksum."""
    view = data.view(np.uint8)
    position = 0
    while position < view.size:
        part = member.read(min(view.size - position, 1 << 24))
        if not part:
            raise EOFError("the data end early")
        view[position : position + len(part)] = np.frombuffer(part, np.uint8)
        position += len(part)
    if member.read(1):
        raise ValueError("the data go on after the array's end")


def _count(shape: tuple[int, ...]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count


def _said(error: BaseException) -> str:
    return str(error).strip("'\"") or type(error).__name__


def write_npz(file: BinaryIO, arrays: Mapping[str, Array]) -> None:
    """The same arrays give the same bytes: members carry no time."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            info = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))
            with archive.open(info, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
