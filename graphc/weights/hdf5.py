"""HDF5, as far as Keras writes it: groups, texts beside them, and arrays in one piece; read with every bound.

The format is the one of HDF5's own specification (version 3 of the document). What is not read is an error that says
so: arrays in chunks, groups and attributes in heaps of their own (of thousands of members), and whatever lies in other
files, which are never opened. The library of HDF5 reads damaged files without an end.
"""

from __future__ import annotations

import math
import struct
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from graphc.weights.file import MAX_ENTRIES, MAX_NAME, MAX_RANK
from graphc.weights.lookup3 import lookup3

SIGNATURE = b"\x89HDF\r\n\x1a\n"
NOWHERE = 2**64 - 1
MAX_MESSAGES = 65_536
"""Of an object."""
MAX_HEADER = 16 * 2**20
"""Bytes of an object's header, of a group's names, of a heap of texts."""
MAX_LEVEL = 16
CONTINUATION = b"OCHK"
SUM = 4
"""Bytes of a checksum, which newer forms have."""
SPACE, LINK_INFO, TYPE, LINK, EXTERNAL, LAYOUT = 1, 2, 3, 6, 7, 8
FILTERS, ATTRIBUTE, CONTINUED, TABLE, SHARED = 11, 12, 16, 17, 2
"""Kinds of messages; the last is a flag."""
FLOATS: Mapping[tuple[int, int, int], str] = {
    (2, 5, 10): "float16",
    (2, 8, 7): "bfloat16",
    (4, 8, 23): "float32",
    (8, 11, 52): "float64",
}
"""Bytes of a number, bits of its exponent and of its mantissa."""
FLOAT = struct.Struct("<BBxIHH4BI")
"""Of a type: its order of bytes and whether the mantissa's first bit is written, the place of the sign, bytes of a
number; the first bit and how many there are, places and bits of exponent and mantissa, and the exponent's bias."""
HIDDEN_BIT = 0x20
"""The mantissa's first bit is 1 and not written."""
AGAIN = 2
"""How often each byte of a file may be looked at for what it says of groups, names and arrays; their numbers do not
count. Honest files need every byte once; parts that lie over each other would say much more than the file holds."""


class Hdf5Error(Exception):
    """A file that is not as it should be, or that is not read, in a sentence."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An array, and where its bytes are."""

    shape: tuple[int, ...]
    dtype: str
    order: str
    """Of the bytes of a number: < or >."""
    start: int
    size: int
    inline: bytes | None = None
    """The bytes themselves, where they lie in the header."""


