"""One example with its annotations, and the ways to move image and annotations together.

Coordinates are pixels from the upper left corner of the image: pixel (row, column) covers the square from
(column, row) to (column + 1, row + 1), so its center is at + 0.5. Boxes are left, top, right, bottom; key points x, y.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np
from PIL import Image

from graphc.data.value_range import AnyRange, UnknownRange, ValueRange, in_type, range_of
from graphc.errors import DataError
from graphc.types import Array

MASK, BOXES, BOXES_THERE, POINTS, POINTS_THERE = "mask", "boxes", "boxes_there", "points", "points_there"
ANNOTATIONS = (MASK, BOXES, BOXES_THERE, POINTS, POINTS_THERE)
"""Targets of these names are annotations: they move with the image."""
VALID = {BOXES: BOXES_THERE, POINTS: POINTS_THERE}
"""The target that says which boxes, or key points, of an example there are: 1 or 0 for each."""


Interpolation: TypeAlias = Literal["bilinear", "bicubic"]
RESAMPLING: Mapping[Interpolation, Image.Resampling] = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}
LARGEST = 10**8
"""Numbers that an image may have after resizing: one that is a line would otherwise grow without bound."""


NEAREST = 1e-6
"""Of a projection: what is behind the eye is taken to be in front of it, and then far outside of the picture."""


@dataclass(frozen=True, slots=True)
class Sample:
    """An image, and what is known of places in it."""

    image: Array
    """H W C."""
    mask: Array | None = None
    """H W, a class index a pixel."""
    boxes: Array | None = None
    """K 4: the parts that are in the picture."""
    whole: Array | None = None
    """K 4: the same boxes, with what has left the picture."""
    boxes_there: Array | None = None
    """K: whether there is such a box at all."""
    points: Array | None = None
    """K 2."""
    points_there: Array | None = None
    """K: whether the point is in the picture."""
    value_range: AnyRange | None = None
    """Which values of the image are black and white; None: what the image shows."""
    mask_fill: int = 0
    """What comes into the mask from outside of the picture."""
    mirrored: tuple[int, ...] = ()
    """For each point the one that stands in its place in a mirror; empty: all stay what they are."""

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.image.shape[0], self.image.shape[1]

    def known_range(self, what: str) -> ValueRange:
        """Which values are black and white; an error that asks for it where that is not known. `what` needs it."""
        found = self.value_range or range_of(self.image)
        if isinstance(found, UnknownRange):
            raise found.error(what)
        return found

    def with_values(self, values: Array) -> Sample:
        """The image with these values (floats [H, W, C], which may be overwritten), rounded where it has integers, and
        cut off at its range."""
        limits = self.value_range if isinstance(self.value_range, ValueRange) else None
        return replace(self, image=in_type(values, self.image.dtype, limits))


def sample_of(
    image: Array,
    annotations: dict[str, Array],
    value_range: ValueRange | UnknownRange | None = None,
    mask_fill: int = 0,
    mirrored: tuple[int, ...] = (),
) -> Sample:
    """An example from its image [H, W, C] and its arrays by target name: a mask [H, W], boxes [K, 4], points [K, 2]; a
    box [4] or point [2] of a single thing counts as one.

    `value_range`: of the image's values; None: what the image itself shows. `mask_fill`: what comes into the mask from
    outside of the picture. `mirrored`: the order of the points in a mirror.
    """
    boxes, points = annotations.get(BOXES), annotations.get(POINTS)
    mask = annotations.get(MASK)
    if mask is not None and mask.shape != image.shape[:2]:
        sizes = " and ".join("×".join(map(str, shape)) for shape in (image.shape[:2], mask.shape))
        raise DataError("G404", f"expected a mask of the image's size, found {sizes}")
    found: dict[str, Any] = {"mask": None if mask is None else mask.astype(np.int64), "mask_fill": mask_fill}
    found["mirrored"] = mirrored
    found["value_range"] = value_range or range_of(image)
    if boxes is not None:
        boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
        found |= {"boxes": boxes, "whole": boxes, "boxes_there": _there(annotations.get(BOXES_THERE), boxes)}
    if points is not None:
        points = np.asarray(points, np.float64).reshape(-1, 2)
        found |= {"points": points, "points_there": _there(annotations.get(POINTS_THERE), points)}
    return _inside(Sample(image, **found))


def _there(given: Array | None, coordinates: Array) -> Array:
    finite: Array = np.all(np.isfinite(coordinates), axis=1)
    return finite if given is None else finite & (np.asarray(given).reshape(-1) > 0)


def drop_lost_boxes(sample: Sample, least: float) -> Sample:
    """Boxes of which less than `least` of the area is still in the picture are no longer there."""
    if sample.boxes is None or sample.whole is None or sample.boxes_there is None:
        return sample
    area = _areas(sample.boxes)
    kept = (area > 0) & (area >= least * _areas(sample.whole))
    return replace(sample, boxes_there=sample.boxes_there & kept)


def _areas(boxes: Array) -> Array:
    area: Array = np.maximum(boxes[:, 2:] - boxes[:, :2], 0).prod(axis=1)
    return area


# moving -----------------------------------------------------------------------------------------------------


def flip(sample: Sample, horizontal: bool) -> Sample:
    """Left and right exchanged, or above and below; either is a mirror."""
    axis = 1 if horizontal else 0
    length = sample.size[axis]

    def mirrored(x: Array, y: Array) -> tuple[Array, Array]:
        return (length - x, y) if horizontal else (x, length - y)

    mask = None if sample.mask is None else np.flip(sample.mask, axis)
    found = _moved(sample, np.flip(sample.image, axis), mask, mirrored)
    if not sample.mirrored or found.points is None or found.points_there is None:
        return found
    order = list(sample.mirrored)
    return replace(found, points=found.points[order], points_there=found.points_there[order])


def turn(sample: Sample, quarters: int) -> Sample:
    """Turned counterclockwise by so many quarters."""
    for _ in range(quarters % 4):
        width = sample.size[1]
        mask = None if sample.mask is None else np.rot90(sample.mask)
        sample = _moved(sample, np.rot90(sample.image), mask, lambda x, y, width=width: (y, width - x))  # type: ignore[misc]
    return sample


def crop(sample: Sample, top: int, left: int, height: int, width: int, fill: float = 0) -> Sample:
    """A window of the image, which may reach beyond it: `fill` there (0 is black, 1 white)."""

    rows, columns = sample.size
    inside = min(top, left) >= 0 and top + height <= rows and left + width <= columns
    black_to_white = None if inside else sample.known_range("a fill")

    def window(array: Array, value: float) -> Array:
        if inside:
            return array[top : top + height, left : left + width]
        out = np.full((height, width, *array.shape[2:]), value, array.dtype)
        y0, y1, x0, x1 = max(top, 0), min(top + height, rows), max(left, 0), min(left + width, columns)
        if y1 > y0 and x1 > x0:
            out[y0 - top : y1 - top, x0 - left : x1 - left] = array[y0:y1, x0:x1]
        return out

    mask = None if sample.mask is None else window(sample.mask, sample.mask_fill)
    image = window(sample.image, 0.0 if black_to_white is None else _filling(sample.image, black_to_white, fill))
    return _moved(sample, image, mask, lambda x, y: (x - left, y - top))


def _filling(image: Array, values: ValueRange, share: float) -> float:
    """The value of a fill, as the image's type holds it."""
    return float(in_type(np.array([values.at(share)], np.float64), image.dtype)[0])


