"""Checkpoints of TensorFlow's version 2, written: an index of entries, and one file of raw bytes beside it."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from pathlib import Path

from graphc.errors import WeightsError
from graphc.files import atomic_write, shown, write_parts
from graphc.lazy import np
from graphc.types import Array
from graphc.weights.tensorflow.crc32c import crc32c, masked
from graphc.weights.tensorflow.messages import TYPES
from graphc.weights.tensorflow.table import FOOTER, MAGIC, TRAILER
from graphc.weights.tensorflow.v2 import INDEX

BLOCK = 4096
"""Bytes of keys and values from which on a block is full, as TensorFlow's own."""
HANDLES = FOOTER - len(MAGIC)
FLOAT = next(number for number, name in TYPES.items() if name == "float32")
PRODUCER = 1
"""Version of the form, which the header says."""


def write_checkpoint(path: str | Path, arrays: Mapping[str, Array]) -> None:
    """Arrays of any shape, as float32, at `model.ckpt.index` and beside it; the same arrays give the same bytes."""
    path = Path(path)
    if path.suffix != INDEX:
        raise WeightsError("G300", f"expected a checkpoint's index, NAME{INDEX}, got {shown(path)}")
    entries = {b"": _header()}
    data: list[bytes] = []
    offset = 0
    for name, array in sorted(arrays.items()):
        raw = np.ascontiguousarray(array, np.dtype("<f4")).tobytes()
        entries[name.encode()] = _entry(array.shape, offset, raw)
        data.append(raw)
        offset += len(raw)
    atomic_write(path.with_name(f"{path.name.removesuffix(INDEX)}.data-00000-of-00001"), lambda f: write_parts(f, data))
    atomic_write(path, _table(entries))


def _header() -> bytes:
    """BundleHeaderProto: one file of data, little-endian."""
    return _field(1, 1) + _field(3, _field(1, PRODUCER))


def _entry(shape: tuple[int, ...], offset: int, raw: bytes) -> bytes:
    """BundleEntryProto."""
    sizes = b"".join(_field(2, _field(1, size)) for size in shape)
    place = _field(1, FLOAT) + _field(2, sizes) + (_field(4, offset) if offset else b"") + _field(5, len(raw))
    return place + _varint(6 << 3 | 5) + struct.pack("<I", masked(crc32c(raw)))


def _table(entries: Mapping[bytes, bytes]) -> bytes:
    """LevelDB's: blocks of sorted keys, and one block that says where they are."""
    found = b""
    index: dict[bytes, bytes] = {}
    block: dict[bytes, bytes] = {}
    items = sorted(entries.items())
    for number, (key, value) in enumerate(items):
        block[key] = value
        if sum(len(k) + len(v) for k, v in block.items()) >= BLOCK or number == len(items) - 1:
            made = _block(block.items())
            index[key] = _handle(len(found), made)
            found += made
            block = {}
    handles = b""
    for inner in ({}, index):
        made = _block(inner.items())
        handles += _handle(len(found), made)
        found += made
    return found + handles.ljust(HANDLES, b"\0") + MAGIC


def _block(entries: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Every key whole: none is written without what it shares with the one before."""
    data, starts = b"", []
    for key, value in entries:
        starts.append(len(data))
        data += _varint(0) + _varint(len(key)) + _varint(len(value)) + key + value
    starts = starts or [0]
    data += struct.pack(f"<{len(starts)}I", *starts) + struct.pack("<I", len(starts))
    return data + TRAILER.pack(0, masked(crc32c(data + b"\0")))


def _handle(start: int, block: bytes) -> bytes:
    return _varint(start) + _varint(len(block) - TRAILER.size)


def _field(number: int, value: int | bytes) -> bytes:
    """A field of a protobuf: a number, or a message."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    found = b""
    while value >= 0x80:
        found += bytes([value & 0x7F | 0x80])
        value >>= 7
    return found + bytes([value])
