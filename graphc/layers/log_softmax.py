"""The logarithm of softmax over the channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from graphc.layers.base import Layer
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.types import Array, Context, Gradients, Params, Step


class LogSoftmax(Layer):
    """The logarithm of softmax along the last axis: of an image, at every pixel."""

    kind: ClassVar[str] = "log_softmax"
    family: ClassVar[str] = "activation"
    gives: ClassVar[str] = "logarithms of probabilities"

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        x = build.in_order(inputs[0])
        return build.op("LogSoftmax", x, axis=x.axis(-1))

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        (x,) = inputs
        y = np.subtract(x, x.max(axis=-1, keepdims=True), out=context.empty(x.shape, x.dtype))
        y -= np.log(np.exp(y).sum(axis=-1, keepdims=True))

        def backward(dy: Array) -> Gradients:
            return Gradients((dy - np.exp(y) * dy.sum(axis=-1, keepdims=True),))

        return Step(y, backward)
