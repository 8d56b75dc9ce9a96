"""Arrays as small PNG pictures inside the page."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from graphc.types import Array


def data_uri(pixels: Array) -> str:
    """A picture [H, W] or [H, W, 3], uint8, as `data:image/png;base64,…`."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def to_bytes(values: Array, low: float, high: float) -> Array:
    """Numbers of any shape between `low` and `high` as 0 to 255."""
    scaled = (np.asarray(values, np.float64) - low) / ((high - low) or 1.0)
    return np.asarray(np.clip(np.round(255 * scaled), 0, 255), np.uint8)


def mosaic(maps: Array, columns: int, gap: int = 1) -> Array:
    """Pictures [N, H, W] or [N, H, W, 3], uint8, side by side in rows, with white between."""
    count, height, width, *depth = maps.shape
    rows = -(-count // columns)
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, *depth), 255, np.uint8)
    for index, picture in enumerate(maps):
        top, left = (index // columns) * (height + gap), (index % columns) * (width + gap)
        sheet[top : top + height, left : left + width] = picture
    return sheet


def thumbnail(image: Array, limit: int = 360) -> Array:
    """An image [H, W, C] of any numbers as gray or color bytes, no side longer than `limit`."""
    step = max(-(-max(image.shape[:2]) // limit), 1)
    small = image[::step, ::step]
    if small.dtype != np.uint8:
        small = to_bytes(small, float(small.min()), float(small.max()))
    return np.asarray(small[..., :3] if small.shape[-1] >= 3 else small[..., 0])
