"""Images that are stored turned, with an EXIF tag that says how: the image, and what was drawn in it, made upright.

The tag's eight values: 1 upright; 2 mirrored; 3 by half a turn; 4 above and below exchanged; 5 rows and columns
exchanged; 6 to be turned clockwise; 7 rows and columns exchanged, then half a turn; 8 to be turned against it.
"""

from __future__ import annotations

import numpy as np
from PIL import ExifTags, Image

from graphc.types import Array

UPRIGHT = 1
LARGEST = 8


def orientation_of(opened: Image.Image) -> int:
    """The tag's value, before pixels are read; what is no such value counts as upright, as it does for Pillow."""
    found = opened.getexif().get(ExifTags.Base.Orientation, UPRIGHT)
    return found if isinstance(found, int) and UPRIGHT <= found <= LARGEST else UPRIGHT


def is_read_upright(opened: Image.Image) -> bool:
    """Whether Pillow turns the image by itself as it reads it."""
    return opened.format == "TIFF"


def exchanges_sides(orientation: int) -> bool:
    """Whether height becomes width."""
    return orientation > 4


def upright(pixels: Array, orientation: int) -> Array:
    """Pixels [H, W, …] as they are to be seen: a view."""
    if exchanges_sides(orientation):
        pixels = pixels.swapaxes(0, 1)
    down, right = {2: (1, -1), 3: (-1, -1), 4: (-1, 1), 6: (1, -1), 7: (-1, -1), 8: (-1, 1)}.get(orientation, (1, 1))
    return np.ascontiguousarray(pixels[::down, ::right])


def upright_points(points: Array, size: tuple[int, int], orientation: int) -> Array:
    """Points [..., 2], x and y, of an image stored as (height, width), as they are to be seen; a new array."""
    height, width = (size[1], size[0]) if exchanges_sides(orientation) else size
    x, y = points[..., 0], points[..., 1]
    if exchanges_sides(orientation):
        x, y = y, x
    x = width - x if orientation in (2, 3, 6, 7) else x
    y = height - y if orientation in (3, 4, 7, 8) else y
    return np.stack([x, y], axis=-1)


def upright_boxes(boxes: Array, size: tuple[int, int], orientation: int) -> Array:
    """The same of boxes [..., 4]: left, top, right, bottom."""
    corners = upright_points(boxes.reshape(*boxes.shape[:-1], 2, 2), size, orientation)
    return np.concatenate([corners.min(axis=-2), corners.max(axis=-2)], axis=-1)
