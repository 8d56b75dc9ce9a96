"""Synthetic pictures: shapes on textured grounds, with class, boxes and masks. Any number, any size, from a seed.

Example i depends on the seed and i alone.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from graphc.data.annotated import finite
from graphc.data.examples import BOX_LABEL, IMAGE, LABEL, Examples
from graphc.data.sample import BOXES, BOXES_THERE, MASK
from graphc.types import Array

CLASSES = ("disk", "square", "triangle", "ring", "cross")
TAG = 0x5AE
FINER = 4
"""Shapes are drawn so many times larger, then averaged: their edges are smooth."""


def make_shapes(count: int, size: tuple[int, int], channels: int, most: int, kinds: int, seed: int) -> Examples:
    """1 to `most` shapes of the first `kinds` classes a picture.

    Targets: `label`, the class of the largest shape; `boxes` and `box_label`, largest first (N 4 where `most` is 1);
    `mask`, 0 for the ground, class + 1 for shapes.
    """
    images = np.empty((count, *size, channels), np.uint8)
    masks = np.zeros((count, *size), np.int64)
    boxes = np.full((count, most, 4), np.nan, np.float32)
    labels = np.full((count, most), -1, np.int64)
    for row in range(count):
        rng = np.random.default_rng([seed, TAG, row])
        image = _ground(rng, size, channels)
        radii = np.sort(rng.uniform(0.14, 0.28, int(rng.integers(1, most, endpoint=True))))[::-1] * min(size)
        for at, (radius, middle) in enumerate(_places(rng, radii, size)):
            kind = int(rng.integers(kinds))
            cover = _cover(kind, radius, middle, rng.uniform(0, 2 * np.pi), size)
            _paint(rng, image, cover)
            inside = cover >= min(0.5, cover.max())  # in a tiny picture a shape may fill no pixel by half
            masks[row][inside] = kind + 1
            boxes[row, at], labels[row, at] = _around(inside), kind
        images[row] = np.clip(np.rint(image), 0, 255)
    targets: dict[str, Array] = {
        LABEL: labels[:, 0].copy(),
        MASK: masks,
        BOXES: boxes,
        BOX_LABEL: labels,
        BOXES_THERE: finite(boxes),
    }
    if most == 1:
        targets |= {name: targets[name][:, 0] for name in (BOXES, BOX_LABEL, BOXES_THERE)}
    return Examples({IMAGE: images}, targets, CLASSES[:kinds], f"shapes (seed {seed})")


def _places(rng: np.random.Generator, radii: Array, size: tuple[int, int]) -> list[tuple[float, Array]]:
    """(radius, middle) of shapes that do not touch; one for which no room is found is left out."""
    found: list[tuple[float, Array]] = []
    for radius in radii.tolist():
        for _ in range(30):
            middle = rng.uniform([radius, radius], [size[0] - radius, size[1] - radius])
            if all(np.hypot(*(middle - other)) > radius + beside + 1 for beside, other in found):
                found.append((radius, middle))
                break
    return found


def _cover(kind: int, radius: float, middle: Array, angle: float, size: tuple[int, int]) -> Array:
    """How much of each pixel a shape covers, 0 to 1."""
    canvas = Image.new("L", (size[1] * FINER, size[0] * FINER))
    draw = ImageDraw.Draw(canvas)
    y, x = middle * FINER
    r = radius * FINER

    def polygon(*points: tuple[float, float]) -> None:
        """Corners as (distance in radii, angle in turns)."""
        corners = [
            (x + d * r * np.cos(angle + 2 * np.pi * t), y + d * r * np.sin(angle + 2 * np.pi * t)) for d, t in points
        ]
        draw.polygon(corners, fill=255)

    match CLASSES[kind]:
        case "disk":
            draw.ellipse((x - r, y - r, x + r, y + r), fill=255)
        case "square":
            polygon(*((1.0, turn / 4) for turn in range(4)))
        case "triangle":
            polygon(*((1.0, turn / 3) for turn in range(3)))
        case "ring":
            draw.ellipse((x - r, y - r, x + r, y + r), fill=255)
            draw.ellipse((x - r / 2, y - r / 2, x + r / 2, y + r / 2), fill=0)
        case _:  # a cross: two bars
            polygon((1.0, 0.05), (1.0, 0.45), (1.0, 0.55), (1.0, 0.95))
            polygon((1.0, 0.20), (1.0, 0.30), (1.0, 0.70), (1.0, 0.80))
    fine = np.asarray(canvas, np.float64).reshape(size[0], FINER, size[1], FINER)
    return np.asarray(fine.mean(axis=(1, 3)) / 255)


def _ground(rng: np.random.Generator, size: tuple[int, int], channels: int) -> Array:
    """A color with waves and grain."""
    rows, columns = np.mgrid[: size[0], : size[1]] / min(size)
    color = rng.uniform(60, 200, channels)
    texture = sum(
        rng.uniform(4, 14)
        * np.sin(2 * np.pi * (rng.uniform(-6, 6) * rows + rng.uniform(-6, 6) * columns) + rng.uniform(0, 6))
        for _ in range(3)
    )
    return np.asarray(color + np.asarray(texture)[..., None] + rng.normal(0, 6, (*size, channels)))


def _paint(rng: np.random.Generator, image: Array, cover: Array) -> None:
    """A color that stands out, with grain of its own, where the shape covers the ground."""
    mean = image.mean()
    color = rng.uniform(0, 255, image.shape[2])
    color += np.sign(color.mean() - mean) * max(0.0, 60 - abs(color.mean() - mean))
    grain = rng.normal(0, 6, image.shape)
    image += cover[..., None] * (color + grain - image)


def _around(there: Array) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of the true pixels."""
    rows, columns = np.flatnonzero(there.any(axis=1)), np.flatnonzero(there.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
