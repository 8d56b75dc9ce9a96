"""The activation x + sin²(αx)/α (Ziyin, Hartwig, Ueda: Neural Networks Fail to Learn Periodic Functions, 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from graphc.dims import Shape
from graphc.initializers import AnyInitializer, Constant
from graphc.layers.base import Layer, by_channel
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.types import Array, Context, Gradients, Params, Step
from graphc.variables import ParamSpec


class Snake(Layer):
    """x + sin²(alpha*x)/alpha, with one alpha a channel, which is learned."""

    kind: ClassVar[str] = "snake"
    family: ClassVar[str] = "activation"
    elementwise: ClassVar[bool] = True

    alpha_initializer: AnyInitializer = Constant(value=1.0)
    """How the frequencies start."""

    def declare_params(self, *inputs: Shape) -> dict[str, ParamSpec]:
        return {"alpha": ParamSpec((int(inputs[0][-1]),), self.alpha_initializer, smallest=1e-3)}

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        (x,) = inputs
        alpha = build.constant("alpha", by_channel(build.in_channel_order(params["alpha"], x), x))
        wave = build.op("Sin", build.op("Mul", x, alpha))
        return build.op("Add", x, build.op("Div", build.op("Mul", wave, wave), alpha))

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        (x,), alpha = inputs, params["alpha"]
        squared = np.sin(alpha * x) ** 2

        def backward(dy: Array) -> Gradients:
            double = np.sin(2 * alpha * x)  # the derivative of sin²(u) is sin(2u)
            dalpha = dy * (x * double / alpha - squared / alpha**2)
            return Gradients((dy * (1 + double),), {"alpha": dalpha.reshape(-1, len(alpha)).sum(axis=0)})

        return Step(x + squared / alpha, backward)
