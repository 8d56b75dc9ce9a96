"""What is refused of a GIF: bytes between its parts, which Pillow skips, and sizes that do not go together."""

from __future__ import annotations

from graphc.errors import DataError

SCREEN, IMAGE = 7, 9
"""Bytes that describe the whole and one image."""
EXTENSION, IMAGE_FOLLOWS, END = 0x21, 0x2C, 0x3B
LEAST_BITS, MOST_BITS = 2, 8
"""Of a code, as the data of an image begin."""
MOST_BLOCKS = 10_000
"""Blocks before the first image, those inside extensions too."""


def check_gif(data: bytes) -> None:
    """A DataError where the way to the first image's pixels is not the one that GIF describes, or these are cut off."""
    if data[:6] not in (b"GIF87a", b"GIF89a"):
        raise DataError("G406", f"expected a GIF of 1987 or 1989, found {data[:6]!r}")
    at = 6 + SCREEN + _colors(data, 10)
    blocks = 0
    while data[at : at + 1] == bytes([EXTENSION]):
        at += 2
        while size := _byte(data, at):
            at += 1 + size
            blocks += 1
            if blocks > MOST_BLOCKS:
                raise DataError("G406", f"expected at most {MOST_BLOCKS:,} blocks before a GIF's image, found more")
        at += 1
    if _byte(data, at) != IMAGE_FOLLOWS:
        raise DataError("G406", f"expected the parts of a GIF, found the byte {data[at]:02X} at {at:,}")
    width, height = (int.from_bytes(data[place : place + 2], "little") for place in (6, 8))
    left, top, wide, high = (int.from_bytes(data[place : place + 2], "little") for place in range(at + 1, at + 9, 2))
    if left + wide > width or top + high > height:
        found = f"one of {wide}×{high} at {left}, {top} in {width}×{height}"
        raise DataError("G406", f"expected the first image of a GIF inside the whole, found {found}")
    at += 1 + IMAGE + _colors(data, at + IMAGE)
    if not LEAST_BITS <= _byte(data, at) <= MOST_BITS:
        raise DataError("G406", f"expected codes of {LEAST_BITS} to {MOST_BITS} bits in a GIF, found {data[at]}")
    at += 1
    while size := _byte(data, at):
        at += 1 + size
    if _byte(data, at + 1) not in (EXTENSION, IMAGE_FOLLOWS, END):
        raise DataError("G406", f"expected the parts of a GIF, found the byte {data[at + 1]:02X} at {at + 1:,}")


def _colors(data: bytes, at: int) -> int:
    """Bytes of a palette behind the byte of flags at `at`."""
    flags = _byte(data, at)
    return 3 * 2 ** ((flags & 7) + 1) if flags & 128 else 0


def _byte(data: bytes, at: int) -> int:
    if at >= len(data):
        raise DataError("G406", "the image is cut off: expected more parts of a GIF")
    return data[at]