def resize(sample: Sample, height: int, width: int, interpolation: Interpolation = "bilinear") -> Sample:
    """Image over the whole source area (Pillow's, antialiased); masks take the nearest pixel's class."""
    rows, columns = sample.size
    if (rows, columns) == (height, width):
        return sample
    if (numbers := height * width * sample.image.shape[2]) > LARGEST:
        found = f"{numbers:,}: {height}×{width} pixels for an image of {rows}×{columns}"
        raise DataError("G406", f"expected a size of at most {LARGEST:,} numbers, found {found}")
    image = _by_pillow(sample.image, lambda part: part.resize((width, height), RESAMPLING[interpolation]))
    mask = sample.mask
    if mask is not None:
        down = (np.arange(height) + 0.5) * rows / height
        right = (np.arange(width) + 0.5) * columns / width
        mask = mask[down.astype(np.intp)[:, None], right.astype(np.intp)]
    return _moved(sample, image, mask, lambda x, y: (x * width / columns, y * height / rows))


def warp(sample: Sample, matrix: Array, fill: float = 0) -> Sample:
    """The image through a matrix [3, 3] that takes old coordinates (x, y, 1) to new ones, affine or a projection."""
    height, width = sample.size
    try:
        inverse = np.linalg.inv(matrix)
    except np.linalg.LinAlgError:
        inverse = np.full((3, 3), np.nan)
    if not np.isfinite(inverse).all() or not inverse[2, 2]:
        raise DataError("G404", "expected augmentations that leave something of an image, found scales next to nothing")
    back = tuple((inverse / inverse[2, 2]).ravel()[:8].tolist())
    flat = not matrix[2, :2].any()
    way = Image.Transform.AFFINE if flat else Image.Transform.PERSPECTIVE
    color = _filling(sample.image, sample.known_range("a fill"), fill)

    def moved(part: Image.Image, resample: Image.Resampling, value: float) -> Image.Image:
        bands = len(part.getbands())
        filling: Any = (round(value),) * bands if bands > 1 else value if part.mode == "F" else round(value)
        return part.transform((width, height), way, back[: 6 if flat else 8], resample, fillcolor=filling)

    image = _by_pillow(sample.image, lambda part: moved(part, Image.Resampling.BILINEAR, color))
    mask = sample.mask
    if mask is not None:
        turned = moved(Image.fromarray(mask.astype(np.int32)), Image.Resampling.NEAREST, sample.mask_fill)
        mask = np.asarray(turned).astype(mask.dtype)

    def through(x: Array, y: Array) -> tuple[Array, Array]:
        u, v, far = (a * x + b * y + c for a, b, c in matrix)
        return (u, v) if flat else (u / np.maximum(far, NEAREST), v / np.maximum(far, NEAREST))

    return _moved(sample, image, mask, through)


