"""Protobuf on the wire, and the parts of TensorFlow's messages that both versions of a checkpoint share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from graphc.weights.file import MAX_RANK

TYPES: Mapping[int, str] = {
    1: "float32",
    2: "float64",
    3: "int32",
    4: "uint8",
    5: "int16",
    6: "int8",
    7: "string",
    8: "complex64",
    9: "int64",
    10: "bool",
    14: "bfloat16",
    17: "uint16",
    18: "complex128",
    19: "float16",
    22: "uint32",
    23: "uint64",
}
"""TensorFlow's numbers of types -> names."""
OF_REFERENCES = 100
"""Added to the number of a type."""
FULL = -1
"""Of a slice that is all of an axis."""
MAX_PARTS = 10_000
"""In which an array is kept."""


class Damaged(Exception):
    """Bytes that are not what they should be, in a sentence."""


class Fixed(int):
    """A number of four or eight bytes, which is none where one of another kind belongs."""


def varint(data: bytes | memoryview, at: int) -> tuple[int, int]:
    """(a number of seven bits a byte, where it ends)."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise Damaged("expected a number, found the end")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (2**64 - 1), at
    raise Damaged("expected a number of at most ten bytes, found a longer one")


def fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """(number, value) of each field of a message: a number, or the bytes of a text, a message or a packed list."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 0:
            value, at = varint(data, at)
            yield key >> 3, value
            continue
        widths = {1: 8, 5: 4}
        if key & 7 == 2:
            width, at = varint(data, at)
        elif key & 7 in widths:
            width = widths[key & 7]
        else:
            raise Damaged(f"expected a field of a message, found the kind {key & 7}")
        if width > len(data) - at:
            raise Damaged("expected a field of a message, found the end")
        part = data[at : at + width]
        at += width
        yield key >> 3, part if key & 7 == 2 else Fixed.from_bytes(part, "little")


def message(value: int | memoryview) -> memoryview:
    """A field's value, where it has to be a message or a text."""
    if isinstance(value, int):
        raise Damaged("expected a message, found a number")
    return value


def number(value: int | memoryview) -> int:
    """A field's value, where it has to be a signed number."""
    if not isinstance(value, int) or isinstance(value, Fixed):
        raise Damaged("expected a number, found a text, or one of another kind")
    return value - 2**64 if value >= 2**63 else value


def text(value: int | memoryview) -> str:
    """A field's value, where it has to be a text."""
    try:
        return bytes(message(value)).decode()
    except UnicodeDecodeError:
        raise Damaged("expected a text, found bytes that are not UTF-8") from None


def type_name(value: int) -> str:
    """What NumPy calls a type, or TensorFlow's number of it."""
    return TYPES.get(value - OF_REFERENCES if value > OF_REFERENCES else value, f"type {value}")


def shape_of(data: memoryview) -> tuple[int, ...]:
    """TensorShapeProto: the sizes of the axes."""
    sizes = []
    for field, value in fields(data):
        if field == 2:
            said = {key: number(inner) for key, inner in fields(message(value)) if key == 1}
            sizes.append(said.get(1, 0))
        elif field == 3 and number(value):
            raise Damaged("expected a shape, found none")
        if len(sizes) > MAX_RANK:
            raise Damaged(f"expected at most {MAX_RANK} axes, found more")
    return tuple(sizes)


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of an array: where it starts along each axis, and how long it is there (FULL: all of it)."""

    starts: tuple[int, ...]
    lengths: tuple[int, ...]

    @staticmethod
    def of(data: memoryview) -> Slice:
        """TensorSliceProto."""
        starts, lengths = [], []
        for field, value in fields(data):
            if field == 1:
                extent = {key: number(inner) for key, inner in fields(message(value))}
                starts.append(extent.get(1, 0))
                lengths.append(extent.get(2, FULL))
            if len(starts) > MAX_RANK:
                raise Damaged(f"expected at most {MAX_RANK} axes, found more")
        return Slice(tuple(starts), tuple(lengths))

    def within(self, shape: tuple[int, ...]) -> tuple[slice, ...]:
        """As an index of an array of this shape."""
        if len(self.starts) != len(shape):
            raise Damaged(f"expected a part with {len(shape)} axes, found {len(self.starts)}")
        found = []
        for start, length, size in zip(self.starts, self.lengths, shape, strict=True):
            end = size if length == FULL else start + length
            if not 0 <= start <= end <= size or (length == FULL and start):
                raise Damaged(f"expected a part of {size}, found {start} to {end}")
            found.append(slice(start, end))
        return tuple(found)

    @staticmethod
    def check(parts: Sequence[Slice], shape: tuple[int, ...]) -> None:
        """Damaged where parts of an array are more than anybody makes, or hold nothing of what does."""
        if len(parts) > MAX_PARTS:
            raise Damaged(f"expected at most {MAX_PARTS:,} parts of an array, found {len(parts):,}")
        if len(parts) > 1 and any(0 in part.shape(shape) for part in parts):
            raise Damaged("expected parts of an array, found some without numbers")

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Its own shape, in an array of this shape."""
        return tuple(each.stop - each.start for each in self.within(shape))


def key_of(name: str, part: Slice) -> bytes:
    """The key under which a part of an array is kept, in TensorFlow's OrderedCode, which sorts as its values do."""
    escaped = name.encode().replace(b"\xff", b"\xff\x00").replace(b"\x00", b"\x00\xff")
    found = _natural(0) + escaped + b"\x00\x01" + _natural(len(part.starts))
    for start, length in zip(part.starts, part.lengths, strict=True):
        found += _signed(start) + _signed(length)
    return found


def _natural(value: int) -> bytes:
    digits = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return bytes([len(digits)]) + digits


def _signed(value: int) -> bytes:
    """The first byte says how many follow, by its leading ones; those of negative numbers are inverted."""
    bits = (~value if value < 0 else value).bit_length()
    length = bits // 7 + 1
    head = ((0xFF00 >> min(length, 8)) & 0xFF) << 8 | ((0xFF00 >> (length - 8)) & 0xFF if length > 8 else 0)
    return ((value & ((1 << 8 * length) - 1)) ^ (head << 8 * (length - 1) >> 8)).to_bytes(length, "big")
