"""What the messages of an HDF5 object say: names, shapes, types and places, each decoded from its bytes."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from graphc.weights.file import MAX_NAME, MAX_RANK
from graphc.weights.lookup3 import lookup3

NOWHERE = 2**64 - 1
SUM = 4
"""Bytes of a checksum, which newer forms have."""
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


def checked(data: bytes) -> bytes:
    """Bytes without the checksum behind them, which has to be theirs."""
    if len(data) < SUM or lookup3(data[:-SUM]) != number_at(data, len(data) - SUM, SUM):
        raise Hdf5Error("a checksum that is not that of its bytes: it is damaged")
    return data[:-SUM]


def number_at(data: bytes, at: int, width: int) -> int:
    """A number without a sign of `width` bytes; an Hdf5Error where they go beyond the end."""
    if at < 0 or at + width > len(data):
        raise Hdf5Error("a number beyond the end of what holds it")
    return int.from_bytes(data[at : at + width], "little")


def class_of(dtype: bytes) -> tuple[int, int]:
    """(class of a type, the first bits of what it says of itself)."""
    return number_at(dtype, 0, 1) & 15, number_at(dtype, 1, 1) & 15


def has_heap(data: bytes, width: int) -> bool:
    """Whether members or attributes lie in a heap of their own; `width`: bytes of their largest number, which may
    stand before."""
    return number_at(data, 2 + width * (number_at(data, 1, 1) & 1), 8) != NOWHERE


def text_of(data: bytes) -> str:
    """Bytes up to the first zero as text."""
    return data.split(b"\0", 1)[0].decode("utf-8", "replace")


def word_at(names: bytes, at: int) -> str:
    """The name that begins there in the names of a group; an Hdf5Error where it does not end."""
    end = names.find(b"\0", at, at + MAX_NAME + 1)
    if not 0 <= at < len(names) or end < 0:
        raise Hdf5Error(f"a name of more than {MAX_NAME:,} bytes, or beyond the end of the names")
    return names[at:end].decode("utf-8", "replace")


def link_of(data: bytes) -> tuple[str, int]:
    """A member of a group of the newer form."""
    flags, at = data[1] if len(data) > 1 else 0, 2
    if flags & 8:
        if number_at(data, at, 1):
            raise Hdf5Error("a link in place of an array")
        at += 1
    at += (8 if flags & 4 else 0) + (1 if flags & 16 else 0)
    width = 1 << (flags & 3)
    length = number_at(data, at, width)
    if length > MAX_NAME:
        raise Hdf5Error(f"a name of more than {MAX_NAME:,} bytes")
    at += width
    return text_of(data[at : at + length]), number_at(data, at + length, 8)


def attribute_of(data: bytes) -> tuple[str, tuple[bytes, bytes, bytes] | None]:
    """The name of an attribute; and its type, its shape and what follows, or None where one of them stands elsewhere,
    as a type with a name of its own does."""
    version = data[0] if data else 0
    if version not in (1, 2, 3):
        raise Hdf5Error(f"version {version} of an attribute")
    sizes = [number_at(data, at, 2) for at in (2, 4, 6)]
    at, parts = 9 if version == 3 else 8, []
    for size in sizes:
        parts.append(data[at : at + size])
        at += (size + 7) // 8 * 8 if version == 1 else size
    if not parts[0].endswith(b"\0"):
        raise Hdf5Error("an attribute whose name does not end")
    elsewhere = version > 1 and data[1]
    return text_of(parts[0]), None if elsewhere else (parts[1], parts[2], data[at:])


def shape_of(data: bytes) -> tuple[int, ...]:
    """The sizes of all axes; an Hdf5Error where they are too many."""
    version, rank = number_at(data, 0, 1), number_at(data, 1, 1)
    if version not in (1, 2) or rank > MAX_RANK:
        raise Hdf5Error("an array without a shape")
    at = 8 if version == 1 else 4
    if version == 2 and data[3:4] == b"\x02":
        return (0,)
    return tuple(number_at(data, at + 8 * axis, 8) for axis in range(rank))


def type_of(data: bytes) -> tuple[str, str, int]:
    """(type, order of bytes, bytes of a number)."""
    kind, size = number_at(data, 0, 1) & 15, number_at(data, 4, 4)
    order = ">" if number_at(data, 1, 1) & 1 else "<"
    if kind == 1:
        return _float(data, size), order, size
    if kind == 0:
        return f"{'' if number_at(data, 1, 1) & 8 else 'u'}int{8 * size}", order, size
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


def place_of(data: bytes, shape: tuple[int, ...], dtype: str, order: str, size: int) -> Stored:
    """Where the bytes of an array are, of which there have to be `size`."""
    version = number_at(data, 0, 1)
    if version in (3, 4):
        kind, at = number_at(data, 1, 1), 2
    elif version in (1, 2):
        kind, at = number_at(data, 2, 1), 8
    else:
        raise Hdf5Error(f"version {version} of an array's place")
    if kind == 0 and version >= 3:
        inline = data[at + 2 : at + 2 + number_at(data, at, 2)]
        return Stored(shape, dtype, order, 0, len(inline), inline)
    if kind != 1:
        raise Hdf5Error("an array in chunks or of other files, which is not read")
    start = number_at(data, at, 8)
    there = number_at(data, at + 8, 8) if version >= 3 else size
    return Stored(shape, dtype, order, start, 0 if start == NOWHERE else there)
