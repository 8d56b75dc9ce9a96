"""IDX, the format of MNIST: two zero bytes, a type, the number of axes, their lengths, the values; big-endian."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import IO

import numpy as np

from graphc.data.examples import check_memory
from graphc.data.reading import open_regular
from graphc.errors import DataError, Place
from graphc.files import shown
from graphc.types import Array

TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
GZIP_MAGIC = b"\x1f\x8b"
CHUNK = 1 << 20


def read_idx(path: Path, limit: int) -> Array:
    """The array of an IDX file, gzipped or not, of any shape, in the file's dtype. Never reads more than the header
    announces, plus one byte."""
    with open_regular(path) as raw:
        zipped = raw.read(2) == GZIP_MAGIC
        raw.seek(0)
        file: IO[bytes] = gzip.GzipFile(fileobj=raw) if zipped else raw  # type: ignore[assignment]
        try:
            return _read(file, path, limit)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise _broken(path, f"the gzip stream is damaged or cut off ({error})") from None


def _read(file: IO[bytes], path: Path, limit: int) -> Array:
    start = file.read(4)
    if len(start) < 4 or start[:2] != b"\0\0" or start[2] not in TYPES or not 1 <= start[3] <= 8:
        raise _broken(path, f"expected an IDX file, found one that starts with {start.hex(' ') or 'nothing'}")
    axes = start[3]
    lengths = file.read(4 * axes)
    if len(lengths) < 4 * axes:
        raise _broken(path, f"the header announces {axes} axes and ends before their lengths")
    shape = struct.unpack(f">{axes}I", lengths)
    dtype = np.dtype(TYPES[start[2]])
    size = check_memory(shape, dtype.itemsize, limit, shown(path))
    data = _bytes(file, size, path)
    values = np.frombuffer(data, dtype).reshape(shape)
    return values if dtype.isnative else values.byteswap(inplace=True).view(dtype.newbyteorder("="))


def _bytes(file: IO[bytes], size: int, path: Path) -> bytearray:
    """Exactly `size` bytes, in chunks, so that a header that lies costs no more than the file holds."""
    data = bytearray()
    while len(data) < size:
        piece = file.read(min(CHUNK, size - len(data)))
        if not piece:
            raise _broken(path, f"the header announces {size:,} bytes of values, the file holds {len(data):,}")
        data += piece
    if file.read(1):
        raise _broken(path, f"the header announces {size:,} bytes of values, the file holds more")
    return data


def _broken(path: Path, message: str) -> DataError:
    return DataError("G401", message, Place(shown(path)))


def write_idx(path: Path, values: Array) -> None:
    """An IDX file of values of any shape, gzipped where the name ends in .gz (with no time in it, so equal arrays give
    equal files)."""
    kinds = {np.dtype(kind): code for code, kind in TYPES.items()}
    code = kinds[values.dtype.newbyteorder(">")]
    data = struct.pack(f">HBB{values.ndim}I", 0, code, values.ndim, *values.shape)
    data += np.ascontiguousarray(values, values.dtype.newbyteorder(">")).tobytes()
    assert len(data) == 4 + 4 * values.ndim + math.prod(values.shape) * values.itemsize
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
