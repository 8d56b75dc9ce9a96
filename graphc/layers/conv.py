"""Convolution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from graphc.dims import Shape
from graphc.errors import RuleError
from graphc.kernels.conv import ConvPart, ConvProblem, conv2d, conv2d_gradients
from graphc.layers.base import Layer, elements, image
from graphc.layers.fields import IntPair, Kernel, Padding, PositiveInt
from graphc.layers.weighted import Weighted, given, product
from graphc.layers.windowed import Windowed
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.types import Array, Context, Gradients, Params, Step
from graphc.variables import ParamSpec


class Convolution(Windowed, Weighted):
    """The arguments of every convolution over windows."""

    family: ClassVar[str] = "convolution"
    donates_output: ClassVar[bool] = True

    kernel: Kernel
    """The window's pixels: one number for both axes, or [height, width]; `input`: as many as the input has;
    {at_most: 5}: no more than the input has."""
    stride: IntPair = (1, 1)
    """Pixels from one window to the next: one number, or [vertical, horizontal]."""
    padding: Padding = "same"
    dilation: IntPair = (1, 1)
    """Pixels from one tap of the window to the next: one number, or [vertical, horizontal]."""

    def step(self) -> tuple[int, int]:
        return self.stride

    def spread(self) -> tuple[int, int]:
        return self.dilation

    def count_flops(self, *inputs: Shape) -> int:
        biases = elements(self.infer_shape(*inputs)) if self.has_bias else 0
        return 2 * self.count_macs(*inputs) + biases


class Conv2d(Convolution):
    """Convolution: cross-correlation, as every framework has it."""

    kind: ClassVar[str] = "conv2d"
    positional: ClassVar[tuple[str, ...]] = ("filters", "kernel", "stride")

    filters: PositiveInt
    """Output channels."""
    groups: PositiveInt = 1
    """Parts into which the channels are cut; each part sees its own only."""

    def infer_shape(self, *inputs: Shape) -> Shape:
        _, _, channels = image(inputs[0], self.kind)
        if channels % self.groups:
            raise RuleError("G204", f"groups={self.groups} must divide channels={channels}", "groups")
        if self.filters % self.groups:
            raise RuleError("G204", f"groups={self.groups} must divide filters={self.filters}", "groups")
        return (*self.plane(inputs[0]), self.filters)

    def declare_params(self, *inputs: Shape) -> dict[str, ParamSpec]:
        _, _, channels = image(inputs[0], self.kind)
        weights = self.declare_weights("HWIO", *self.taps, channels // self.groups, self.filters)
        return {"weights": weights, **self.declare_biases(self.filters)}

    def mixes_channels(self, *inputs: Shape) -> bool:
        return self.groups == 1 or self.groups < image(inputs[0], self.kind)[2]

    def count_macs(self, *inputs: Shape) -> int:
        _, _, channels = image(inputs[0], self.kind)
        return elements(self.infer_shape(*inputs)) * self.taps[0] * self.taps[1] * channels // self.groups

    def scaled_weights(self, params: Params, scale: Array, overwrite: bool) -> dict[str, Array]:
        return {"weights": product(params["weights"], scale, overwrite)}

    def absorb_input(
        self, params: Params, scale: Array, offset: Array, shape: Shape
    ) -> tuple[Layer, dict[str, Array]] | None:
        height, width, _ = image(shape, self.kind)
        unpadded = all(window.pads == (0, 0) for window in self.windows(height, width))
        if self.groups > 1 or (offset.any() and not unpadded):
            return None
        weights = params["weights"]
        found = {**params, "weights": (weights * scale[:, None]).astype(weights.dtype)}
        if not offset.any():
            return self, found
        biases = np.tensordot(weights.sum(axis=(0, 1), dtype=np.float64), offset, axes=(0, 0))
        biases += params["biases"] if self.has_bias else 0
        return self.model_copy(update={"bias": True}), {**found, "biases": biases.astype(weights.dtype)}

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        (x,) = inputs
        weights = build.constant("weights", params["weights"].transpose(3, 2, 0, 1))  # F C/groups kh kw
        window = self.onnx_window(x.shape)
        biases = self.emit_biases(build, params)
        shape = self.infer_shape(x.shape)
        return build.op("Conv", x, weights, biases, shape=shape, group=self.groups, **window)

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        (x,) = inputs
        weights = params["weights"]
        problem = self.problem(x.shape, x.dtype, context.training)
        y = conv2d(context, problem, x, weights)
        self.add_biases(params, y)

        def backward(dy: Array) -> Gradients:
            dx, dw = conv2d_gradients(context, problem, x, dy, weights, self.learns(context, "weights"))
            return Gradients((dx,), {**given(weights=dw), **self.bias_gradients(context, dy)})

        return Step(y, backward)

    def problem(self, x_shape: tuple[int, ...], dtype: Any, training: bool) -> ConvProblem:
        """What there is to compute of images of this shape, N H W C."""
        batch, height, width, channels = x_shape
        w_shape = (*self.taps, channels // self.groups, self.filters)
        return ConvProblem.of(self.grid(height, width), w_shape, self.groups, batch, dtype, training)

    def convolutions(self, x_shape: tuple[int, ...], dtype: Any, training: bool) -> tuple[ConvPart, ...]:
        return (ConvPart("", self.problem(x_shape, dtype, training)),)
