"""The pixels of a file in the type that it stores, and brought to the type that a data set has."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from graphc.data.complete import load
from graphc.data.decoders import bits_of, file_of, spread, unspread
from graphc.data.drawn import Decoded
from graphc.data.orientation import is_read_upright, upright
from graphc.data.value_range import BYTES, ImageValues, UnknownRange, ValueRange, brought, range_of
from graphc.errors import DataError, Place
from graphc.types import Array

MODES = {1: "L", 3: "RGB", 4: "RGBA"}
WIDE = ("I", "I;16", "I;16B", "I;16L", "F")
"""Pillow's modes of one channel with more than 8 bits."""
SIGNED_16 = ("I;16S", "I;16BS")
UNSIGNED_32 = "I;32N"
BIG_ENDIAN = frozenset({"I;16BS", "I;32B", "I;32BS", "F;32BF", "F;64BF"})
"""Layouts in big-endian order that Pillow also takes for what libtiff has put into the machine's order."""
SAMPLE_FORMAT, SIGNED = 339, 2
"""TIFF's tag of what a value is, and a whole number with a sign."""
BETWEEN = {"La": "LA", "LAB": "RGB"}
"""Modes that Pillow converts to few others, by one of these."""
RGB_565 = "BGR;16"
"""Of 16 bits a pixel, not a value."""


def pixels_of(opened: Image.Image, name: str, channels: int, values: ImageValues | None) -> Decoded:
    """height × width × channels, upright, in the type and range of `values`; None: in the file's own type."""
    check_tiff(opened, name)
    _check_transparency(opened, name, channels)
    stored = stored_type(opened)  # before pixels are read
    color = opened.mode not in WIDE
    if stored != "uint8":
        _check_type(stored, color, name, values)
    levels, colors = spread(opened), _palette_colors(opened)
    orientation = load(opened)
    _check_palette(opened, colors)
    found = _of_bytes(opened, MODES[channels]) if color else _of_one_channel(opened, stored, name, values, levels)
    found = found if is_read_upright(opened) else upright(found, orientation)
    if values is not None:
        found = brought(found, values.dtype, values.range, _range_in_file(color, values))
    return Decoded(found if found.shape[2] == channels else _with_channels(found, channels, values), orientation)


def stored_type(opened: Image.Image) -> str:
    """The type of a file's values; where Pillow reads fewer bits than the file has, still the file's."""
    raw, most = raw_mode(opened)
    if opened.mode == "F":
        return "float32"
    if opened.mode == "I" and ";32" in raw:
        return "uint32" if raw == UNSIGNED_32 else "int32"
    if raw in SIGNED_16:
        return "int16"
    wide = opened.mode in WIDE or (";16" in raw and raw != RGB_565) or most > np.iinfo(np.uint8).max
    return "uint16" if wide or bits_of(file_of(opened), opened.format or "") > 8 else "uint8"


def raw_mode(opened: Image.Image) -> tuple[str, int]:
    """(what Pillow calls the file's own layout, the largest value, 0 where it is not said)."""
    tiles: Any = getattr(opened, "tile", None)
    args = tiles[0][3] if tiles else ""
    parts = args if isinstance(args, tuple) else (args,)
    raw = next((part for part in parts if isinstance(part, str)), "")
    is_ppm = opened.format == "PPM" and len(parts) == 2 and isinstance(parts[1], int)
    return raw, parts[1] if is_ppm else 0


def check_tiff(opened: Image.Image, name: str) -> None:
    """An error where Pillow would read other values from a TIFF than it has: bytes in the wrong order of large types in
    a compressed one that is big-endian, and whole numbers with a sign of 8 bits as those without."""
    if opened.format != "TIFF":
        return
    tags: Any = getattr(opened, "tag_v2", {})
    decoder, raw = next(((tile[0], raw_mode(opened)[0]) for tile in getattr(opened, "tile", ())), ("", ""))
    found = ""
    if decoder == "libtiff" and raw in BIG_ENDIAN:
        found = f"a compressed one of {stored_type(opened)} that is big-endian: save it uncompressed, or little-endian"
    elif SIGNED in np.ravel(tags.get(SAMPLE_FORMAT, ())) and stored_type(opened) == "uint8":
        found = "one of int8, which is read as uint8"
    if found:
        raise DataError("G406", f"expected a TIFF whose values Pillow reads as they are, found {found}", Place(name))


