"""ReLU (the other activations join here)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from graphc.layers.base import Layer
from graphc.lazy import np
from graphc.types import Array, Context, Gradients, OnnxBuilder, Params, Step, Value


class Activation(Layer):
    """An element-wise function without variables."""

    family: ClassVar[str] = "activation"
    elementwise: ClassVar[bool] = True


class Relu(Activation):
    """max(x, 0)."""

    kind: ClassVar[str] = "relu"

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        return build.op("Relu", inputs[0])

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        (x,) = inputs
        y = np.maximum(x, 0, out=context.empty(x.shape, x.dtype))

        def backward(dy: Array) -> Gradients:
            return Gradients((dy * (y > 0),))

        return Step(y, backward)
