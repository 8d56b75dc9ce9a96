"""What Pillow's decoders would take long for, or much memory, or read otherwise than it is, before pixels are read.

The number of pixels is bounded elsewhere. Here is what a file can ask for beside it: JPEG 2000 keeps a record of each
precinct, code block and tile, and a BMP of run lengths is filled up pixel by pixel. Writers stay far below what is
refused. What is counted in a file's bytes, before Pillow looks at its header, stands in headers.py; of pixmaps in
pixmaps.py.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping

import numpy as np
from PIL import Image

from graphc.data.avif import frames_refused
from graphc.data.bmp import bits_a_pixel
from graphc.data.pixmaps import MOST_PIXELS, pixmap_refused
from graphc.types import Array

MOST_TILES, MOST_PRECINCTS, LEAST_BLOCK = 16_384, 200_000, 256
"""Of JPEG 2000: tiles (in each component one, which takes 3 kB), precincts (in each of three bands of each component
one, which takes 570 bytes), and pixels of a code block."""
SIZES = 0x51
HEADERS = frozenset(b"\x50\x51\x52\x53\x55\x57\x58\x59\x5c\x5d\x5e\x5f\x60\x61\x63\x64\x74\x75\x77\x78")
"""The second bytes of JPEG 2000's markers that stand in headers."""
BITS_OF_MODE: Mapping[str, int] = {"1": 1, "L": 8}
"""Of a gray BMP's pixels, as Pillow reads them."""
TRANSFORMS: Mapping[str, tuple[int, ...]] = {"RGB": (0, 1), "CMYK": (0, 2)}
"""What Adobe's marker may say of colors, by the mode: that they are these, or brightness and two differences."""
SPREAD = re.compile("L;([24])R?")
"""Pillow's names of gray values of fewer than 8 bits, which it brings to 8."""


def refused(data: bytes, opened: Image.Image) -> str:
    """Why the image of a file is not decoded, as a sentence; nothing where it is."""
    if getattr(opened, "is_animated", False) and opened.format not in ("MPO", "TIFF"):  # previews and depths; tiff.py
        return "expected one image, found an animation: save the one that is meant"
    tiles = getattr(opened, "tile", None)
    if tiles and opened.format == "PPM":
        return pixmap_refused(data, opened)
    check = CHECKS.get(tiles[0][0]) if tiles else None
    return check(data, opened) if check is not None else ""


def _jpeg2000(data: bytes, opened: Image.Image) -> str:
    at = _codestream(data)
    end_of_part, tiles, found = None, 1, set()
    while at < len(data) and data[at : at + 2] != b"\xff\xd9":
        kind, length = data[at + 1 : at + 2], int.from_bytes(data[at + 2 : at + 4], "big")
        if data[at : at + 2] == b"\xff\x90":  # a part of a tile
            size = int.from_bytes(data[at + 6 : at + 10], "big")
            end_of_part = at + size if size else len(data)
            found.add(data[at + 4 : at + 6])
            if end_of_part > len(data):
                return "the image is cut off: expected all tiles of a JPEG 2000"
            at += 2 + length
        elif data[at : at + 2] == b"\xff\x93" and end_of_part is not None and end_of_part > at:
            at = end_of_part
        elif data[at] != 0xFF or kind[0:1] == b"" or kind[0] not in HEADERS or length < 2:
            return "expected the headers of a JPEG 2000, found something else among them"
        else:
            segment = data[at + 4 : at + 2 + length]
            if said := _of_segment(kind[0], segment, opened):
                return said
            tiles = _tiles(segment) if kind[0] == SIZES else tiles
            at += 2 + length
    return f"expected the {tiles:,} tiles of a JPEG 2000, found {len(found):,}" if len(found) != tiles else ""


def _codestream(data: bytes) -> int:
    """Where the codestream's first header stands, behind the mark of its beginning."""
    at = 0
    while data[at : at + 2] != b"\xff\x4f" and at < len(data):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        long = int.from_bytes(data[at + 8 : at + 16], "big")
        if kind == b"jp2c":
            at += 16 if size == 1 else 8
            break
        at += max(long if size == 1 else size, 8) if size else len(data)
    return at + 2


def _of_segment(kind: int, segment: bytes, opened: Image.Image) -> str:
    """What is refused of a header: of sizes, of coding, or of a component's coding."""
    if kind == SIZES:
        return _of_sizes(segment)
    start = {0x52: 5, 0x53: 2}.get(kind)
    if start is None or len(segment) < start + 5:
        return ""
    if (pixels := 2 ** (segment[start + 1] + segment[start + 2] + 4)) < LEAST_BLOCK:
        return f"expected code blocks of at least {LEAST_BLOCK} pixels, found {pixels}"
    levels, sides = segment[start], segment[start + 5 :] if segment[0 if kind == 0x52 else 1] & 1 else b""
    precincts = 0
    for level, side in zip(range(levels, -1, -1), sides, strict=False):
        width, height = (parts(length, 2 ** min(level, 32)) for length in opened.size)
        precincts += parts(width, 2 ** (side & 15)) * parts(height, 2 ** (side >> 4))
    precincts *= 3 * len(opened.getbands())
    if precincts > MOST_PRECINCTS:
        return f"expected a JPEG 2000 of at most {MOST_PRECINCTS:,} precincts, found {precincts:,}"
    return ""


