"""What is refused of a TIFF, seen in its directory before Pillow and libtiff read it.

A directory of a kilobyte can ask for anything: strips that share their bytes, tiles larger than the image, and values
of which Pillow reads others than libtiff does. Here they are counted, compared with the file, and held to what
programs write; Pillow leaves out tags that it cannot read, and what is refused here would then be guessed.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from graphc.errors import DataError

PREFIXES = (b"II*\0", b"MM\0*", b"II\x00*", b"MM*\0", b"II+\0", b"MM\0+")
"""Of all that Pillow takes for a TIFF."""
SIZES: Mapping[int, tuple[int, str]] = {
    **dict.fromkeys((1, 2, 7), (1, "B")),
    **dict.fromkeys((4, 13), (4, "L")),
    3: (2, "H"),
    5: (8, "2L"),
    6: (1, "b"),
    8: (2, "h"),
    9: (4, "l"),
    10: (8, "2l"),
    11: (4, "f"),
    12: (8, "d"),
    16: (8, "Q"),
}
"""Bytes and form of a value, by the types that Pillow knows."""
RATIONAL, WHOLE = (5, 10), (1, 3, 4, 13, 16)
MOST_TAGS, MOST_RATIONALS, MOST_PARTS, MOST_SCANS = 1_000, 10_000, 32_768, 40
"""Of a directory: entries, and ratios among their values; of an image: strips or tiles; of a JPEG, a
TIFF's too: scans, of which a progressive one has about ten."""
SPARE_PIXELS = 2**22
"""That tiles may have beyond four times those of the image, to the right of it and below."""
WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, SAMPLES, ROWS, PLANAR = 256, 257, 258, 259, 262, 277, 278, 284
KIND, OLD_KIND, MOST_PAGES = 254, 255, 32
"""Of what kind an image is; how many smaller copies it may have."""
STRIPS, STRIP_BYTES, TILE_WIDTH, TILE_HEIGHT, TILES, TILE_BYTES = 273, 279, 322, 323, 324, 325
FILL_ORDER, PREDICTOR, COLOR_MAP, FORMAT, SUBSAMPLING = 266, 317, 320, 339, 530
COLORS: Mapping[int, int] = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3, 8: 3}
"""Channels of an image without alpha, by the number that says how colors are stored."""
FOLDERS = (34665, 34853, 40965)
"""Tags that say where a further directory lies: of EXIF, of places, of interoperability."""
COMPRESSIONS: Mapping[int, str] = {
    **dict(enumerate(("none", "CCITT", "group 3", "group 4", "LZW"), start=1)),
    7: "JPEG",
    8: "deflate",
    32773: "PackBits",
    32946: "deflate",
    34925: "LZMA",
    50000: "zstd",
    50001: "WebP",
}
RAW, JPEG = 1, 7
PREDICTED = (5, 8, 32946, 34925, 50000)
"""Compressions in which libtiff adds up the differences that a predictor has left."""
WHITE_IS_ZERO, RGB, PALETTE, YCBCR, SEPARATE, FLOAT = 0, 2, 3, 6, 2, 3


@dataclass(frozen=True, slots=True)
class _Entry:
    """Values of a tag, in the file's bytes."""

    kind: int
    count: int
    start: int


