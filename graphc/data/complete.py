"""Whether the pixels of an image are all there: what a PNG or JPEG has may end, in good order, before the image does.

Of a PNG Pillow leaves the rest as it was. So the image begins with a mark in every pixel, and where the last pixels to
be decoded still have it, is decoded again with another one. How it is done for a JPEG stands in scans.py.
"""

from __future__ import annotations

import io

from PIL import Image

from graphc.data.decoders import file_of
from graphc.data.libtiff import load_tiff
from graphc.data.orientation import is_read_upright, orientation_of
from graphc.data.scans import end_early
from graphc.errors import DataError

MARKS = ((91, 23, 195, 143), (164, 232, 60, 112))
"""Values of the channels that no image has in a whole row, unless it was made for it."""
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""Of an interlaced PNG: the first column and row, and the steps between columns and rows."""


def load(opened: Image.Image) -> int:
    """Read the pixels of a file, and the value of its EXIF tag; a DataError where pixels end early."""
    if is_read_upright(opened):  # and then the tag is gone
        orientation = orientation_of(opened)
        load_tiff(opened)
        return orientation
    if _loaded_in_part(opened):
        raise DataError("G406", "the image's pixels end before the image does")
    return orientation_of(opened)


def _loaded_in_part(opened: Image.Image) -> bool:
    """Read the pixels of a file; whether they end early."""
    if opened.format == "PNG":
        data, last = file_of(opened), _last_pixels(opened)
        if _is_marked(opened, 0, last):
            with Image.open(io.BytesIO(data), formats=["PNG"]) as again:
                return _is_marked(again, 1, last)
        return False
    data = file_of(opened)
    opened.load()
    return opened.format in ("JPEG", "MPO") and end_early(data, opened)


def _is_marked(opened: Image.Image, number: int, last: tuple[int, range]) -> bool:
    """Whether pixels have the mark with which they begin after the file has been read."""
    mark = _color(opened, number)
    opened.im = Image.new(opened.mode, opened.size, mark).im
    opened.load()
    row, columns = last
    return all(opened.getpixel((column, row)) == mark for column in columns)


def _color(opened: Image.Image, number: int) -> int | tuple[int, ...]:
    """A mark in an image's mode."""
    count = len(opened.getbands())
    if opened.mode == "1":
        return 255 * number
    return MARKS[number][0] if count == 1 else MARKS[number][:count]


def _last_pixels(opened: Image.Image) -> tuple[int, range]:
    """Row and columns of what is decoded last; a DataError about a first frame that is smaller than the image."""
    if opened.tile[0].extents != (0, 0, *opened.size):  # type: ignore[attr-defined]
        raise DataError("G406", "expected a PNG whose first frame is as large as the image, found a smaller one")
    width, height = opened.size
    x, y, along, down = 0, 0, 1, 1
    if opened.info.get("interlace"):
        x, y, along, down = next(each for each in reversed(PASSES) if each[0] < width and each[1] < height)
    row = y + (height - 1 - y) // down * down
    return row, range(x, width, along)
