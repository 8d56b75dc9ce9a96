"""RandAugment: some of fourteen operations, drawn anew for each image, all of one magnitude.

Cubuk et al. 2019 (arXiv 1909.13719); the operations, their order and their ranges are torchvision's. Values are
counted in levels, 0 black to 255 white, whatever the image's type; of bytes every operation gives Pillow's own bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from pydantic import Field

from graphc.data.augment.base import Augmentation
from graphc.data.augment.color import GRAY
from graphc.data.resizing import UnitInterval
from graphc.data.sample import Sample, about_center, warp
from graphc.data.value_range import ValueRange
from graphc.lazy import np
from graphc.types import Array

MOST = 30
"""The largest magnitude."""
WHITE = 255
LUMA = (19595, 38470, 7471)
"""Pillow's shares of red, green and blue in gray, of 65536."""

Matrix: TypeAlias = Callable[[float, tuple[int, int]], Array]
"""(amount, height and width) -> 3×3, old coordinates to new ones."""
Values: TypeAlias = Callable[[Array, float, bool], Array]
"""(levels H W C, amount, whether they are bytes) -> new levels."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One of the fourteen."""

    name: str
    change: Values | None = None
    move: Matrix | None = None
    least: float = 0.0
    """The amount at magnitude 0; of a move along an axis, in shares of its length."""
    most: float = 0.0
    """The amount at the largest magnitude."""
    signed: bool = False
    """Whether the amount is negative half of the time."""

    def amount(self, magnitude: int) -> float:
        return self.least + (self.most - self.least) * magnitude / MOST

    def apply(self, sample: Sample, amount: float, fill: float) -> Sample:
        """The example, changed by so much; `fill`: of what comes in from outside."""
        if self.move is not None:
            return warp(sample, self.move(amount, sample.size), fill)
        return sample if self.change is None else changed(sample, self.change, amount)


def changed(sample: Sample, change: Values, amount: float) -> Sample:
    """The example with the image's colors changed; an alpha channel stays."""
    known = sample.known_range("rand_augment")
    whole = sample.image.dtype == np.uint8 and known == ValueRange(0.0, WHITE)
    values: Array = sample.image.astype(np.float32 if whole else np.float64)
    levels = values if whole else np.clip((values - known.low) * (WHITE / known.span), 0, WHITE)
    colors = 3 if levels.shape[2] == 4 else levels.shape[2]
    new = np.clip(change(levels[:, :, :colors], amount, whole), 0, WHITE)
    new = np.floor(new) if whole else new * (known.span / WHITE) + known.low
    return sample.with_values(np.concatenate([new, values[:, :, colors:]], axis=2))


def gray_of(levels: Array, whole: bool) -> Array:
    """[H, W, 1]: brightness of colors; the mean of channels that are no colors."""
    if levels.shape[2] != 3:
        return levels.mean(axis=2, keepdims=True) if levels.shape[2] > 1 else levels
    if whole:
        mixed = (levels.astype(np.int64) @ np.array(LUMA) + 2**15) >> 16
        return np.asarray(mixed[:, :, None].astype(levels.dtype))
    return np.asarray(levels @ np.array(GRAY, levels.dtype))[:, :, None]


def away_from(plain: Array, levels: Array, amount: float) -> Array:
    """Distances from a plainer image times 1 + amount: [H, W, C], `plain` of that or a number."""
    return np.asarray(plain + levels.dtype.type(1 + amount) * (levels - plain))


def brightness(levels: Array, amount: float, whole: bool) -> Array:
    """Away from black: [H, W, C]."""
    return away_from(np.zeros_like(levels), levels, amount)


def color(levels: Array, amount: float, whole: bool) -> Array:
    """Away from gray: [H, W, C]; channels that are no colors stay."""
    return away_from(gray_of(levels, whole), levels, amount) if levels.shape[2] == 3 else levels


def contrast(levels: Array, amount: float, whole: bool) -> Array:
    """Away from the mean brightness of the image: [H, W, C]."""
    mean = float(gray_of(levels, whole).mean(dtype=np.float64))
    return away_from(levels.dtype.type(math.floor(mean + 0.5) if whole else mean), levels, amount)


def sharpness(levels: Array, amount: float, whole: bool) -> Array:
    """[H, W, C] away from the mean of 3×3 pixels in which the middle counts five times; the rim has none."""
    plain = levels.copy()
    if min(levels.shape[:2]) >= 3:
        rows, columns = levels.shape[0] - 2, levels.shape[1] - 2
        parts = [levels[y : y + rows, x : x + columns] for y in range(3) for x in range(3)]
        smooth = (np.sum(parts, axis=0) + 4 * parts[4]) / 13
        plain[1:-1, 1:-1] = np.floor(smooth + 0.5) if whole else smooth
    return away_from(plain, levels, amount)


