"""Softmax over the channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from graphc.layers.base import Layer
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.types import Array, Context, Gradients, Params, Step


class Softmax(Layer):
    """exp(x) over its sum along the last axis: of an image, at every pixel."""

    kind: ClassVar[str] = "softmax"
    family: ClassVar[str] = "activation"
    gives: ClassVar[str] = "probabilities"

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        x = build.in_order(inputs[0])
        return build.op("Softmax", x, axis=x.axis(-1))

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        (x,) = inputs
        y = np.exp(np.subtract(x, x.max(axis=-1, keepdims=True), out=context.empty(x.shape, x.dtype)))
        y /= y.sum(axis=-1, keepdims=True)

        def backward(dy: Array) -> Gradients:
            along = np.sum(dy * y, axis=-1, keepdims=True)
            return Gradients((y * (dy - along),))

        return Step(y, backward)
