"""Normalization to length one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from graphc.dims import Shape
from graphc.layers.base import Layer, channels, scalar
from graphc.layers.fields import PositiveNumber
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.types import Array, Context, Gradients, Params, Step


class UnitNorm(Layer):
    """x / sqrt(epsilon + sum of the squares of the channels)."""

    kind: ClassVar[str] = "unit_norm"
    family: ClassVar[str] = "normalization"
    accepts: ClassVar[tuple[str, ...]] = ("activation",)

    epsilon: PositiveNumber = 1e-7
    """Added to the sum of squares."""

    def infer_shape(self, *inputs: Shape) -> Shape:
        channels(inputs[0], self.kind)
        return inputs[0]

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        x = build.in_order(inputs[0])
        axis = build.constant("axis", np.asarray([x.axis(-1)], np.int64))
        summed = build.op("ReduceSum", build.op("Mul", x, x), axis, shape=(*x.shape[:-1], 1), keepdims=1)
        length = build.op("Sqrt", build.op("Add", summed, scalar(build, "epsilon", self.epsilon)))
        return build.op("Div", x, length)

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        (x,) = inputs
        inverse = 1 / np.sqrt(np.sum(x * x, axis=-1, keepdims=True) + self.epsilon)
        y = x * inverse

        def backward(dy: Array) -> Gradients:
            along = np.sum(dy * y, axis=-1, keepdims=True)
            return Gradients((inverse * (dy - y * along),))

        return Step(y, backward)
