"""What is refused of a file's bytes before Pillow looks at its header: thousands of parts, and parts that hide others.

Pillow goes through all parts of a PNG or JPEG in Python, keeps texts and profiles that nobody asks for, and joins what
belongs together piece by piece. What is counted here is counted as the decoders find it.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

from graphc.data.bmp import check_bmp
from graphc.data.gif import check_gif
from graphc.data.tiff import MOST_SCANS, PREFIXES, check_tiff_file
from graphc.errors import DataError

PNG = b"\x89PNG\r\n\x1a\n"
"""All of a PNG's beginning, which tells whether a program has taken the file for a text."""
BEGINNINGS: Mapping[bytes, str] = {
    b"\xff\xd8\xff": "JPEG",
    PNG[:4]: "PNG",
    b"BM": "BMP",
    b"GIF8": "GIF",
    b"RIFF": "WEBP",
    **dict.fromkeys(PREFIXES, "TIFF"),
}
"""What files of a format begin with."""
MOST_CHUNKS, MOST_UNPACKED, MOST_BESIDE = 2_000, 16, 2**23
"""Of a PNG, beside those of pixels: chunks, chunks that are compressed (of at most a mebibyte each), and bytes."""
OF_PIXELS = (b"IDAT", b"fdAT", b"fcTL")
MOST_OF_PIXELS, PIXEL_BYTES = 10_000, 256
"""Chunks of a PNG's pixels; more where they have so many bytes on average."""
CRITICAL = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
"""Chunks that nobody may skip."""
BITS_OF_COLOR: Mapping[int, Sequence[int]] = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
ONCE = (b"PLTE", b"tRNS", b"acTL", b"eXIf")
MOST_SEGMENTS, MOST_EXIF = 5_000, 16
"""Of a JPEG: all segments, and those of EXIF, which mostly has one."""
MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""Of JPEG, between the bits of a scan: what begins the next part; of many FF the last one and what follows."""
SOS, EOI, APP1 = 0xDA, 0xD9, 0xE1
SEGMENTS = frozenset((*range(0xC0, 0xC3), 0xC4, SOS, 0xDB, 0xDD, *range(0xE0, 0xF0), 0xFE))
"""The second bytes of markers that programs write and libjpeg reads, each with a length behind it; none of arithmetic
coding, which leaves bits out that are zero, nor of lossless one."""


def format_of(data: bytes) -> str | None:
    """The format that a file's first bytes are of, as Pillow calls it; None where they are of none that is known."""
    return next((kind for beginning, kind in BEGINNINGS.items() if data.startswith(beginning)), None)


def check_bytes(data: bytes) -> None:
    """A DataError about a file that no decoder shall see."""
    if (check := CHECKS.get(format_of(data) or "")) is not None:
        check(data)


def _png(data: bytes) -> None:
    """Chunks as Pillow goes through them, to the last one; it looks at few checksums and at few values."""
    if not data.startswith(PNG):
        return  # and Pillow says so
    counts: Counter[bytes] = Counter()
    of_pixels = beside = unpacked = 0
    for kind, start, size in _chunks(data):
        if kind in OF_PIXELS:
            of_pixels += 1
            if of_pixels > MOST_OF_PIXELS + len(data) // PIXEL_BYTES:
                raise DataError("G406", f"expected a PNG whose parts have {PIXEL_BYTES} bytes on average, found less")
            continue
        counts[kind] += 1
        beside += size
        unpacked += kind in (b"zTXt", b"iCCP") or (kind == b"iTXt" and _is_compressed(data[start : start + 100]))
        if kind in ONCE and counts[kind] > 1:
            raise DataError("G406", f"expected {kind.decode()} in a PNG once, found it twice")
        if counts.total() > MOST_CHUNKS or beside > MOST_BESIDE or unpacked > MOST_UNPACKED:
            most = f"{MOST_CHUNKS:,} chunks, {MOST_UNPACKED} compressed ones and {MOST_BESIDE:,} bytes"
            raise DataError("G406", f"expected at most {most} beside the pixels of a PNG, found more")


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """(kind, where its bytes begin, how many there are) of a PNG's chunks before the last; a DataError about what
    libpng refuses of them."""
    at, kind, view = 8, b"", memoryview(data)
    while kind != b"IEND":
        start, size, kind = at + 8, int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        end = start + size
        if end + 4 > len(data):
            raise DataError("G406", "the image is cut off: expected the last chunk of a PNG")
        if not kind.isalpha() or (kind[:1].isupper() and kind not in CRITICAL):
            raise DataError("G406", f"expected the chunks of a PNG, found one of the kind {kind!r}")
        if zlib.crc32(view[at + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            raise DataError("G406", f"the image is damaged: a PNG's {kind.decode()} has another checksum")
        if (at == 8) != (kind == b"IHDR") or (at == 8 and not _is_header(data[start:end])):
            raise DataError("G406", "expected a PNG's header first, with values that PNG knows, found another")
        if kind != b"IEND":
            yield kind, start, size
        at = end + 4


def _is_header(said: bytes) -> bool:
    """Whether width, height, bits, color and methods are some that PNG has."""
    if len(said) != 13:
        return False
    bits, color, *methods, interlaced = said[8:]
    return bits in BITS_OF_COLOR.get(color, ()) and not any(methods) and interlaced < 2


def _is_compressed(text: bytes) -> bool:
    """Whether the text of a chunk iTXt is; its keyword has at most 79 bytes."""
    return b"\0" not in text or text[text.index(b"\0") + 1 :][:1] != b"\0"


def _jpeg(data: bytes) -> None:
    scans = of_exif = 0
    for segments, (kind, at) in enumerate(jpeg_markers(data), start=1):
        if kind not in SEGMENTS:
            raise DataError("G406", f"expected the usual parts of a JPEG, found FF{kind:02X} at byte {at - 2:,}")
        scans += kind == SOS
        of_exif += kind == APP1 and data[at + 2 : at + 6] == b"Exif"
        if scans > MOST_SCANS:
            raise DataError("G406", f"expected a JPEG of at most {MOST_SCANS} scans, found more")
        if segments > MOST_SEGMENTS or of_exif > MOST_EXIF:
            raise DataError(
                "G406", f"expected a JPEG of at most {MOST_SEGMENTS:,} parts, {MOST_EXIF} of EXIF, found more"
            )


def jpeg_markers(data: bytes) -> Iterator[tuple[int, int]]:
    """The second bytes of a JPEG's markers, up to the image's end, and where the length behind each lies."""
    at = 2
    while (found := MARKER.search(data, at)) is not None and data[found.end() - 1] != EOI:
        at = found.end()
        yield data[at - 1], at
        at += max(int.from_bytes(data[at : at + 2], "big"), 2)


CHECKS: Mapping[str, Callable[[bytes], None]] = {
    "PNG": _png,
    "JPEG": _jpeg,
    "BMP": check_bmp,
    "GIF": check_gif,
    "TIFF": check_tiff_file,
}
