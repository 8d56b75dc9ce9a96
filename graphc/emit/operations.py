"""What preprocessing does to a running value in an ONNX file, one class an operation; images are N H W C, float32.

What a step does to arrays stands with the step (`graphc.data.steps`). `graphc.emit.front` puts operations before a
network, and what it can into the first layers' weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np

from graphc.types import Array

Sizes: TypeAlias = tuple[Any, ...]
"""Of one image, H W C; symbols only where all operations are `Affine`."""


class FrontBuilder(Protocol):
    """What an operation may ask of the emitter."""

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """A node's output."""

    def constant(self, label: str, array: Any, dtype: Any = np.float32) -> str:
        """An initializer."""

    def mean(self, value: str, axes: int) -> str:
        """The mean of each example over all its axes, which stay, with one element each."""


class Operation(Protocol):
    """One operation."""

    def emit(self, build: FrontBuilder, value: str, shape: Sizes) -> tuple[str, Sizes]:
        """(value, shape of an image) behind the operation."""


@dataclass(frozen=True, slots=True, eq=False)
class Affine:
    """x*scale + offset."""

    scale: Array
    """1, C or H W C."""
    offset: Array
    """The same."""

    def after(self, first: Affine) -> Affine:
        """Both as one."""
        return Affine(first.scale * self.scale, first.offset * self.scale + self.offset)

    def emit(self, build: FrontBuilder, value: str, shape: Sizes) -> tuple[str, Sizes]:
        if not (self.scale == 1).all():
            value = build.op("Mul", value, build.constant("scale", self.scale))
        if self.offset.any():
            value = build.op("Add", value, build.constant("offset", self.offset))
        return value, shape


@dataclass(frozen=True, slots=True)
class CenterEach:
    """Each image minus its own mean."""

    def emit(self, build: FrontBuilder, value: str, shape: Sizes) -> tuple[str, Sizes]:
        return build.op("Sub", value, build.mean(value, len(shape))), shape


@dataclass(frozen=True, slots=True)
class DeviateEach:
    """Each image, whose mean is 0, over its own deviation."""

    epsilon: float
    """Added to the variance."""

    def emit(self, build: FrontBuilder, value: str, shape: Sizes) -> tuple[str, Sizes]:
        squares = build.mean(build.op("Mul", value, value), len(shape))
        variance = build.op("Add", squares, build.constant("epsilon", [self.epsilon]))
        return build.op("Div", value, build.op("Sqrt", variance)), shape


@dataclass(frozen=True, slots=True, eq=False)
class MixChannels:
    """Each pixel's channels times a matrix."""

    matrix: Array
    """C, and the channels that come out."""

    def emit(self, build: FrontBuilder, value: str, shape: Sizes) -> tuple[str, Sizes]:
        value = build.op("MatMul", value, build.constant("matrix", self.matrix))
        return value, (*shape[:-1], self.matrix.shape[1])


@dataclass(frozen=True, slots=True, eq=False)
class MixAll:
    """All values of an image times a matrix."""

    matrix: Array
    """H*W*C twice."""

    def emit(self, build: FrontBuilder, value: str, shape: Sizes) -> tuple[str, Sizes]:
        flat = build.op("Reshape", value, build.constant("flat", [-1, len(self.matrix)], np.int64))
        mixed = build.op("MatMul", flat, build.constant("matrix", self.matrix))
        return build.op("Reshape", mixed, build.constant("image", [-1, *shape], np.int64)), shape


@dataclass(frozen=True, slots=True, eq=False)
class Resample:
    """Another height and width, as two products with matrices."""

    down: Array
    """The new height and H."""
    right: Array
    """The new width and W."""

    def emit(self, build: FrontBuilder, value: str, shape: Sizes) -> tuple[str, Sizes]:
        new = (len(self.down), len(self.right), shape[2])
        wide = build.op("MatMul", build.constant("right", self.right), value)  # N H w C
        rows = build.constant("rows", [-1, self.down.shape[1], new[1] * new[2]], np.int64)
        tall = build.op("MatMul", build.constant("down", self.down), build.op("Reshape", wide, rows))  # N h (w C)
        return build.op("Reshape", tall, build.constant("resized", [-1, *new], np.int64)), new


@dataclass(frozen=True, slots=True)
class Crop:
    """A part of the image."""

    start: tuple[int, int]
    """Its first row and column."""
    size: tuple[int, int]

    def emit(self, build: FrontBuilder, value: str, shape: Sizes) -> tuple[str, Sizes]:
        ends = [at + length for at, length in zip(self.start, self.size, strict=True)]
        bounds: tuple[tuple[str, Any], ...] = (("starts", self.start), ("ends", ends), ("axes", [1, 2]))
        cut = build.op("Slice", value, *(build.constant(label, each, np.int64) for label, each in bounds))
        return cut, (*self.size, shape[2])


@dataclass(frozen=True, slots=True)
class Edges:
    """Edges of one value around the image."""

    start: tuple[int, int]
    """Where the image's first row and column go."""
    size: tuple[int, int]
    """With the edges."""
    fill: float

    def emit(self, build: FrontBuilder, value: str, shape: Sizes) -> tuple[str, Sizes]:
        after = [whole - at - have for whole, at, have in zip(self.size, self.start, shape, strict=False)]
        pads = build.constant("pads", [0, *self.start, 0, 0, *after, 0], np.int64)
        return build.op("Pad", value, pads, build.constant("fill", self.fill)), (*self.size, shape[2])