@dataclass(slots=True)
class _File:
    """A file and how it writes numbers."""

    data: bytes
    order: str = "<"
    is_big: bool = False
    taken: int = 0
    """Bytes of values that do not stand in the directories themselves."""
    ratios: int = 0
    seen: set[int] = field(default_factory=set)

    def numbers(self, form: str, at: int) -> tuple[int, ...]:
        """The numbers that lie there."""
        if at + struct.calcsize(self.order + form) > len(self.data):
            raise DataError("G406", "expected a TIFF's directory, found the file's end")
        return struct.unpack_from(self.order + form, self.data, at)

    def directory(self, at: int) -> dict[int, _Entry]:
        """The entries of the directory that lies there; its values are within the file, and few."""
        (count,) = self.numbers("Q" if self.is_big else "H", at)
        if count > MOST_TAGS:
            raise DataError("G406", f"expected a TIFF of at most {MOST_TAGS:,} tags, found {count:,}")
        found: dict[int, _Entry] = {}
        size, head = (20, 8) if self.is_big else (12, 2)
        for place in range(at + head, at + head + count * size, size):
            tag, kind, values = self.numbers("HHQ" if self.is_big else "HHL", place)
            if tag in found or kind not in SIZES:
                what = "once" if tag in found else "of a known type"
                raise DataError("G406", f"expected each tag of a TIFF {what}, found {tag} otherwise")
            found[tag] = _Entry(kind, values, self._start(tag, values * SIZES[kind][0], place))
            self.ratios += values if kind in RATIONAL else 0
        if self.ratios > MOST_RATIONALS:
            raise DataError("G406", f"expected at most {MOST_RATIONALS:,} ratios in a TIFF, found {self.ratios:,}")
        return found

    def next(self, at: int) -> int:
        """Where the directory behind the one that lies there does; 0: nowhere."""
        (count,) = self.numbers("Q" if self.is_big else "H", at)
        size, head = (20, 8) if self.is_big else (12, 2)
        return self.numbers("Q" if self.is_big else "L", at + head + count * size)[0]

    def is_copy(self, tags: Mapping[int, _Entry]) -> bool:
        """Whether a directory is about a smaller copy of another image; it may say so in an older tag."""
        return bool(self.one(tags, KIND, 0) & 1) or self.one(tags, OLD_KIND, 1) == 2

    def _start(self, tag: int, size: int, place: int) -> int:
        """Where a tag's values lie; the tag's entry lies at `place`."""
        room = 8 if self.is_big else 4
        value = place + (12 if self.is_big else 8)
        if size <= room:
            return value
        (start,) = self.numbers("Q" if self.is_big else "L", value)
        self.taken += size
        if start + size > len(self.data) or self.taken > len(self.data):
            raise DataError("G406", f"expected the values of a TIFF's tag {tag} in the file, found {size:,} bytes")
        return start

    def values(self, tags: Mapping[int, _Entry], tag: int, default: tuple[int, ...] = ()) -> tuple[int, ...]:
        """A tag's whole numbers."""
        if (entry := tags.get(tag)) is None or not entry.count:
            return default
        if entry.kind not in WHOLE or entry.count > max(MOST_PARTS, 3 * 2**16):
            raise DataError("G406", f"expected few whole numbers in a TIFF's tag {tag}, found {entry.count:,} values")
        return self.numbers(f"{entry.count}{SIZES[entry.kind][1]}", entry.start)

    def one(self, tags: Mapping[int, _Entry], tag: int, default: int) -> int:
        """A tag's only whole number."""
        found = self.values(tags, tag, (default,))
        if len(found) != 1:
            raise DataError("G406", f"expected one value in a TIFF's tag {tag}, found {len(found):,}")
        return found[0]


def check_tiff_file(data: bytes) -> None:
    """A DataError about a TIFF that costs more than its pixels, or that Pillow reads other values of than it has."""
    if data[:4] not in (b"II*\0", b"MM\0*", b"II+\0"):
        raise DataError("G406", f"expected a TIFF that begins with II*, MM* or II+, found {data[:4]!r}")
    file = _File(data, "<" if data[:2] == b"II" else ">", data[2:3] == b"+")
    (at,) = file.numbers("Q", 8) if file.is_big else file.numbers("L", 4)
    tags = file.directory(at)
    _check_pages(file, at, tags)
    _check_folders(file, tags)
    _check_parts(file, tags)
    _check_values(file, tags)


def _check_pages(file: _File, at: int, tags: Mapping[int, _Entry]) -> None:
    """Further images of a TIFF are smaller copies of the first, as their directories say; and it is none of these."""
    is_copy = file.is_copy(tags)
    for _ in range(MOST_PAGES):
        if not (at := file.next(at)):
            return
        if is_copy or not file.is_copy(file.directory(at)):
            raise DataError("G406", "expected a TIFF of one page, found more: save the one that is meant")
    raise DataError("G406", f"expected at most {MOST_PAGES} smaller copies of a TIFF's image, found more")


def _check_folders(file: _File, tags: Mapping[int, _Entry]) -> None:
    """Of further directories the same as of the first; Pillow follows them to this depth."""
    for tag in FOLDERS:
        for at in file.values(tags, tag)[:1]:
            within = file.directory(at)
            for place in file.values(within, FOLDERS[-1])[:1]:
                file.directory(place)


