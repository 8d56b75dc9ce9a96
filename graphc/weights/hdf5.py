"""HDF5, as far as Keras writes it: groups, texts beside them, and arrays in one piece; read with every bound.

The format is the one of HDF5's own specification (version 3 of the document). What is not read is an error that says
so: arrays in chunks, groups and attributes in heaps of their own (of thousands of members), and whatever lies in other
files, which are never opened. The library of HDF5 reads damaged files without an end.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from typing import BinaryIO

from graphc.weights.file import MAX_ENTRIES
from graphc.weights.hdf5_messages import (
    SUM,
    Hdf5Error,
    Stored,
    attribute_of,
    checked,
    class_of,
    has_heap,
    link_of,
    number_at,
    place_of,
    shape_of,
    text_of,
    type_of,
    word_at,
)

SIGNATURE = b"\x89HDF\r\n\x1a\n"
MAX_MESSAGES = 65_536
"""Of an object."""
MAX_HEADER = 16 * 2**20
"""Bytes of an object's header, of a group's names, of a heap of texts."""
MAX_LEVEL = 16
CONTINUATION = b"OCHK"
SPACE, LINK_INFO, TYPE, LINK, EXTERNAL, LAYOUT = 1, 2, 3, 6, 7, 8
FILTERS, ATTRIBUTE, CONTINUED, TABLE, ATTRIBUTE_INFO, SHARED = 11, 12, 16, 17, 21, 2
"""Kinds of messages; the last is a flag."""
REFERENCE = 16
"""Bytes that say where a text of a heap is."""
FIXED, VARIABLE, TEXT = 3, 9, 1
"""Types of texts: of one length, and in a heap; the last says that what lies in the heap is a text."""
TERMINATED, FILLED, BLANK = 0, 1, 2
"""What follows a text that is shorter than its place: a zero, zeros, or blanks, which are no part of it."""
AGAIN = 2
"""How often each byte of a file may be looked at for what it says of groups, names and arrays; their numbers do not
count. Honest files need every byte once; parts that lie over each other would say much more than the file holds."""


class Node:
    """A group or an array: its messages, of which each part is read when it is asked for."""

    def __init__(self, file: Hdf5, address: int) -> None:
        self.address = address
        self._file = file
        self._messages = list(file.messages(address))
        self._members: dict[str, int] | None = None
        self._attributes: dict[str, tuple[bytes, bytes, bytes] | None] | None = None
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
                pairs = self._file.table(number_at(data, 0, 8), number_at(data, 8, 8))
            elif kind == LINK:
                pairs = iter([link_of(data)])
            elif kind == LINK_INFO and has_heap(data, 8):
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
            if any(kind == ATTRIBUTE_INFO and has_heap(data, 2) for kind, data in self._messages):
                raise Hdf5Error("attributes with an index of their own, which are not read")
            self._attributes = {}
            for each, said in (attribute_of(data) for kind, data in self._messages if kind == ATTRIBUTE):
                self._attributes.setdefault(each, said)
        if name not in self._attributes:
            return None
        found = self._attributes[name]
        if found is None:
            raise Hdf5Error(f"the attribute {name}, whose type or shape stands elsewhere, which is not read")
        return list(self._file.strings(*found))

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
        shape = shape_of(said[SPACE])
        dtype, order, size = type_of(said[TYPE])
        return place_of(said[LAYOUT], shape, dtype, order, size * math.prod(shape))


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
            base, root = number_at(self.bytes_at(at, 8), 0, 8), number_at(self.bytes_at(at + 40, 8), 0, 8)
        elif head[8] in (2, 3):
            head = checked(self.bytes_at(0, 48))
            sizes, base, root = head[9:11], number_at(head, 12, 8), number_at(head, 36, 8)
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
            size = at + width + number_at(self.bytes_at(address + at, width), 0, width)
            waiting, begin, wide = deque([(address, size + SUM)]), at + width, 6 if head[5] & 4 else 4
        elif head[0] == 1:
            waiting, begin, wide = deque([(address + 16, number_at(head, 8, 4))]), 0, 8
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
                data, begin = checked(data), len(CONTINUATION)
                if at == begin and data[:at] != CONTINUATION:
                    raise Hdf5Error("a header that does not go on where it says")
            while at + wide <= len(data):
                kind, length = (
                    (data[at], number_at(data, at + 1, 2))
                    if newer
                    else (number_at(data, at, 2), number_at(data, at + 2, 2))
                )
                flags = data[at + 3] if newer else data[at + 4]
                body = data[at + wide : at + wide + length]
                at += wide + length
                count += 1
                if len(body) != length or count > MAX_MESSAGES:
                    raise Hdf5Error("a message of a header that does not end")
                if kind == CONTINUED:
                    waiting.append((number_at(body, 0, 8), number_at(body, 8, 8)))
                elif flags & SHARED and kind in (SPACE, TYPE, LAYOUT, ATTRIBUTE, TABLE, LINK):
                    raise Hdf5Error("a message that stands elsewhere, which is not read")
                else:
                    yield kind, body

    def table(self, tree: int, heap: int) -> Iterator[tuple[str, int]]:
        """(name, address) of the members of a group of the older form: a tree, whose leaves are lists."""
        head = self._said_at(heap, 32)
        if head[:4] != b"HEAP" or number_at(head, 8, 8) > MAX_HEADER:
            raise Hdf5Error("a group without names")
        names = self._said_at(number_at(head, 24, 8), number_at(head, 8, 8))
        waiting, seen = deque([(tree, 0)]), {tree}
        while waiting:
            address, depth = waiting.popleft()
            head = self._said_at(address, 8)
            count = number_at(head, 6, 2)
            if head[:4] == b"SNOD":
                entries = self._said_at(address + 8, 40 * count)
                for at in range(0, 40 * count, 40):
                    if number_at(entries, at + 16, 4) == 2:
                        raise Hdf5Error("a link in place of an array")
                    name = word_at(names, number_at(entries, at, 8))
                    self._spend(len(name))  # one may be the end of another
                    yield name, number_at(entries, at + 8, 8)
                continue
            if head[:4] != b"TREE" or head[4] or depth > MAX_LEVEL:
                raise Hdf5Error("a group without members")
            children = self._said_at(address + 24, 8 + 16 * count)
            for at in range(8, 8 + 16 * count, 16):
                child = number_at(children, at, 8)
                if child in seen or len(seen) > MAX_ENTRIES:
                    raise Hdf5Error("members of a group in a circle")
                seen.add(child)
                waiting.append((child, depth + 1))

    def strings(self, dtype: bytes, shape: bytes, body: bytes) -> Iterator[str]:
        """The texts of an attribute, of one length or in a heap."""
        kind, form, size, count = *class_of(dtype), number_at(dtype, 4, 4), math.prod(shape_of(shape))
        if count * size > len(body):
            raise Hdf5Error("an attribute that does not end")
        if count and not (
            (kind == FIXED and form in (TERMINATED, FILLED, BLANK) and size)
            or (kind == VARIABLE and form == TEXT and size == REFERENCE)
        ):
            raise Hdf5Error("an attribute that is no text")
        for at in range(0, count * size, max(size, 1)):
            if kind == FIXED:
                text = body[at : at + size]
                yield text_of(text.rstrip(b" ") if form == BLANK else text)
            else:
                yield text_of(
                    self._text(number_at(body, at, 4), number_at(body, at + 4, 8), number_at(body, at + 12, 4))
                )

    def _text(self, length: int, address: int, number: int) -> bytes:
        """A text of a heap."""
        if not length:
            return b""
        if address not in self._heaps:
            self._heaps[address] = self._heap(address)
        text = self._heaps[address].get(number, b"")[:length]
        if len(text) != length:
            raise Hdf5Error(f"a text of {length:,} bytes of which its heap has {len(text):,}")
        self._spend(length)
        return text

    def _heap(self, address: int) -> dict[int, bytes]:
        """The texts of a heap by their numbers."""
        head = self._said_at(address, 16)
        size = number_at(head, 8, 8)
        if head[:4] != b"GCOL" or not 16 <= size <= MAX_HEADER:
            raise Hdf5Error("texts without a heap")
        data, at = self._said_at(address, size), 16
        found: dict[int, bytes] = {}
        while at + 16 <= size and (number := number_at(data, at, 2)):
            length = number_at(data, at + 8, 8)
            if length > size - at - 16:
                raise Hdf5Error("a text of a heap that does not end")
            found[number] = data[at + 16 : at + 16 + length]
            at += 16 + (length + 7) // 8 * 8
        return found
