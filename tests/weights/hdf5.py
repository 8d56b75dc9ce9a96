"""HDF5 by hand, as h5py writes it for Keras, and in its newer form."""

from __future__ import annotations

import struct
from collections.abc import Mapping

import numpy as np

from graphc.weights.lookup3 import lookup3


class H5:
    """HDF5 of the oldest version, as h5py writes it for Keras; at most 32 members of a group."""

    def __init__(self) -> None:
        self.data = bytearray(96)

    def put(self, data: bytes) -> int:
        """Where some bytes come to lie."""
        self.data += bytes(-len(self.data) % 8)
        self.data += data
        return len(self.data) - len(data)

    def header(self, messages: list[tuple[int, bytes]]) -> int:
        body = b"".join(struct.pack("<HHB3x", kind, len(padded(each)), 0) + padded(each) for kind, each in messages)
        return self.put(struct.pack("<BxHII4x", 1, len(messages), 1, len(body)) + body)

    def dataset(self, array: np.ndarray) -> int:
        kinds = {"f2": (15, 10, 5, 10), "f4": (31, 23, 8, 23), "f8": (63, 52, 11, 52)}
        size = array.itemsize
        if array.dtype.kind == "f":
            sign, exponent, bits, mantissa = kinds[array.dtype.str[1:]]
            bias = (1 << (bits - 1)) - 1
            kind = struct.pack("<4BIHH4BI", 0x11, 0x20, sign, 0, size, 0, 8 * size, exponent, bits, 0, mantissa, bias)
        else:
            kind = struct.pack("<4BIHH", 0x10, 8, 0, 0, size, 0, 8 * size)
        place = struct.pack("<BBQQ", 3, 1, self.put(array.tobytes()) if array.size else 2**64 - 1, array.nbytes)
        return self.header([(1, space(array.shape)), (3, kind), (8, place)])

    def group(self, members: Mapping[str, int], texts: Mapping[str, list[str]]) -> int:
        names, starts = bytes(8), {}
        for name in members:
            starts[name] = len(names)
            names += padded(name.encode() + b"\0")
        heap = self.put(b"HEAP" + struct.pack("<I3Q", 0, len(names), 1, self.put(names)))
        entries = b"".join(struct.pack("<QQI20x", starts[name], members[name], 0) for name in sorted(members))
        leaf = self.put((b"SNOD" + struct.pack("<BxH", 1, len(members)) + entries).ljust(8 + 32 * 40, b"\0"))
        last = starts[max(members)] if members else 0
        node = struct.pack("<BBH5Q", 0, 0, 1, 2**64 - 1, 2**64 - 1, 0, leaf, last)
        tree = self.put((b"TREE" + node).ljust(32 + 8 * 16, b"\0"))
        return self.header([(17, struct.pack("<QQ", tree, heap)), *((12, attribute(*each)) for each in texts.items())])

    def whole(self, root: int) -> bytes:
        sizes = struct.pack("<8BHHI", 0, 0, 0, 0, 0, 8, 8, 0, 16, 4, 0)
        places = struct.pack("<4Q", 0, 2**64 - 1, len(self.data), 2**64 - 1)
        self.data[:96] = b"\x89HDF\r\n\x1a\n" + sizes + places + struct.pack("<QQI20x", 0, root, 0)
        return bytes(self.data)


def summed(data: bytes) -> bytes:
    """Bytes, and the checksum that newer forms of HDF5 have behind them."""
    return data + struct.pack("<I", lookup3(data))


def newer_h5(messages: bytes, *more: bytes) -> bytes:
    """HDF5 of the newer form: a superblock, the header of the root, and what follows it."""
    root = summed(b"OHDR" + struct.pack("<BBI", 2, 2, len(messages)) + messages)
    tail = root + b"".join(more)
    return summed(b"\x89HDF\r\n\x1a\n" + struct.pack("<4B4Q", 2, 8, 8, 0, 0, 2**64 - 1, 48 + len(tail), 48)) + tail


def message(kind: int, body: bytes) -> bytes:
    """Of a header of the newer form."""
    return struct.pack("<BHB", kind, len(body), 0) + body


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 8)


def space(sizes: tuple[int, ...]) -> bytes:
    return struct.pack("<BB6x", 1, len(sizes)) + b"".join(struct.pack("<Q", size) for size in sizes)


def attribute(name: str, texts: list[str]) -> bytes:
    """Texts of one length."""
    width = max([1, *(len(each.encode()) for each in texts)])
    parts = [name.encode() + b"\0", struct.pack("<4BI", 0x13, 1, 0, 0, width), space((len(texts),))]
    head = struct.pack("<BxHHH", 1, *map(len, parts))
    return head + b"".join(map(padded, parts)) + b"".join(each.encode().ljust(width, b"\0") for each in texts)
