"""Reading .npz files without trusting them: no pickle, and no size believed before it is checked."""

from __future__ import annotations

import io
import math
import os
import struct
import zipfile
import zlib
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
from numpy.lib import format as npy

from graphc.data.examples import check_memory
from graphc.data.reading import open_regular
from graphc.errors import DataError, Place, clipped, did_you_mean
from graphc.files import shown
from graphc.npz import check_directory
from graphc.types import Array

HEADER_LIMIT = 10_000
CHUNK = 1 << 20
LOCAL_HEADER = struct.Struct("<4s22xHH")
"""Before a member: signature, and the lengths of its name and extra field."""


def read_npz(
    path: Path, names: Iterable[str], limit: int, mapped: bool = False, texts: Collection[str] = ()
) -> dict[str, Array]:
    """The named arrays of a file, of any shape, in their dtypes; an array that is not there is an error that lists
    those that are.

    `texts`: those that may be of texts instead of numbers. `mapped`: arrays stay in the file, and their pages are read
    when they are asked for.
    """
    with open_regular(path) as raw:
        try:
            check_directory(raw)
            archive = zipfile.ZipFile(raw)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error) as error:
            raise _broken(path, f"expected an .npz file (a zip archive): {error}") from None
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        if len(members) < len(archive.infolist()):
            raise _broken(path, "two arrays have the same name")
        arrays: dict[str, Array] = {}
        for name in names:
            if name not in members:
                found = ", ".join(sorted(members)[:10]) or "nothing"
                hint = did_you_mean(name, members)
                raise DataError("G408", f"expected an array {name!r}{hint}, found {found}", Place(shown(path)))
            if mapped:
                arrays[name] = _map_member(raw, members[name], path, name in texts)
                continue
            left = limit - sum(array.nbytes for array in arrays.values())
            arrays[name] = _read_member(archive, members[name], path, left, name in texts)
        return arrays


def read_npy(path: Path) -> Array:
    """The numbers of a .npy file, of any shape, in their dtype. A header alone claims no memory."""
    with open_regular(path) as raw:
        where, size = shown(path), os.fstat(raw.fileno()).st_size
        shape, fortran, dtype = _read_header(raw, where, text=False)
        announced = math.prod(shape) * dtype.itemsize
        if announced != size - raw.tell():
            message = f"the header announces {announced:,} bytes, found {size - raw.tell():,}"
            raise DataError("G401", message, Place(where))
        return _values(raw, shape, fortran, dtype, where)


def _map_member(raw: BinaryIO, info: zipfile.ZipInfo, path: Path, text: bool) -> Array:
    """A member that is stored as it is (`np.savez`, not `np.savez_compressed`), as a map of the file."""
    where = f"{shown(path)}[{info.filename}]"
    if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
        message = "only arrays that are not compressed can be mapped (np.savez writes such)"
        raise DataError("G401", message, Place(where))
    raw.seek(info.header_offset)
    local = raw.read(LOCAL_HEADER.size)
    if len(local) < LOCAL_HEADER.size or local[:4] != b"PK\x03\x04":
        raise DataError("G401", "the archive is damaged", Place(where))
    _, names, extra = LOCAL_HEADER.unpack(local)
    raw.seek(names + extra, io.SEEK_CUR)
    shape, fortran, dtype = _read_header(raw, where, text)
    offset, size = raw.tell(), math.prod(shape) * dtype.itemsize
    if offset + size > raw.seek(0, io.SEEK_END) or not size:
        raise DataError("G401", f"the header announces {size:,} bytes, the file ends before", Place(where))
    return np.memmap(path, dtype, "r", offset, shape, "F" if fortran else "C")


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path, limit: int, text: bool) -> Array:
    where = f"{shown(path)}[{info.filename}]"
    try:
        with archive.open(info) as file:
            return _read_npy(file, where, limit, text)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise DataError("G401", f"the array is damaged or cut off: {error}", Place(where)) from None


def _read_npy(file: IO[bytes], where: str, limit: int, text: bool) -> Array:
    shape, fortran, dtype = _read_header(file, where, text)
    check_memory(shape, dtype.itemsize, limit, where)
    return _values(file, shape, fortran, dtype, where)


def _values(file: IO[bytes], shape: tuple[int, ...], fortran: bool, dtype: Any, where: str) -> Array:
    """The values behind a header, and nothing behind them."""
    data = _exactly(file, math.prod(shape) * dtype.itemsize, where)
    flat = np.frombuffer(data, dtype).astype(dtype.newbyteorder("="), copy=False)
    values = flat.reshape(shape, order="F" if fortran else "C")
    return np.ascontiguousarray(values) if fortran else values


def _read_header(file: IO[bytes], where: str, text: bool) -> tuple[tuple[int, ...], bool, Any]:
    """(shape, whether in Fortran's order, type) of an array whose values follow."""
    start = file.read(8)
    if len(start) < 8 or start[:6] != npy.MAGIC_PREFIX or start[6] not in (1, 2, 3):
        raise DataError("G401", "expected an array in NumPy's format", Place(where))
    width = 2 if start[6] == 1 else 4
    length = int.from_bytes(file.read(width), "little")
    if length > HEADER_LIMIT:
        raise DataError("G401", f"the header has {length:,} bytes, the limit is {HEADER_LIMIT:,}", Place(where))
    header = io.BytesIO(length.to_bytes(width, "little") + file.read(length))
    try:
        read_header = npy.read_array_header_1_0 if start[6] == 1 else npy.read_array_header_2_0
        shape, fortran, dtype = read_header(header)
    except Exception as error:  # NumPy reads it with Python's tokenizer and parser, which have errors of their own
        said = error.args[0] if error.args else error
        raise DataError("G401", f"the array's header cannot be read: {said}", Place(where)) from None
    if dtype.hasobject or dtype.kind not in ("biufUS" if text else "biuf"):
        expected = "numbers or texts" if text else "numbers"
        raise DataError("G401", f"expected {expected}, found {dtype} (object arrays are refused)", Place(where))
    if any(axis < 0 for axis in shape) or not dtype.itemsize:
        raise DataError("G401", f"the header announces the shape {clipped(shape)} of {dtype}", Place(where))
    return shape, fortran, dtype


def _exactly(file: IO[bytes], size: int, where: str) -> bytearray:
    data = bytearray()
    while len(data) < size:
        piece = file.read(min(CHUNK, size - len(data)))
        if not piece:
            raise DataError("G401", f"the header announces {size:,} bytes, found {len(data):,}", Place(where))
        data += piece
    if file.read(1):
        raise DataError("G401", f"the header announces {size:,} bytes, found more", Place(where))
    return data


def _broken(path: Path, message: str) -> DataError:
    return DataError("G401", message, Place(shown(path)))
