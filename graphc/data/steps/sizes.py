"""Steps that make an image of another size; what is on it moves along."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import ClassVar

from graphc.data.resizing import by_shorter_side, inside, middle
from graphc.data.sample import Sample, crop, resize
from graphc.data.sides import ShorterSide, Size
from graphc.data.steps.base import Arrays, Number, Step
from graphc.data.value_range import AnyRange, ValueRange
from graphc.emit.operations import Crop, Edges, Operation, Resample
from graphc.errors import DataError
from graphc.lazy import np
from graphc.types import Array


class Resize(Step):
    """Another size, by the bilinear filter over the whole source area, as two products of matrices."""

    kind: ClassVar[str] = "resize"
    exactly_one = (("size", "shorter_side"),)
    moves: ClassVar[bool] = True

    size: Size | None = None
    """[height, width]; or:"""
    shorter_side: ShorterSide | None = None
    """Pixels of the shorter side, the aspect being kept."""

    def range_behind(self, values: AnyRange | None) -> AnyRange | None:
        return values

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (*self._target(shape[0], shape[1]), *shape[2:])

    def working(self, shape: tuple[int, ...]) -> tuple[int, int]:
        return _working(shape, self._target(shape[0], shape[1]), self.shape(shape))

    def move(self, sample: Sample) -> Sample:
        return resize(sample, *self._target(*sample.size))

    def apply(self, x: Array, arrays: Arrays) -> Array:
        return _stretched(x, self._target(*x.shape[1:3]))

    def operations(self, arrays: Arrays, shape: tuple[int, ...]) -> list[Operation]:
        return [_stretch(shape, self._target(shape[0], shape[1]))]

    def _target(self, height: int, width: int) -> tuple[int, int]:
        if self.shorter_side is not None:
            return by_shorter_side((height, width), self.shorter_side)
        assert self.size is not None, "one of both is given"
        return self.size


class CenterCrop(Step):
    """The middle of the image."""

    kind: ClassVar[str] = "center_crop"
    moves: ClassVar[bool] = True

    size: Size
    """[height, width]."""

    def range_behind(self, values: AnyRange | None) -> AnyRange | None:
        return values

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        if shape[0] < self.size[0] or shape[1] < self.size[1]:
            found = f"{shape[0]}×{shape[1]}"
            raise DataError(
                "G404", f"center_crop expects images of at least {self.size[0]}×{self.size[1]}, found {found}"
            )
        return (*self.size, *shape[2:])

    def move(self, sample: Sample) -> Sample:
        return crop(sample, *middle(sample.size, self.size), *self.size)

    def apply(self, x: Array, arrays: Arrays) -> Array:
        top, left = middle(x.shape[1:3], self.size)
        return x[:, top : top + self.size[0], left : left + self.size[1]]

    def operations(self, arrays: Arrays, shape: tuple[int, ...]) -> list[Operation]:
        return [Crop(middle(shape[:2], self.size), self.size)]


class Letterbox(Step):
    """The longer side to its length, then edges beside the rest: nothing is distorted or lost."""

    kind: ClassVar[str] = "letterbox"
    moves: ClassVar[bool] = True

    size: Size
    """[height, width]."""
    fill: Number = 0.0
    """Value of the edges, as images have them at this step: of bytes 0 to 255, behind `rescale` 0 to 1."""

    def range_behind(self, values: AnyRange | None) -> AnyRange | None:
        return values

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (*self.size, *shape[2:])

    def working(self, shape: tuple[int, ...]) -> tuple[int, int]:
        return _working(shape, inside(shape[:2], self.size)[0], self.shape(shape))

    def move(self, sample: Sample) -> Sample:
        inner, (top, left) = inside(sample.size, self.size)
        painted = replace(resize(sample, *inner), value_range=ValueRange(0, 1))  # only where things are is asked for
        return crop(painted, -top, -left, *self.size)

    def apply(self, x: Array, arrays: Arrays) -> Array:
        (height, width), (top, left) = inside(x.shape[1:3], self.size)
        out = np.full((len(x), *self.size, x.shape[3]), self.fill, x.dtype)
        out[:, top : top + height, left : left + width] = _stretched(x, (height, width))
        return out

    def operations(self, arrays: Arrays, shape: tuple[int, ...]) -> list[Operation]:
        inner, start = inside(shape[:2], self.size)
        return [_stretch(shape, inner), Edges(start, self.size, self.fill)]


def _stretched(x: Array, size: tuple[int, int]) -> Array:
    """Images N H W C in another height and width."""
    down, right = (resizing(n, m).astype(x.dtype) for n, m in zip(x.shape[1:3], size, strict=True))
    rows = np.tensordot(down, x, axes=(1, 1))  # h N W C
    return np.ascontiguousarray(np.tensordot(right, rows, axes=(1, 2)).transpose(2, 1, 0, 3))


def _working(shape: tuple[int, ...], size: tuple[int, int], behind: tuple[int, ...]) -> tuple[int, int]:
    """Of `_stretched`: the image before, between and behind both products, twice; two matrices, which are made of
    three others."""
    between = size[0] * shape[1] * shape[2]
    matrices = sum(old * new for old, new in zip(shape[:2], size, strict=True))
    return math.prod(shape) + between + 2 * size[0] * size[1] * shape[2] + math.prod(behind), 8 * matrices


def _stretch(shape: tuple[int, ...], size: tuple[int, int]) -> Operation:
    return Resample(*(resizing(n, m) for n, m in zip(shape[:2], size, strict=True)))


def resizing(source: int, target: int) -> Array:
    """The matrix [target, source] of bilinear resizing, in float64: triangles as wide as a target pixel, at least a
    source's."""
    scale = source / target
    reach = max(scale, 1.0)
    middles = (np.arange(target) + 0.5) * scale
    distance = np.abs(np.arange(source) + 0.5 - middles[:, None])
    weights = np.maximum(1 - distance / reach, 0)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))
