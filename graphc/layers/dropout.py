"""Dropout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from graphc.dims import Shape
from graphc.layers.base import Layer
from graphc.layers.fields import Fraction
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.types import Array, Context, Gradients, Params, Step


class Dropout(Layer):
    """Zero for a random share of the numbers in training, the others scaled up; nothing in inference."""

    kind: ClassVar[str] = "dropout"
    family: ClassVar[str] = "regularization"
    positional: ClassVar[tuple[str, ...]] = ("rate",)
    elementwise: ClassVar[bool] = True

    rate: Fraction = 0.5
    """The share that is dropped; TF-Slim's keep_prob is 1 - rate."""

    def does_nothing(self, *inputs: Shape) -> bool:
        return True

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        return inputs[0]

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        (x,) = inputs
        if not context.training or self.rate == 0:
            return Step(x, lambda dy: Gradients((dy,)))
        kept = context.random().random(dtype=np.float32, out=context.empty(x.shape, np.float32)) >= self.rate
        factor = np.multiply(kept, x.dtype.type(1 / (1 - self.rate)), out=context.empty(x.shape, x.dtype))

        def scaled(values: Array) -> Array:
            product: Array = np.multiply(values, factor, out=context.empty(values.shape, values.dtype))
            return product

        return Step(scaled(x), lambda dy: Gradients((scaled(dy),)))
