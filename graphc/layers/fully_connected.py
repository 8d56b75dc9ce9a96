"""Fully connected layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from graphc.dims import Shape, format_shape
from graphc.errors import RuleError
from graphc.kernels.dense import dense, dense_gradients
from graphc.layers.base import channels
from graphc.layers.fields import PositiveInt
from graphc.layers.weighted import Weighted, product
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.types import Array, Context, Gradient, Gradients, Params, Step
from graphc.variables import ParamSpec


class FullyConnected(Weighted):
    """A matrix times a vector."""

    kind: ClassVar[str] = "fully_connected"
    family: ClassVar[str] = "dense"
    donates_output: ClassVar[bool] = True
    positional: ClassVar[tuple[str, ...]] = ("units",)
    sees_everything: ClassVar[bool] = True
    absorbs_order: ClassVar[bool] = True

    units: PositiveInt
    """Outputs."""

    def infer_shape(self, *inputs: Shape) -> Shape:
        if len(inputs[0]) != 1:
            advice = "put flatten before it, or use conv2d with kernel 1 to work on every pixel"
            raise RuleError("G201", f"{self.kind} expects a vector, got {format_shape(inputs[0])}: {advice}")
        channels(inputs[0], self.kind)
        return (self.units,)

    def declare_params(self, *inputs: Shape) -> dict[str, ParamSpec]:
        weights = self.declare_weights("IO", channels(inputs[0], self.kind), self.units)
        return {"weights": weights, **self.declare_biases(self.units)}

    def mixes_channels(self, *inputs: Shape) -> bool:
        return True

    def count_macs(self, *inputs: Shape) -> int:
        return channels(inputs[0], self.kind) * self.units

    def count_flops(self, *inputs: Shape) -> int:
        return 2 * self.count_macs(*inputs) + (self.units if self.has_bias else 0)

    def scaled_weights(self, params: Params, scale: Array, overwrite: bool) -> dict[str, Array]:
        return {"weights": product(params["weights"], scale, overwrite)}

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        (x,) = inputs
        weights = build.in_channel_order(params["weights"].T, x)  # units × inputs, as the inputs lie
        constant = build.constant("weights", weights)
        return build.op("Gemm", x, constant, self.emit_biases(build, params), shape=(self.units,), transB=1)

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        (x,) = inputs
        weights = params["weights"]
        y, kept = dense(context, x, weights)
        self.add_biases(params, y)

        def backward(dy: Array) -> Gradients:
            dx, dw = dense_gradients(context, kept, dy, weights, of_weights=self.learns(context, "weights"))
            gradients: dict[str, Gradient] = {**self.bias_gradients(context, dy)}
            if dw is not None:
                gradients["weights"] = dw
            return Gradients((dx,), gradients)

        return Step(y, backward)