def _check_parts(file: _File, tags: Mapping[int, _Entry]) -> None:
    """Strips or tiles: as many as the image needs, and, where they are compressed, none that shares its bytes."""
    width, height = file.one(tags, WIDTH, 0), file.one(tags, HEIGHT, 0)
    if (STRIPS in tags) == (TILES in tags):
        raise DataError("G406", "expected a TIFF of strips or of tiles")
    starts, sizes = (STRIPS, STRIP_BYTES) if STRIPS in tags else (TILES, TILE_BYTES)
    down, right = file.one(tags, ROWS, height), width
    if TILES in tags:
        down, right = file.one(tags, TILE_HEIGHT, 0), file.one(tags, TILE_WIDTH, 0)
    if min(width, height, down, right) < 1:
        raise DataError("G406", "expected a TIFF whose image and strips or tiles have pixels")
    planes = file.one(tags, SAMPLES, 1) if file.one(tags, PLANAR, 1) == SEPARATE else 1
    parts = math.ceil(width / right) * math.ceil(height / down)
    if TILES in tags and parts * right * down > 4 * width * height + SPARE_PIXELS:
        raise DataError("G406", f"expected tiles as large as their image, found {parts:,} of {right:,}×{down:,}")
    parts *= planes
    found = tags[starts].count
    if parts > MOST_PARTS or found > MOST_PARTS:
        raise DataError(
            "G406", f"expected a TIFF of at most {MOST_PARTS:,} strips or tiles, found {max(parts, found):,}"
        )
    if found != parts:
        raise DataError("G406", f"expected a TIFF of {parts:,} strips or tiles, found {found:,}")
    compression = file.one(tags, COMPRESSION, RAW)
    if compression not in COMPRESSIONS:
        known = ", ".join(dict.fromkeys(COMPRESSIONS.values()))
        raise DataError("G406", f"expected a TIFF with one of the compressions {known}, found number {compression}")
    _check_bytes(file, tags, file.values(tags, starts), file.values(tags, sizes), compression)


def _check_bytes(
    file: _File, tags: Mapping[int, _Entry], starts: tuple[int, ...], sizes: tuple[int, ...], compression: int
) -> None:
    """Where strips or tiles lie: behind the file's head, in the file, and together in no more bytes than it has."""
    if min(starts) < 8 or max(starts) >= len(file.data):
        raise DataError("G406", "expected the strips or tiles of a TIFF in the file, found one elsewhere")
    if compression == RAW:
        return
    if len(sizes) != len(starts):
        raise DataError("G406", f"expected the bytes of {len(starts):,} strips or tiles, found {len(sizes):,}")
    ends = (start + size for start, size in zip(starts, sizes, strict=True))
    if sum(sizes) > len(file.data) or max(ends) > len(file.data):
        raise DataError("G406", "expected the strips or tiles of a TIFF beside each other in the file")
    if compression == JPEG and (scans := file.data.count(b"\xff\xda")) > MOST_SCANS + 3 * len(starts):
        raise DataError("G406", f"expected a TIFF with about a scan a strip or tile, found {scans:,}")


def _check_values(file: _File, tags: Mapping[int, _Entry]) -> None:
    """What Pillow would read without a word as something else."""
    photometric, compression = file.one(tags, PHOTOMETRIC, WHITE_IS_ZERO), file.one(tags, COMPRESSION, RAW)
    bits, planar, turned = file.values(tags, BITS, (1,)), file.one(tags, PLANAR, 1), file.one(tags, FILL_ORDER, 1) != 1
    channels = file.one(tags, SAMPLES, 1)
    colors = COLORS.get(photometric, channels)
    more = 0 if planar == SEPARATE and colors == 1 else 1  # alpha, but Pillow reads gray alone of planes
    found = ""
    if photometric == WHITE_IS_ZERO and (max(bits) > 8 or FLOAT in file.values(tags, FORMAT)):
        found = f"one of {max(bits)} bits in which 0 is white"
    elif photometric == YCBCR and compression == RAW and file.values(tags, SUBSAMPLING, (2, 2)) != (1, 1):
        found = "an uncompressed one with fewer values of color than of brightness"
    elif planar == SEPARATE and compression == RAW and not (set(bits) == {8} and photometric == RGB and not turned):
        found = "an uncompressed one of planes that are not red, green and blue in bytes"
    elif file.one(tags, PREDICTOR, 1) != 1 and compression not in PREDICTED:
        found = f"a predictor with the compression {COMPRESSIONS[compression]}"
    elif photometric == PALETTE and 0 < max(file.values(tags, COLOR_MAP, (0,))) < 256:
        found = "a palette of 8 bits, where 16 belong"
    elif channels > colors + more:
        found = f"{channels} channels, where {colors} are colors"
    if found:
        raise DataError("G406", f"expected a TIFF whose values Pillow reads as they are, found {found}")
