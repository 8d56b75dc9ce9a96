"""Normalization to length one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from graphc.dims import Shape
from graphc.layers.base import Layer, channels, scalar
from graphc.layers.fields import PositiveNumber
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.training_graph.step import EmittedGradients, EmittedStep, TrainingBuilder
from graphc.training_graph.tensor import Tensor, channel_axis
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

    def emit_training(self, build: TrainingBuilder, params: Mapping[str, Tensor], *inputs: Tensor) -> EmittedStep:
        (x,) = inputs
        axis = channel_axis(x)
        inverse = 1 / ((x * x).sum(axis, keep=True) + self.epsilon).sqrt()
        y = x * inverse
        return EmittedStep(y, lambda dy: EmittedGradients((inverse * (dy - y * (dy * y).sum(axis, keep=True)),)))
