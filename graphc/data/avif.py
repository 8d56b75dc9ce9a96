"""The sizes of an AVIF's frames, which its decoder holds in memory, whatever size the file's head says the image has.

Looked at are all items of the file, and the first samples of its tracks: where an AV1 stream says how large its frames
may be (a sequence header, AV1 5.5).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from PIL import Image

SPARE_PIXELS = 2**16
"""That a frame may have beyond twice those of the image: cells of a grid are filled up."""
MOST_BOXES, MOST_EXTENTS, MOST_UNITS = 16, 4_096, 100_000
"""Boxes of places, parts of items and items together, and units of AV1 streams."""
SEQUENCE_HEADER = 1
LOCATIONS, SAMPLES = re.compile(b"iloc"), re.compile(b"stco|co64")
SAMPLE_UNITS = 1_000
"""Units that are looked at from a track's beginning on."""


class _Bits:
    """Numbers of some bits each."""

    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data, "big"), 8 * len(data)

    def take(self, count: int) -> int:
        """The next number; a ValueError behind the end."""
        if count > self._left:
            raise ValueError("the end")
        self._left -= count
        return self._value >> self._left & (1 << count) - 1

    def flag(self) -> bool:
        return bool(self.take(1))


def frames_refused(data: bytes, opened: Image.Image) -> str:
    """Why an AVIF is not decoded, as a sentence; nothing where it is."""
    most = 2 * opened.width * opened.height + SPARE_PIXELS
    units = 0
    try:
        for stream, few in _streams(data):
            for number, header in enumerate(_units(stream)):
                units += 1
                if few and number >= SAMPLE_UNITS:
                    break
                if units > MOST_UNITS:
                    return f"expected an AVIF of at most {MOST_UNITS:,} parts, found more"
                width, height = _size_of_frames(header) if header else (0, 0)
                if width * height > most:
                    found = f"one that says {opened.width}×{opened.height}"
                    return f"expected an AVIF's frames as large as the image, found {width}×{height} in {found}"
    except ValueError as error:
        return f"expected the parts of an AVIF, found {error}"
    return ""


def _streams(data: bytes) -> Iterator[tuple[bytes, bool]]:
    """Bytes of each item, and from the first sample of each track on (True)."""
    boxes, tracks = list(LOCATIONS.finditer(data)), list(SAMPLES.finditer(data))
    if len(boxes) + len(tracks) > MOST_BOXES:
        raise ValueError(f"more than {MOST_BOXES} boxes that say where they lie")
    for found in boxes:
        for item in _items(data, found.end()):
            yield item, False
    for found in tracks:
        size = 4 if found[0] == b"stco" else 8
        start = int.from_bytes(data[found.end() + 8 : found.end() + 8 + size], "big")
        yield data[start:], True


def _items(data: bytes, at: int) -> Iterator[bytes]:
    """The bytes of all items of a box of locations."""
    bits = _Bits(data[at : at + 32 * MOST_EXTENTS])
    version = bits.take(8)
    bits.take(24)
    of_start, of_size, of_base, of_index = (8 * bits.take(4) for _ in range(4))
    of_number = 32 if version == 2 else 16
    places = 0
    for _ in range(bits.take(of_number)):
        bits.take(of_number)
        method = bits.take(16) & 15 if version else 0
        bits.take(16)
        base, count, parts, left = bits.take(of_base) + _origin(data, method), bits.take(16), [], len(data)
        places += 1 + count
        if places > MOST_EXTENTS:
            raise ValueError("thousands of them")
        for _ in range(count):
            bits.take(of_index if version else 0)
            start, size = base + bits.take(of_start), bits.take(of_size)
            parts.append(data[start : start + size] if size else data[start:])
            left -= len(parts[-1])
            if left < 0:
                raise ValueError("one of more bytes than the file has")
        yield b"".join(parts)


def _origin(data: bytes, method: int) -> int:
    """Where an item's numbers count from: the file's beginning, or that of its only box of items' data."""
    if method == 0:
        return 0
    if method > 1 or data.count(b"idat") != 1:
        raise ValueError("items that are elsewhere")
    return data.index(b"idat") + 4


def _units(stream: bytes) -> Iterator[bytes]:
    """The sequence headers of an AV1 stream, and nothing for each other unit."""
    at = 0
    while at < len(stream):
        head = stream[at]
        at += 2 if head & 4 else 1
        size = len(stream) - at
        if head & 2:
            size = 0
            for shift in range(0, 56, 7):
                byte = stream[at] if at < len(stream) else 0
                at += 1
                size |= (byte & 127) << shift
                if byte < 128:
                    break
        yield stream[at : at + size] if head >> 3 & 15 == SEQUENCE_HEADER else b""
        at += size


def _size_of_frames(header: bytes) -> tuple[int, int]:
    """(width, height) that no frame of a sequence is larger than."""
    bits = _Bits(header[:1024])
    bits.take(4)
    if bits.flag():  # reduced to what a still picture needs
        bits.take(5)
    else:
        _skip_timing(bits)
    of_width, of_height = bits.take(4) + 1, bits.take(4) + 1
    return bits.take(of_width) + 1, bits.take(of_height) + 1


def _skip_timing(bits: _Bits) -> None:
    """What stands before the sizes in a header that is not reduced."""
    delay = 0
    if bits.flag():
        bits.take(64)
        if bits.flag():
            zeros = next((count for count in range(33) if bits.flag()), 32)
            bits.take(zeros)
        if bits.flag():
            delay = bits.take(5) + 1
            bits.take(42)
    has_delay = bits.flag()
    for _ in range(bits.take(5) + 1):
        bits.take(12)
        if bits.take(5) > 7:
            bits.take(1)
        if delay and bits.flag():
            bits.take(2 * delay + 1)
        if has_delay and bits.flag():
            bits.take(4)
