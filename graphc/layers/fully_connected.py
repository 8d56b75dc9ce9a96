"""Fully connected layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from graphc.dims import Shape, format_shape, is_image
from graphc.errors import RuleError
from graphc.kernels.dense import dense, dense_gradients
from graphc.layers.base import channels, elements
from graphc.layers.fields import Bool, PositiveInt
from graphc.layers.weighted import Weighted, product
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.training_graph.dense import gemm
from graphc.training_graph.step import EmittedGradients, EmittedStep, TrainingBuilder
from graphc.training_graph.tensor import Tensor, between_layers, channels_last
from graphc.types import Array, Context, Gradient, Gradients, Params, Step
from graphc.variables import ParamSpec


class FullyConnected(Weighted):
    """A matrix times a vector; of a sequence or of windows, times the vector at each position."""

    kind: ClassVar[str] = "fully_connected"
    family: ClassVar[str] = "dense"
    donates_output: ClassVar[bool] = True
    positional: ClassVar[tuple[str, ...]] = ("units",)
    absorbs_order: ClassVar[bool] = True

    units: PositiveInt
    """Outputs."""
    windows: Bool = False
    """Whether an example is windows, each a sequence: the last axis is channels, and each position of all others has a
    vector, as in `multi_head_attention`."""

    def infer_shape(self, *inputs: Shape) -> Shape:
        (shape,) = inputs
        if len(shape) not in (1, 2) and not self.windows:
            advice = "put flatten before it, or use conv2d with kernel 1 to work on every pixel"
            advice = advice if is_image(shape) else "put flatten before it; windows: true works at each position"
            raise RuleError("G201", f"{self.kind} expects a vector or a sequence, got {format_shape(shape)}: {advice}")
        channels(shape, self.kind)
        return (*shape[:-1], self.units)

    def sees_all(self, *inputs: Shape) -> Sequence[bool]:
        return (len(inputs[0]) == 1,)

    def declare_params(self, *inputs: Shape) -> dict[str, ParamSpec]:
        weights = self.declare_weights("IO", channels(inputs[0], self.kind), self.units)
        return {"weights": weights, **self.declare_biases(self.units)}

    def mixes_channels(self, *inputs: Shape) -> bool:
        return True

    def count_macs(self, *inputs: Shape) -> int:
        return elements(inputs[0]) * self.units

    def count_flops(self, *inputs: Shape) -> int:
        biased = elements(self.infer_shape(*inputs)) if self.has_bias else 0
        return 2 * self.count_macs(*inputs) + biased

    def scaled_weights(self, params: Params, scale: Array, overwrite: bool) -> dict[str, Array]:
        return {"weights": product(params["weights"], scale, overwrite)}

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        (x,) = inputs
        if len(x.shape) > 1:
            return self._emit_along(build, build.channels_last(x), params)
        weights = build.in_channel_order(params["weights"].T, x)  # units × inputs, as the inputs lie
        constant = build.constant("weights", weights)
        return build.op("Gemm", x, constant, self.emit_biases(build, params), shape=(self.units,), transB=1)

    def _emit_along(self, build: OnnxBuilder, x: Value, params: Params) -> Value:
        """A sequence N L C, or windows N … L C: Gemm takes matrices alone."""
        shape = self.infer_shape(x.shape)
        y = build.op("MatMul", x, build.constant("weights", params["weights"]), shape=shape, channels_first=False)
        return build.between_layers(build.op("Add", y, self.emit_biases(build, params)) if self.has_bias else y)

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        (x,) = inputs
        if x.ndim > 2:
            return self._along(context, params, x)
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

    def emit_training(self, build: TrainingBuilder, params: Mapping[str, Tensor], *inputs: Tensor) -> EmittedStep:
        last = channels_last(inputs[0])
        weights, rows = params["weights"], last.reshape(-1, last.shape[-1])
        y = gemm(rows, weights, params.get("biases")).reshape(*last.shape[:-1], self.units)

        def backward(dy: Tensor) -> EmittedGradients:
            given = channels_last(dy).reshape(-1, self.units)
            dx = gemm(given, weights, b_t=True).reshape(*last.shape)
            return EmittedGradients(
                (between_layers(dx),), {"weights": gemm(rows, given, a_t=True), **self.emit_bias_gradients(given)}
            )

        return EmittedStep(between_layers(y), backward)

    def _along(self, context: Context, params: Params, x: Array) -> Step:
        """`forward` of sequences [N, …, C]: every position is a row, and there are too many of them to gain by what
        `dense` does for few."""
        weights, rows = params["weights"], x.reshape(-1, x.shape[-1])
        y = context.empty((*x.shape[:-1], self.units), x.dtype)
        np.matmul(rows, weights, out=y.reshape(-1, self.units))
        self.add_biases(params, y)

        def backward(dy: Array) -> Gradients:
            given = dy.reshape(-1, self.units)
            gradients: dict[str, Gradient] = {**self.bias_gradients(context, dy)}
            if self.learns(context, "weights"):
                gradients["weights"] = rows.T @ given
            dx = (given @ weights.T).reshape(x.shape) if context.input_gradient else None
            return Gradients((dx,), gradients)

        return Step(y, backward)
