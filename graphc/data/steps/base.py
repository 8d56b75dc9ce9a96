"""What a step of preprocessing answers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, ClassVar, TypeAlias

from pydantic import AfterValidator, Field

from graphc.data.sample import Sample
from graphc.data.value_range import AnyRange, UnknownRange
from graphc.emit.operations import Operation
from graphc.settings import Kind
from graphc.types import Array

Chunks: TypeAlias = Callable[[], Iterator[Array]]
"""All images of the training set as they arrive at a step, some hundred at a time, in floats."""
Arrays: TypeAlias = Mapping[str, Array]


LARGEST, SMALLEST = 1e37, 1e-37
"""Of numbers that a recipe says: float32 holds them, and what is above the smallest, with all its digits."""


def _held(value: float) -> float:
    if abs(value) > LARGEST or 0 < abs(value) < SMALLEST:
        expected = f"expected 0 or a number of {SMALLEST:g} to {LARGEST:g}, as float32 holds it"
        raise ValueError(f"{expected}, found {value:g}")
    return value


Number: TypeAlias = Annotated[float, AfterValidator(_held)]
PositiveNumber: TypeAlias = Annotated[float, Field(gt=0), AfterValidator(_held)]
POSITIVE = ("deviation",)
"""What steps learn that they divide by."""


class Step(Kind):
    """A step of preprocessing."""

    called: ClassVar[str] = "preprocessing step"
    moves: ClassVar[bool] = False
    """Whether things are elsewhere in the picture afterwards."""

    @property
    def learns(self) -> bool:
        """Whether `fit` looks at the training set."""
        return False

    def fit(self, chunks: Chunks) -> dict[str, Array]:
        """What the step learns from the training set (images [N, H, W, C], some at a time), by name, in float64: [C] of
        channels, [H, W, C] of pixels, or as the step says."""
        return {}

    def learned(self, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
        """The shapes of what `fit` gives of images of this shape, by name."""
        return {}

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """An image's shape behind the step."""
        return shape

    def working(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """(values that are there for each image of this shape while the step is done, values that are there once)."""
        return math.prod(shape) + math.prod(self.shape(shape)), 0

    def move(self, sample: Sample) -> Sample:
        """An example's annotations where they are behind the step, and its image in the new size."""
        return sample

    def with_source(self, values: AnyRange | None) -> Step:
        """The step, where black and white come to it as these values."""
        return self

    def range_behind(self, values: AnyRange | None) -> AnyRange | None:
        """Which values are black and white behind the step."""
        return UnknownRange(f"what {self.kind} makes of them")

    def apply(self, x: Array, arrays: Arrays) -> Array:
        """Images [N, H, W, C] behind the step; `x` may be overwritten."""
        raise NotImplementedError(self.kind)

    def operations(self, arrays: Arrays, shape: tuple[int, ...]) -> list[Operation]:
        """The same for an ONNX file, on images of this shape."""
        raise NotImplementedError(self.kind)
