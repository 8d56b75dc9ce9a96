"""Images from files, one decoder for all: a list of allowed formats, and sizes read before pixels are."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from graphc.data.complete import load
from graphc.data.decoders import refused, spread, unspread
from graphc.data.drawn import Decoded
from graphc.data.endings import formats
from graphc.data.headers import check_bytes, format_of
from graphc.data.orientation import is_read_upright, upright
from graphc.data.pixels import WIDE, check_tiff, pixels_of, raw_mode, stored_type
from graphc.data.placement import marked
from graphc.data.reading import LARGEST_FILE, open_regular
from graphc.data.resizing import STRETCH, Resizing
from graphc.data.sample import Sample
from graphc.data.sides import PIXEL_LIMIT
from graphc.data.value_range import BYTES, ImageValues
from graphc.errors import DataError, MachineError, Place
from graphc.files import shown
from graphc.types import Array

MOST_SIDE = 2**20
"""Pixels in a row or column of any image, whatever its number of pixels may be."""
LOSSY = ("JPEG", "MPO", "WEBP", "AVIF", "JPEG2000")
"""Formats in which a value may not stay as it was."""
WHITE_IS_ZERO = ("L;I", "L;2I", "L;4I")
"""Pillow's names of a TIFF's gray values that are turned around; of one bit, black is 0 however it is stored."""

logging.getLogger("PIL").addHandler(logging.NullHandler())  # or its errors are written to standard error
warnings.filterwarnings("ignore", module=r"PIL\.")  # what it warns of is checked here; images are read by threads


@dataclass(frozen=True, slots=True)
class Decoding:
    """What an image in a file becomes."""

    channels: int = 3
    size: tuple[int, int] | None = None
    """(height, width) that it is resized to; None: its own."""
    pixels: int = PIXEL_LIMIT
    """That it may have in the file."""
    resizing: Resizing = STRETCH
    values: ImageValues | None = BYTES
    """Type and range that it is brought to; None: the file's own."""


AS_BYTES = Decoding()
"""Three channels in the image's own size."""


def read_image(path: Path, decoding: Decoding = AS_BYTES) -> Array:
    """`decode_image` of a file: [H, W, C]."""
    with open_regular(path) as file:
        return decode_image(file, shown(path), decoding)


def read_sample(path: Path, decoding: Decoding) -> tuple[Sample, tuple[int, int]]:
    """An image of a file in the size that is asked for, its corners marked, and (height, width) that it had before."""
    with open_regular(path) as file:
        pixels = decode_with_tag(file, shown(path), decoding).pixels
    values = decoding.values
    sample = marked(Sample(pixels, value_range=None if values is None else values.said_range))
    found = sample if decoding.size is None else resized(sample, decoding.size, decoding.resizing, shown(path))
    return found, sample.size


def image_shape(path: Path) -> tuple[int, int, int]:
    """(height, width, channels: 1 in gray, else 3) of a file, as it is stored, from its header alone."""
    with open_regular(path) as file, _opened(file, shown(path), PIXEL_LIMIT) as image:
        return image.height, image.width, 1 if image.mode in ("L", "1", "I;16") else 3


def decode_image(data: bytes | BinaryIO, name: str, decoding: Decoding = AS_BYTES) -> Array:
    """[H, W, C], upright (EXIF). `name` is for messages."""
    found = decode_with_tag(data, name, decoding).pixels
    if decoding.size is None:
        return found
    values = decoding.values
    sample = Sample(found, value_range=None if values is None else values.said_range)
    return resized(sample, decoding.size, decoding.resizing, name).image


def decode_with_tag(data: bytes | BinaryIO, name: str, decoding: Decoding) -> Decoded:
    """The same in the image's own size, whatever size is asked for, with its EXIF tag."""
    with _opened(data, name, decoding.pixels) as opened:
        return pixels_of(opened, name, decoding.channels, decoding.values)


def resized(sample: Sample, size: tuple[int, int], resizing: Resizing, name: str) -> Sample:
    """An example of this name in another size."""
    try:
        return resizing.apply(sample, size)
    except DataError as error:
        error.place = error.place or Place(name)
        raise