def _of_sizes(segment: bytes) -> str:
    """What is refused of a header of sizes: behind two bytes width, height, left, top, of the image and of a tile, then
    of each component its bits less one, of which the uppermost says that values have signs."""
    count = int.from_bytes(segment[34:36], "big")
    bits = segment[36 : 36 + 3 * count : 3]
    if any(each > 15 or each < 7 or (count < 3 and each not in (7, 15)) for each in bits):
        found = ", ".join(f"{'signed ' if each > 127 else ''}{1 + (each & 127)}" for each in sorted(set(bits)))
        return f"expected a JPEG 2000 of 8 or 16 bits a value without signs, found {found}"
    if (tiles := _tiles(segment) * max(count, 1)) > MOST_TILES:
        return f"expected a JPEG 2000 of at most {MOST_TILES:,} tiles in all components, found {tiles:,}"
    return ""


def _tiles(segment: bytes) -> int:
    """How many a header of sizes asks for."""
    width, height, _, _, *tile = (int.from_bytes(segment[start : start + 4], "big") for start in range(2, 34, 4))
    return parts(width - tile[2], max(tile[0], 1)) * parts(height - tile[3], max(tile[1], 1))


def parts(length: int, part: int) -> int:
    """How many parts of a length there are, the last may be shorter."""
    return -(-length // part)


def bits_of(data: bytes, kind: str) -> int:
    """How many bits a value has in a JPEG 2000 or an AVIF, which Pillow reduces to 8 without a word; 8 of others."""
    if kind == "JPEG2000":
        at = _codestream(data)
        count = int.from_bytes(data[at + 38 : at + 40], "big")
        return max((1 + (each & 127) for each in data[at + 40 : at + 40 + 3 * count : 3]), default=8)
    if kind == "AVIF":
        marks = [data[found.end() + 2 : found.end() + 3] for found in re.finditer(b"av1C", data)]
        return max((10 for mark in marks if mark and mark[0] & 64), default=8)
    return 8


def file_of(opened: Image.Image) -> bytes:
    """The bytes of the file, before its pixels are read."""
    file = getattr(opened, "fp", None)
    return file.getvalue() if isinstance(file, io.BytesIO) else b""


def spread(opened: Image.Image) -> tuple[int, int]:
    """(the largest value that a gray file may have, what Pillow makes of it): other numbers where it spreads them;
    to be asked before pixels are read."""
    args = opened.tile[0].args if getattr(opened, "tile", None) else ""  # type: ignore[attr-defined]
    raw, *more = args if isinstance(args, tuple) else (args,)
    if opened.format == "PPM" and len(more) == 1:
        return more[0], 65535 if opened.mode == "I" else 255
    data = file_of(opened)
    if opened.format == "PNG" and data[25] == 0 and data[24] in (2, 4):
        return 2 ** data[24] - 1, 255
    if raw == "I;12":
        return 4095, 4095
    if found := SPREAD.fullmatch(raw if isinstance(raw, str) else ""):
        return 2 ** int(found[1]) - 1, 255
    return 1, 1


def unspread(values: Array, levels: tuple[int, int]) -> Array:
    """Values of any shape as the file has them, in the same type, of those that Pillow has spread."""
    most, top = levels
    return values if most == top else ((2 * values.astype(np.int64) * most + top) // (2 * top)).astype(values.dtype)


def _run_lengths(data: bytes, opened: Image.Image) -> str:
    pixels = opened.width * opened.height
    if pixels <= MOST_PIXELS:
        return ""
    return f"expected at most {MOST_PIXELS:,} pixels in a BMP of run lengths, found {pixels:,}: save it as PNG"


def _jpeg(data: bytes, opened: Image.Image) -> str:
    """Whether 0 is no ink or all of it: Adobe's programs, and Pillow, take it for all of it. What colors are: libjpeg
    guesses where Adobe's marker says a number that it does not know."""
    if opened.mode == "CMYK" and "adobe" not in opened.info:
        return "expected a JPEG of four inks with Adobe's marker, found one without: nothing says whether 0 is white"
    transform = opened.info.get("adobe_transform", 0)
    if opened.mode in TRANSFORMS and "jfif" not in opened.info and transform not in TRANSFORMS[opened.mode]:
        known = " or ".join(map(str, TRANSFORMS[opened.mode]))
        return f"expected {known} as the kind of colors that Adobe's marker says in a JPEG, found {transform}"
    return ""


def _raw(data: bytes, opened: Image.Image) -> str:
    """The frames of an AVIF have the image's size; a BMP that Pillow takes for a gray one because of its palette has as
    many bits a pixel as it reads."""
    if opened.format == "AVIF":
        return frames_refused(data, opened)
    bits = bits_a_pixel(data) if opened.format == "BMP" else 0
    if opened.format != "BMP" or BITS_OF_MODE.get(opened.mode, bits) == bits:
        return ""
    return f"expected a gray BMP of {BITS_OF_MODE[opened.mode]} bits a pixel, found one of {bits}: save it as PNG"


CHECKS: Mapping[str, Callable[[bytes, Image.Image], str]] = {
    "jpeg": _jpeg,
    "jpeg2k": _jpeg2000,
    "bmp_rle": _run_lengths,
    "raw": _raw,
}
"""By the names of Pillow's decoders."""