class Node:
    """A group or an array: its messages, of which each part is read when it is asked for."""

    def __init__(self, file: Hdf5, address: int) -> None:
        self.address = address
        self._file = file
        self._messages = list(file.messages(address))
        self._members: dict[str, int] | None = None
        self._attributes: dict[str, tuple[bytes, bytes, bytes]] | None = None
        self._array: Stored | None = None

    @property
    def is_group(self) -> bool:
        """Whether it has members rather than numbers."""
        return not any(kind == SPACE for kind, _ in self._messages)

    def members(self) -> dict[str, int]:
        """Name -> address of what a group holds."""
        if self._members is None:
            self._members = self._read_members()
        return self._members

    def _read_members(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for kind, data in self._messages:
            if kind == TABLE:
                pairs = self._file.table(_number(data, 0, 8), _number(data, 8, 8))
            elif kind == LINK:
                pairs = iter([_link(data)])
            elif kind == LINK_INFO and _number(data, 10 if data[1:2] and data[1] & 1 else 2, 8) != NOWHERE:
                raise Hdf5Error("a group with an index of its own, which is not read")
            else:
                continue
            for name, address in pairs:
                if name in found or len(found) >= MAX_ENTRIES:
                    raise Hdf5Error("two members of a group with one name, or too many")
                found[name] = address
        return found

    def texts(self, name: str) -> list[str] | None:
        """The texts of an attribute; None where there is none of this name."""
        if self._attributes is None:
            self._attributes = {}
            for each, said in (_attribute(data) for kind, data in self._messages if kind == ATTRIBUTE):
                self._attributes.setdefault(each, said)
        found = self._attributes.get(name)
        return None if found is None else list(self._file.strings(*found))

    def array(self) -> Stored:
        """Where the numbers are."""
        if self._array is None:
            self._array = self._read_array()
        return self._array

    def _read_array(self) -> Stored:
        said: dict[int, bytes] = {}
        for kind, data in self._messages:
            said.setdefault(kind, data)
        if EXTERNAL in said:
            raise Hdf5Error("data that lie in other files")
        if FILTERS in said:
            raise Hdf5Error("an array that is compressed, which is not read")
        if not {SPACE, TYPE, LAYOUT} <= said.keys():
            raise Hdf5Error("an array without a shape, a type or a place")
        shape = _shape(said[SPACE])
        dtype, order, size = _type(said[TYPE])
        return _place(said[LAYOUT], shape, dtype, order, size * math.prod(shape))


class Hdf5:
    """An open file, or the part of one from `start` that has `size` bytes."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        self._file = file
        self._start = start
        self._size = size
        self._left = AGAIN * size
        self._nodes: dict[int, Node] = {}
        self._heaps: dict[int, dict[int, bytes]] = {}
        head = self.bytes_at(0, 9)
        if head[:8] != SIGNATURE:
            raise Hdf5Error("no HDF5 file")
        if head[8] in (0, 1):
            sizes, at = self.bytes_at(13, 2), 24 + 4 * head[8]
            base, root = _number(self.bytes_at(at, 8), 0, 8), _number(self.bytes_at(at + 40, 8), 0, 8)
        elif head[8] in (2, 3):
            head = _summed(self.bytes_at(0, 48))
            sizes, base, root = head[9:11], _number(head, 12, 8), _number(head, 36, 8)
        else:
            raise Hdf5Error(f"version {head[8]} of HDF5's superblock")
        if sizes != b"\x08\x08" or base:
            raise Hdf5Error("addresses of other than 8 bytes, or an offset of them")
        self.root = self.node(root)

    def node(self, address: int) -> Node:
        """The group or array whose header begins there, which is read once."""
        if address not in self._nodes:
            self._nodes[address] = Node(self, address)
        return self._nodes[address]

    def bytes_at(self, address: int, count: int) -> bytes:
        """So many bytes; an Hdf5Error where the file does not have them."""
        if count < 0 or not 0 <= address <= self._size - count:
            raise Hdf5Error(f"bytes {address:,} to {address + count:,} of {self._size:,}: it is damaged or cut off")
        self._file.seek(self._start + address)
        data = self._file.read(count)
        if len(data) != count:
            raise Hdf5Error("the file ends early")
        return data

    def _said_at(self, address: int, count: int) -> bytes:
        """The same of what is no array's numbers, of which no file says more than a few times what it holds."""
        self._spend(count)
        return self.bytes_at(address, count)

    def _spend(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise Hdf5Error("parts that lie over each other: groups, names and texts of more bytes than the file has")

    def messages(self, address: int) -> Iterator[tuple[int, bytes]]:
        """(kind, body) of each message of an object."""
        head = self._said_at(address, 16)
        newer = head[:4] == b"OHDR"
        if newer:
            at, width = 6 + (16 if head[5] & 32 else 0) + (4 if head[5] & 16 else 0), 1 << (head[5] & 3)
            size = at + width + _number(self.bytes_at(address + at, width), 0, width)
            waiting, begin, wide = deque([(address, size + SUM)]), at + width, 6 if head[5] & 4 else 4
        elif head[0] == 1:
            waiting, begin, wide = deque([(address + 16, _number(head, 8, 4))]), 0, 8
        else:
            raise Hdf5Error("an object without a header")
        count, total = 0, 0
        while waiting:
            start, size = waiting.popleft()
            total += size
            if total > MAX_HEADER:
                raise Hdf5Error(f"a header of more than {MAX_HEADER:,} bytes")
            data, at = self._said_at(start, size), begin
            if newer:
                data, begin = _summed(data), len(CONTINUATION)
                if at == begin and data[:at] != CONTINUATION:
                    raise Hdf5Error("a header that does not go on where it says")
            while at + wide <= len(data):
                kind, length = (
                    (data[at], _number(data, at + 1, 2)) if newer else (_number(data, at, 2), _number(data, at + 2, 2))
                )
                flags = data[at + 3] if newer else data[at + 4]
                body = data[at + wide : at + wide + length]
                at += wide + length
                count += 1
                if len(body) != length or count > MAX_MESSAGES:
                    raise Hdf5Error("a message of a header that does not end")
                if kind == CONTINUED:
                    waiting.append((_number(body, 0, 8), _number(body, 8, 8)))
                elif flags & SHARED and kind in (SPACE, TYPE, LAYOUT, ATTRIBUTE, TABLE, LINK):
                    raise Hdf5Error("a message that stands elsewhere, which is not read")
                else:
                    yield kind, body

    def table(self, tree: int, heap: int) -> Iterator[tuple[str, int]]:
        """(name, address) of the members of a group of the older form: a tree, whose leaves are lists."""
        head = self._said_at(heap, 32)
        if head[:4] != b"HEAP" or _number(head, 8, 8) > MAX_HEADER:
            raise Hdf5Error("a group without names")
        names = self._said_at(_number(head, 24, 8), _number(head, 8, 8))
        waiting, seen = deque([(tree, 0)]), {tree}
        while waiting:
            address, depth = waiting.popleft()
            head = self._said_at(address, 8)
            count = _number(head, 6, 2)
            if head[:4] == b"SNOD":
                entries = self._said_at(address + 8, 40 * count)
                for at in range(0, 40 * count, 40):
                    if _number(entries, at + 16, 4) == 2:
                        raise Hdf5Error("a link in place of an array")
                    yield _word(names, _number(entries, at, 8)), _number(entries, at + 8, 8)
                continue
            if head[:4] != b"TREE" or head[4] or depth > MAX_LEVEL:
                raise Hdf5Error("a group without members")
            children = self._said_at(address + 24, 8 + 16 * count)
            for at in range(8, 8 + 16 * count, 16):
                child = _number(children, at, 8)
                if child in seen or len(seen) > MAX_ENTRIES:
                    raise Hdf5Error("members of a group in a circle")
                seen.add(child)
                waiting.append((child, depth + 1))

    def strings(self, dtype: bytes, shape: bytes, body: bytes) -> Iterator[str]:
        """The texts of an attribute, of one length or in a heap."""
        kind, size, count = _number(dtype, 0, 1) & 15, _number(dtype, 4, 4), math.prod(_shape(shape))
        if count * size > len(body):
            raise Hdf5Error("an attribute that does not end")
        for at in range(0, count * size, max(size, 1)):
            if kind == 3:
                yield _decoded(body[at : at + size])
            elif kind == 9 and size == 16:
                address = _number(body, at + 4, 8)
                if address not in self._heaps:
                    self._heaps[address] = self._heap(address)
                text = self._heaps[address].get(_number(body, at + 12, 4), b"")[: _number(body, at, 4)]
                self._spend(len(text))
                yield _decoded(text)
            else:
                raise Hdf5Error("an attribute that is no text")

    def _heap(self, address: int) -> dict[int, bytes]:
        """The texts of a heap by their numbers."""
        head = self._said_at(address, 16)
        size = _number(head, 8, 8)
        if head[:4] != b"GCOL" or not 16 <= size <= MAX_HEADER:
            raise Hdf5Error("texts without a heap")
        data, at = self._said_at(address, size), 16
        found: dict[int, bytes] = {}
        while at + 16 <= size and (number := _number(data, at, 2)):
            length = _number(data, at + 8, 8)
            if length > size - at - 16:
                raise Hdf5Error("a text of a heap that does not end")
            found[number] = data[at + 16 : at + 16 + length]
            at += 16 + (length + 7) // 8 * 8
        return found


def _summed(data: bytes) -> bytes:
    """Bytes without the checksum behind them, which has to be theirs."""
    if len(data) < SUM or lookup3(data[:-SUM]) != _number(data, len(data) - SUM, SUM):
        raise Hdf5Error("a checksum that is not that of its bytes: it is damaged")
    return data[:-SUM]


def _number(data: bytes, at: int, width: int) -> int:
    if at < 0 or at + width > len(data):
        raise Hdf5Error("a number beyond the end of what holds it")
    return int.from_bytes(data[at : at + width], "little")


def _decoded(data: bytes) -> str:
    return data.split(b"\0", 1)[0].decode("utf-8", "replace")


def _word(names: bytes, at: int) -> str:
    end = names.find(b"\0", at, at + MAX_NAME + 1)
    if not 0 <= at < len(names) or end < 0:
        raise Hdf5Error(f"a name of more than {MAX_NAME:,} bytes, or beyond the end of the names")
    return names[at:end].decode("utf-8", "replace")


def _link(data: bytes) -> tuple[str, int]:
    """A member of a group of the newer form."""
    flags, at = data[1] if len(data) > 1 else 0, 2
    if flags & 8:
        if _number(data, at, 1):
            raise Hdf5Error("a link in place of an array")
        at += 1
    at += (8 if flags & 4 else 0) + (1 if flags & 16 else 0)
    width = 1 << (flags & 3)
    length = _number(data, at, width)
    if length > MAX_NAME:
        raise Hdf5Error(f"a name of more than {MAX_NAME:,} bytes")
    at += width
    return _decoded(data[at : at + length]), _number(data, at + length, 8)


def _attribute(data: bytes) -> tuple[str, tuple[bytes, bytes, bytes]]:
    """The name of an attribute; and its type, its shape and what follows."""
    version = data[0] if data else 0
    if version not in (1, 2, 3):
        raise Hdf5Error(f"version {version} of an attribute")
    sizes = [_number(data, at, 2) for at in (2, 4, 6)]
    at, parts = 9 if version == 3 else 8, []
    for size in sizes:
        parts.append(data[at : at + size])
        at += (size + 7) // 8 * 8 if version == 1 else size
    return _decoded(parts[0]), (parts[1], parts[2], data[at:])


def _shape(data: bytes) -> tuple[int, ...]:
    version, rank = _number(data, 0, 1), _number(data, 1, 1)
    if version not in (1, 2) or rank > MAX_RANK:
        raise Hdf5Error("an array without a shape")
    at = 8 if version == 1 else 4
    if version == 2 and data[3:4] == b"\x02":
        return (0,)
    return tuple(_number(data, at + 8 * axis, 8) for axis in range(rank))


def _type(data: bytes) -> tuple[str, str, int]:
    """(type, order of bytes, bytes of a number)."""
    kind, size = _number(data, 0, 1) & 15, _number(data, 4, 4)
    order = ">" if _number(data, 1, 1) & 1 else "<"
    if kind == 1:
        return _float(data, size), order, size
    if kind == 0:
        return f"{'' if _number(data, 1, 1) & 8 else 'u'}int{8 * size}", order, size
    return f"type {kind}", order, size


def _float(data: bytes, size: int) -> str:
    """A type of floating-point numbers: one of `FLOATS` only where its bits lie and mean what those of IEEE do."""
    if len(data) < FLOAT.size + 1:
        raise Hdf5Error("a type that does not end")
    form, *places = FLOAT.unpack_from(data, 1)
    exponent, mantissa = places[5], places[7]
    ieee = (
        [8 * size - 1, size, 0, 8 * size, mantissa, exponent, 0, mantissa, (1 << exponent - 1) - 1] if exponent else []
    )
    name = FLOATS.get((size, exponent, mantissa))
    if name is None or form & ~1 != HIDDEN_BIT or places != ieee:
        return f"float of {size} bytes, not as IEEE has it"
    return name


def _place(data: bytes, shape: tuple[int, ...], dtype: str, order: str, size: int) -> Stored:
    """Where the bytes of an array are, of which there have to be `size`."""
    version = _number(data, 0, 1)
    if version in (3, 4):
        kind, at = _number(data, 1, 1), 2
    elif version in (1, 2):
        kind, at = _number(data, 2, 1), 8
    else:
        raise Hdf5Error(f"version {version} of an array's place")
    if kind == 0 and version >= 3:
        inline = data[at + 2 : at + 2 + _number(data, at, 2)]
        return Stored(shape, dtype, order, 0, len(inline), inline)
    if kind != 1:
        raise Hdf5Error("an array in chunks or of other files, which is not read")
    start = _number(data, at, 8)
    there = _number(data, at + 8, 8) if version >= 3 else size
    return Stored(shape, dtype, order, start, 0 if start == NOWHERE else there)
