"""The logarithm of softmax along an axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from graphc.layers.softmax import AlongAxis
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.training_graph.step import EmittedGradients, EmittedStep, TrainingBuilder
from graphc.training_graph.tensor import Tensor, axis_of
from graphc.types import Array, Context, Gradients, Params, Step


class LogSoftmax(AlongAxis):
    """The logarithm of softmax along an axis, by default the last: of an image, at every pixel."""

    kind: ClassVar[str] = "log_softmax"
    gives: ClassVar[str] = "logarithms of probabilities"

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        x = build.in_order(inputs[0])
        return build.op("LogSoftmax", x, axis=x.axis(self.along(x.shape)))

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        (x,) = inputs
        axis = 1 + self.along(x.shape[1:])
        y = np.subtract(x, x.max(axis=axis, keepdims=True), out=context.empty(x.shape, x.dtype))
        y -= np.log(np.exp(y).sum(axis=axis, keepdims=True))

        def backward(dy: Array) -> Gradients:
            return Gradients((dy - np.exp(y) * dy.sum(axis=axis, keepdims=True),))

        return Step(y, backward)

    def emit_training(self, build: TrainingBuilder, params: Mapping[str, Tensor], *inputs: Tensor) -> EmittedStep:
        (x,) = inputs
        axis = axis_of(x, self.along(x.example))
        y = x.log_softmax(axis)
        return EmittedStep(y, lambda dy: EmittedGradients((dy - y.exp() * dy.sum(axis, keep=True),)))
