"""What is refused of pixmaps (PBM, PGM, PPM, PFM), which Pillow reads otherwise than Netpbm describes them, or slowly.

A text's comments are cut out of all that follows each, and values up to a number of the file's own are filled up pixel
by pixel.
"""

from __future__ import annotations

import re

import numpy as np
from PIL import Image

KINDS = (*(b"P%d" % number for number in range(1, 7)), b"Pf")
"""What files begin with. Pillow has others of its own."""
MOST_PIXELS, MOST_COMMENTS = 8_000_000, 1_000
"""Of an image that Pillow fills up one by one; of a text."""
OTHERS = re.compile(rb"[^0-9\s]")
"""What stands in no text of values."""
COMMENT = re.compile(rb"#[^\r\n]*")
TEXT, OWN_MOST = "ppm_plain", "ppm"
"""Pillow's names of decoders: of texts, and of values up to a number of the file's own."""


def pixmap_refused(data: bytes, opened: Image.Image) -> str:
    """Why a pixmap is not decoded, as a sentence; nothing where it is."""
    decoder, _, start, args = opened.tile[0]  # type: ignore[attr-defined]
    if data[:2] not in KINDS:
        return f"expected a pixmap that begins with P1 to P6 or Pf, found {data[:2]!r}"
    if opened.info.get("scale", 1) != 1:
        return f"expected a PFM of scale 1 or -1, found {opened.info['scale']:g}"
    if opened.mode != "F" and (said := _text_refused(data[2:] if decoder == TEXT else data[2:start])):
        return said
    if decoder == TEXT:
        return ""
    most = args[1] if decoder == OWN_MOST else 255
    said = _values_refused(data, opened, start, most) if decoder == OWN_MOST else ""
    behind = data[start + _bytes_of(opened, decoder, most) :].strip()
    return said or (f"expected one image in a pixmap, found {len(behind):,} bytes behind it" if behind else "")


def _text_refused(text: bytes) -> str:
    """What else than numbers is in a header, or in a text of values too."""
    comments = text.count(b"#")
    if comments > MOST_COMMENTS:
        return f"expected at most {MOST_COMMENTS:,} comments, found {comments:,}"
    found = OTHERS.search(COMMENT.sub(b"", text))
    return f"expected digits and spaces in a pixmap, found {found[0]!r}" if found else ""


def _bytes_of(opened: Image.Image, decoder: str, most: int) -> int:
    """Of an image's pixels in the file."""
    width, height = opened.size
    if opened.mode == "1":
        return -(-width // 8) * height
    wide = most > np.iinfo(np.uint8).max if decoder == OWN_MOST else opened.mode == "I"
    return width * height * (4 if opened.mode == "F" else len(opened.getbands()) * (2 if wide else 1))


def _values_refused(data: bytes, opened: Image.Image, start: int, most: int) -> str:
    """Values up to a number of the file's own: Pillow cuts larger ones off."""
    if (pixels := opened.width * opened.height) > MOST_PIXELS:
        found = f"{pixels:,} to {most:,}: save it as PNG"
        return f"expected at most {MOST_PIXELS:,} pixels in a PPM of values to other than 255 or 65535, found {found}"
    kind = np.dtype(">u2" if most > np.iinfo(np.uint8).max else np.uint8)
    count = min(pixels * len(opened.getbands()), (len(data) - start) // kind.itemsize)
    values = np.frombuffer(data, kind, count, start)
    return (
        f"expected values up to {most:,} in a PPM, found {values.max()}" if values.size and values.max() > most else ""
    )