def decode_mask_with_tag(data: bytes | BinaryIO, name: str, pixels: int = PIXEL_LIMIT) -> Decoded:
    """Class indices [H, W], upright, with the EXIF tag: the values of a gray image, or the palette's indices."""
    with _opened(data, name, pixels) as opened:
        _check_mask(opened, name)
        stored, levels = stored_type(opened), spread(opened)
        orientation = load(opened)
        found = unspread(_mask_of(opened, stored, name), levels)
        return Decoded(found if is_read_upright(opened) else upright(found, orientation), orientation)


def _check_mask(opened: Image.Image, name: str) -> None:
    """An error about a mask whose values are not those that Pillow would read."""
    if opened.format in LOSSY:
        message = f"expected a mask that is kept exactly, found {opened.format}, which changes values: save it as PNG"
        raise DataError("G406", message, Place(name))
    check_tiff(opened, name)
    if raw_mode(opened)[0].startswith(WHITE_IS_ZERO):
        message = "expected a mask in which 0 is black, found a TIFF in which it is white: nothing says its classes"
        raise DataError("G406", message, Place(name))
    if opened.mode not in WIDE and stored_type(opened) != "uint8":
        message = "expected a mask of 8 bits, or of 16 in gray, found one of 16 in color: its values cannot be read"
        raise DataError("G406", message, Place(name))


def _mask_of(opened: Image.Image, stored: str, name: str) -> Array:
    """The values as Pillow has read them, of the file's own type `stored`."""
    if opened.mode in ("RGB", "RGBA", "LA") and (gray := _gray(np.asarray(opened), opened.mode)) is not None:
        return gray.astype(np.int64)
    if opened.mode not in ("L", "P", "1", "I", "I;16", "I;16B"):
        message = f"expected a mask in gray or with a palette, found one in {opened.mode}"
        raise DataError("G406", message, Place(name), notes=["its values are the classes' indices, not colors"])
    values = np.asarray(opened)
    return (values.view(np.uint32) if stored == "uint32" else values).astype(np.int64)


def _gray(values: Array, mode: str) -> Array | None:
    """The gray values of a mask that is only stored in color; None where it has colors, or is transparent."""
    colors = values[..., :-1] if mode.endswith("A") else values
    if mode.endswith("A") and (values[..., -1] != 255).any():
        return None
    return colors[..., 0] if (colors == colors[..., :1]).all() else None


@contextmanager
def _opened(data: bytes | BinaryIO, name: str, pixels: int) -> Iterator[Image.Image]:
    """The image, its size checked before its pixels are read; whatever goes wrong is an error of this file."""
    if not isinstance(data, bytes):
        data = data.read(LARGEST_FILE + 1)
    if len(data) > LARGEST_FILE:
        raise DataError("G406", f"the file has more than {LARGEST_FILE:,} bytes", Place(name))
    try:
        check_bytes(data)
        with Image.open(io.BytesIO(data), formats=formats()) as opened:
            if opened.width * opened.height > pixels:
                found = f"{opened.width}×{opened.height} = {opened.width * opened.height:,} pixels"
                raise DataError("G406", f"the image has {found}, the limit is {pixels:,}", Place(name))
            if max(opened.size) > MOST_SIDE:  # decoders and resizing need memory for each row, and for each column
                found = f"{opened.width:,}×{opened.height:,} pixels"
                message = f"the image has {found}: expected at most {MOST_SIDE:,} in a row or column"
                raise DataError("G406", message, Place(name))
            if said := refused(data, opened):
                raise DataError("G406", said, Place(name))
            yield opened
    except Image.DecompressionBombError:  # Pillow's own limit
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        raise DataError(
            "G406", f"the image has more than {most:,} pixels, the limit is {pixels:,}", Place(name)
        ) from None
    except UnidentifiedImageError:
        raise DataError("G406", _unknown(data), Place(name)) from None
    except DataError as error:
        error.place = error.place or Place(name)
        raise
    except (MachineError, MemoryError):
        raise
    except Exception as error:  # Pillow's decoders raise almost anything for a damaged file
        raise DataError("G406", f"the image is damaged or cut off: {error}", Place(name)) from None


def _unknown(data: bytes) -> str:
    """What is said of a file whose header Pillow does not read."""
    if (kind := format_of(data)) in formats():
        return f"expected a whole {kind} of values that are read here, found a header that is damaged, or of others"
    return f"expected an image in one of {', '.join(formats())}, found something else"