def about_center(size: tuple[int, int], scale: float = 1.0, degrees: float = 0.0) -> Array:
    """The matrix [3, 3] that scales, and turns clockwise as one sees it, about the middle of the image."""
    y, x = size[0] / 2, size[1] / 2
    cosine, sine = scale * math.cos(math.radians(degrees)), scale * math.sin(math.radians(degrees))
    return np.array([[cosine, -sine, x - cosine * x + sine * y], [sine, cosine, y - sine * x - cosine * y], [0, 0, 1]])


def projection(old: Array, new: Array) -> Array:
    """The matrix [3, 3] that takes four points [4, 2] to four others."""
    rows: list[list[float]] = []
    for (x, y), (u, v) in zip(old.tolist(), new.tolist(), strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
    return np.append(np.linalg.solve(np.array(rows), new.ravel()), 1.0).reshape(3, 3)


Move = Callable[[Array, Array], tuple[Array, Array]]


def _moved(sample: Sample, image: Array, mask: Array | None, move: Move) -> Sample:
    """New pictures, and every coordinate through `move`."""
    boxes = None if sample.boxes is None else _around(sample.boxes, move)
    whole = None if sample.whole is None else _around(sample.whole, move)
    points = None if sample.points is None else np.stack(move(sample.points[:, 0], sample.points[:, 1]), axis=1)
    return _inside(replace(sample, image=image, mask=mask, boxes=boxes, whole=whole, points=points))


def _around(boxes: Array, move: Move) -> Array:
    """The upright boxes around the moved corners."""
    x, y = move(boxes[:, [0, 2, 0, 2]], boxes[:, [1, 1, 3, 3]])
    return np.stack([x.min(axis=1), y.min(axis=1), x.max(axis=1), y.max(axis=1)], axis=1)


def _inside(sample: Sample) -> Sample:
    """Boxes cut off at the image's edges; points beyond them are not there."""
    if sample.boxes is None and sample.points is None:
        return sample
    height, width = sample.size
    boxes, there = sample.boxes, sample.points_there
    if boxes is not None:
        boxes = np.clip(boxes, 0, [width, height, width, height])
    if sample.points is not None and there is not None:
        there = there & ((sample.points >= 0) & (sample.points <= [width, height])).all(axis=1)
    return replace(sample, boxes=boxes, points_there=there)


def _by_pillow(image: Array, change: Callable[[Image.Image], Image.Image]) -> Array:
    """Through Pillow: bytes in 1, 3 or 4 channels at once, everything else channel by channel."""
    channels = image.shape[2]
    if image.dtype == np.uint8 and channels in (1, 3, 4):
        changed = np.asarray(change(Image.fromarray(image[:, :, 0] if channels == 1 else np.ascontiguousarray(image))))
        return changed[:, :, None] if channels == 1 else changed
    own = np.uint8 if image.dtype == np.uint8 else np.float32
    parts = [np.asarray(change(Image.fromarray(image[:, :, c].astype(own)))) for c in range(channels)]
    changed = np.stack(parts, axis=2)
    return changed if image.dtype == own else in_type(changed, image.dtype)
