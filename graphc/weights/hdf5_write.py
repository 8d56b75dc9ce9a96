"""HDF5 as its first version has it, written: groups, arrays of float32, lists of names as attributes.

A group's members lie in one leaf of its tree, whose size the beginning of the file says: so no tree has to be balanced.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

from graphc.lazy import np
from graphc.types import Array
from graphc.weights.hdf5 import SIGNATURE

NOWHERE = 2**64 - 1
SUPERBLOCK = 96
SPACE, DATATYPE, LAYOUT, ATTRIBUTE, MEMBERS = 1, 3, 8, 12, 17
"""Numbers of messages."""
ENTRY = struct.Struct("<QQI20x")
"""Of a group: where its name and its member are."""
HALF = 16
"""Of the children of a tree's node; a node has twice as many."""
FLOAT = struct.pack("<4BIHH4BI", 0x11, 0x20, 31, 0, 4, 0, 32, 23, 8, 0, 23, 127)
"""float32, little-endian: where sign, exponent and mantissa are."""
MOST_BYTES = 60_000
"""Of a list of names in one attribute, which 64 KiB bound: longer ones are cut into parts, as Keras does."""


class Hdf5Writer:
    """A file in memory; members are written before their groups, the root group last."""

    def __init__(self, largest_group: int) -> None:
        self._data = bytearray(SUPERBLOCK)
        self._half_leaf = max(4, (largest_group + 1) // 2)

    def array(self, array: Array) -> int:
        """Where an array of any shape, as float32, comes to lie."""
        raw = np.ascontiguousarray(array, np.dtype("<f4"))
        start = self._put(raw.tobytes()) if raw.size else NOWHERE
        place = struct.pack("<BBQQ", 3, 1, start, raw.nbytes)
        return self._header([(SPACE, _space(array.shape)), (DATATYPE, FLOAT), (LAYOUT, place)])

    def group(self, members: Mapping[str, int], names: Mapping[str, Sequence[str]]) -> int:
        """A group of what was written; `names`: lists of names by the attribute's."""
        ordered = sorted(members.items(), key=lambda item: item[0].encode())
        heap, starts = bytearray(8), {}
        for name, _ in ordered:
            starts[name] = len(heap)
            heap += _padded(name.encode() + b"\0")
        heap_at = self._put(b"HEAP" + struct.pack("<I3Q", 0, len(heap), 1, self._put(bytes(heap))))
        entries = b"".join(ENTRY.pack(starts[name], address, 0) for name, address in ordered)
        leaf = (b"SNOD" + struct.pack("<BxH", 1, len(ordered)) + entries).ljust(
            8 + 2 * self._half_leaf * ENTRY.size, b"\0"
        )
        last = starts[ordered[-1][0]] if ordered else 0
        node = b"TREE" + struct.pack("<BBH5Q", 0, 0, 1, NOWHERE, NOWHERE, 0, self._put(leaf), last)
        tree_at = self._put(node.ljust(24 + 8 * (4 * HALF + 1), b"\0"))
        attributes = [(ATTRIBUTE, each) for name, texts in names.items() for each in _attributes(name, texts)]
        return self._header([(MEMBERS, struct.pack("<QQ", tree_at, heap_at)), *attributes])

    def whole(self, root: int) -> bytes:
        """The file, whose root group was written there."""
        sizes = struct.pack("<8BHHI", 0, 0, 0, 0, 0, 8, 8, 0, self._half_leaf, HALF, 0)
        places = struct.pack("<4Q", 0, NOWHERE, len(self._data), NOWHERE)
        self._data[:SUPERBLOCK] = SIGNATURE + sizes + places + ENTRY.pack(0, root, 0)
        return bytes(self._data)

    def _put(self, data: bytes) -> int:
        self._data += bytes(-len(self._data) % 8)
        self._data += data
        return len(self._data) - len(data)

    def _header(self, messages: Sequence[tuple[int, bytes]]) -> int:
        body = b"".join(struct.pack("<HHB3x", kind, len(_padded(each)), 0) + _padded(each) for kind, each in messages)
        return self._put(struct.pack("<BxHII4x", 1, len(messages), 1, len(body)) + body)


def _attributes(name: str, texts: Sequence[str]) -> list[bytes]:
    """Names of one length, in one attribute, or in several whose names are numbered."""
    width = max([1, *(len(each.encode()) for each in texts)])
    count = max(1, MOST_BYTES // width)
    if len(texts) <= count:
        return [_attribute(name, texts, width)]
    parts = [texts[start : start + count] for start in range(0, len(texts), count)]
    return [_attribute(f"{name}{number}", part, width) for number, part in enumerate(parts)]


def _attribute(name: str, texts: Sequence[str], width: int) -> bytes:
    kind = struct.pack("<4BI", 0x13, 1, 0, 0, width)
    parts = [name.encode() + b"\0", kind, _space((len(texts),))]
    head = struct.pack("<BxHHH", 1, *map(len, parts))
    return head + b"".join(map(_padded, parts)) + b"".join(each.encode().ljust(width, b"\0") for each in texts)


def _space(shape: tuple[int, ...]) -> bytes:
    return struct.pack("<BB6x", 1, len(shape)) + b"".join(struct.pack("<Q", size) for size in shape)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 8)