def _check_type(stored: str, color: bool, name: str, values: ImageValues | None) -> None:
    """An error where a file of more than 8 bits a value would lose some of them, and nobody said so."""
    if values is not None and values.dtype == "uint8" and values.reduced:
        return
    if color:
        found = "found a color image of 16, of which 8 can be read"
        notes = ["`dtype: uint8` at the source takes the upper 8; `npz` keeps all of them"]
        raise DataError("G406", f"expected an image of 8 bits a value, {found}", Place(name), notes)
    if values is not None and values.dtype == "uint8":
        notes = [f"`dtype: {'uint16' if stored == 'uint16' else 'float32'}` at the source keeps them"]
        notes += ["`dtype: uint8` reduces them to 8 bits"] if stored == "uint16" else []
        raise DataError("G406", f"expected an image of 8 bits a value, found {stored}", Place(name), notes)


def _check_transparency(opened: Image.Image, name: str, channels: int) -> None:
    """An error where a PNG's transparent color decides over alpha and Pillow compares it with other values."""
    if opened.format != "PNG" or channels != len("RGBA") or "transparency" not in opened.info:
        return
    bits, kind = file_of(opened)[24:26]
    if bits in (2, 4, 16) and kind in (0, 2):
        message = f"expected alpha in a channel of its own, found a transparent color in a PNG of {bits} bits"
        raise DataError("G406", message, Place(name))


def _palette_colors(opened: Image.Image) -> int:
    """How many colors a file's palette has, before pixels are read, when Pillow fills it up with black; that of a TIFF
    is full."""
    palette: Any = opened.palette
    if opened.format == "TIFF":
        return 256
    return len(palette.palette) // len(palette.rawmode or palette.mode) if palette else 0


def _check_palette(opened: Image.Image, colors: int) -> None:
    """An error where a pixel has none of its palette's colors."""
    if opened.mode != "P":
        return
    most = int(np.asarray(opened).max())
    if most >= colors:
        raise DataError("G406", f"expected pixels of a palette's {colors} colors, found one of color {most}")


def _of_bytes(opened: Image.Image, mode: str) -> Array:
    image: Image.Image = opened
    if image.mode in BETWEEN:
        image = image.convert(BETWEEN[image.mode])
    if image.mode == "P" or "transparency" in image.info:
        image = image.convert("RGBA")
    image = image if image.mode == mode else image.convert(mode)
    pixels = np.asarray(image, np.uint8)
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def _of_one_channel(
    opened: Image.Image, stored: str, name: str, values: ImageValues | None, levels: tuple[int, int]
) -> Array:
    """Values in the type `stored`; as the file has them, where the recipe says which of them are black and white, also
    where Pillow has spread them to other `levels`."""
    pixels = np.asarray(opened)
    pixels = (pixels.view(np.uint32) if stored == "uint32" else pixels.astype(stored))[:, :, None]
    if pixels.dtype.kind == "f" and values is not None and not np.isfinite(pixels).all():
        raise DataError("G406", "expected an image of finite values, found NaN or infinite ones", Place(name))
    if values is not None and values.in_files is None and levels[0] == levels[1] > 1:  # 12 bits, not spread to 16
        pixels = unspread(pixels, (65535, levels[1]))
    if values is not None and values.in_files is not None:
        low, high = values.in_files
        pixels = unspread(pixels, levels)
        if pixels.min() < low or pixels.max() > high:
            found = f"found {pixels.min():g} to {pixels.max():g}"
            message = f"expected values from {low:g} to {high:g}, as `value_range` says, {found}"
            raise DataError("G406", message, Place(name))
    return pixels


def _range_in_file(color: bool, values: ImageValues) -> ValueRange | None:
    """Which values of a file are black and white, where its type or the recipe says it."""
    if color:
        return BYTES.known_range
    return ValueRange(*values.in_files) if values.in_files is not None else None


def _with_channels(pixels: Array, channels: int, values: ImageValues | None) -> Array:
    """A gray image in more channels; alpha, if any, is white."""
    found = np.repeat(pixels, channels, axis=2)
    if channels == len("RGBA"):
        white = range_of(pixels) if values is None else values.range
        if isinstance(white, UnknownRange):
            raise white.error("alpha")
        found[:, :, -1] = white.high
    return found