def posterize(levels: Array, amount: float, whole: bool) -> Array:
    """[H, W, C] with so many of eight bits left."""
    step = 2 ** (8 - round(amount))
    return np.asarray(np.floor(levels / step) * step)


def solarize(levels: Array, amount: float, whole: bool) -> Array:
    """[H, W, C] with what is as bright or brighter inverted."""
    return np.where(levels < amount, levels, WHITE - levels)


def auto_contrast(levels: Array, amount: float, whole: bool) -> Array:
    """[H, W, C], each channel from black to white."""
    low, high = levels.min(axis=(0, 1)).astype(np.float64), levels.max(axis=(0, 1)).astype(np.float64)
    scale = np.where(high > low, WHITE / np.where(high > low, high - low, 1), 1.0)
    return levels * scale + np.where(high > low, -low * scale, 0.0)


def equalize(levels: Array, amount: float, whole: bool) -> Array:
    """[H, W, C] with all levels as often, in each channel, as nearly as whole levels allow."""
    counted = levels.astype(np.int64) if whole else np.rint(levels).astype(np.int64)
    tables = [_equal(np.bincount(counted[:, :, channel].ravel(), minlength=256)) for channel in range(levels.shape[2])]
    found = np.stack([table[counted[:, :, channel]] for channel, table in enumerate(tables)], axis=2)
    return found.astype(levels.dtype)


def _equal(counts: Array) -> Array:
    """Level -> level, from how often each is there (Pillow's)."""
    there = counts[counts > 0]
    step = int(there.sum() - there[-1]) // WHITE
    if len(there) <= 1 or step == 0:
        return np.arange(256)
    return np.asarray((step // 2 + np.cumsum(counts) - counts) // step)


def _shear(x: float, y: float) -> Array:
    return np.array([[1, x, 0], [y, 1, 0], [0, 0, 1.0]])


def _shift(x: float, y: float) -> Array:
    return np.array([[1, 0, math.trunc(x)], [0, 1, math.trunc(y)], [0, 0, 1.0]])


FARTHEST = 150 / 331
"""Share of the image's side that it is moved by, at most."""
OPERATIONS = (
    Operation("identity"),
    Operation("shear_x", move=lambda amount, size: _shear(amount, 0), most=0.3, signed=True),
    Operation("shear_y", move=lambda amount, size: _shear(0, amount), most=0.3, signed=True),
    Operation("translate_x", move=lambda amount, size: _shift(amount * size[1], 0), most=FARTHEST, signed=True),
    Operation("translate_y", move=lambda amount, size: _shift(0, amount * size[0]), most=FARTHEST, signed=True),
    Operation("rotate", move=lambda amount, size: about_center(size, degrees=amount), most=30, signed=True),
    Operation("brightness", brightness, most=0.9, signed=True),
    Operation("color", color, most=0.9, signed=True),
    Operation("contrast", contrast, most=0.9, signed=True),
    Operation("sharpness", sharpness, most=0.9, signed=True),
    Operation("posterize", posterize, least=8, most=4),
    Operation("solarize", solarize, least=WHITE, most=0),
    Operation("auto_contrast", auto_contrast),
    Operation("equalize", equalize),
)
"""In torchvision's order; `amount` runs evenly from `least` to `most`."""


class RandAugment(Augmentation):
    """Some of fourteen operations, drawn for each image, all of one magnitude (Cubuk et al. 2019; torchvision's
    ranges): identity, shear_x, shear_y, translate_x, translate_y, rotate, brightness, color, contrast, sharpness,
    posterize, solarize, auto_contrast, equalize."""

    kind: ClassVar[str] = "rand_augment"
    moves: ClassVar[bool] = True
    copies: ClassVar[int] = 32

    operations: int = Field(default=2, ge=1, le=100)
    """How many, one after the other; the same may come again."""
    magnitude: int = Field(default=9, ge=0, le=MOST)
    """How strong they are: 0 to 30."""
    fill: UnitInterval = 0.0
    """What comes in from outside: 0 is black, 1 white."""

    def apply(self, sample: Sample, rng: np.random.Generator, size: tuple[int, int]) -> Sample:
        for number in rng.integers(len(OPERATIONS), size=self.operations).tolist():
            operation = OPERATIONS[number]
            amount = operation.amount(self.magnitude)
            if operation.signed and rng.random() < 0.5:
                amount = -amount
            sample = operation.apply(sample, amount, self.fill)
        return sample
