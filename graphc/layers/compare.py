"""Comparisons of two inputs, number by number: 1 where one holds, 0 where it does not. No gradient goes through."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from graphc.layers.broadcast import aligned
from graphc.layers.elementwise_merge import Elementwise
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.training_graph.tensor import Tensor
from graphc.types import Array, Context, Gradients, Params, Step

FLOAT = 1
"""ONNX's number of float32."""


class Comparison(Elementwise):
    """What comparisons share."""

    ordered: ClassVar[bool] = True
    inputs_at_least: ClassVar[int] = 2
    inputs_at_most: ClassVar[int | None] = 2

    @staticmethod
    @abstractmethod
    def holds(one: Array, other: Array) -> Array:
        """Whether it does, element by element, of arrays of any shapes that broadcast: bool."""

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        return build.op("Cast", super().emit(build, inputs, params), to=FLOAT)

    def emit_parts(self, dy: Tensor, inputs: list[Tensor], y: Tensor) -> list[Tensor]:
        return [dy * 0.0 for _ in inputs]

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        one, other = aligned(inputs)
        y = self.holds(one, other).astype(one.dtype)
        return Step(y, lambda dy: Gradients(tuple(np.zeros_like(x) for x in inputs)))


class Greater(Comparison):
    """1 where the first input is greater than the second, else 0."""

    kind: ClassVar[str] = "greater"
    operator: ClassVar[str] = "Greater"

    @staticmethod
    def holds(one: Array, other: Array) -> Array:
        return np.greater(one, other)


class Equal(Comparison):
    """1 where both inputs are the same number, else 0: a map and its max_pool2d show the peaks, as CenterNet's."""

    kind: ClassVar[str] = "equal"
    operator: ClassVar[str] = "Equal"

    @staticmethod
    def holds(one: Array, other: Array) -> Array:
        return np.equal(one, other)
