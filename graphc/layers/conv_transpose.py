"""Transposed convolution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from graphc.dims import Dim, Shape
from graphc.errors import RuleError
from graphc.kernels.conv import ConvPart, ConvProblem, conv2d, conv2d_input_gradient, conv2d_weight_gradient
from graphc.kernels.unfold import Grid
from graphc.layers.base import elements, image
from graphc.layers.fields import IntPair, NaturalInt, Padding, PositiveInt, axis_padding
from graphc.layers.weighted import Weighted, product
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.receptive_field import Reach
from graphc.types import Array, Context, Gradients, Params, Step
from graphc.variables import ParamSpec
from graphc.window import TransposedWindow


class Conv2dTranspose(Weighted):
    """The transpose of a convolution: each input pixel writes a window of outputs, `stride` apart."""

    kind: ClassVar[str] = "conv2d_transpose"
    family: ClassVar[str] = "convolution"
    donates_output: ClassVar[bool] = True
    positional: ClassVar[tuple[str, ...]] = ("filters", "kernel", "stride")

    filters: PositiveInt
    """Output channels."""
    kernel: IntPair
    """The window's pixels: one number for both axes, or [height, width]."""
    stride: IntPair = (1, 1)
    """Outputs from one window to the next: one number, or [vertical, horizontal]."""
    padding: Padding = "same"
    """same (size*stride outputs), valid (and kernel - stride more), or the pixels that are cut off each side."""
    output_padding: NaturalInt = 0
    """Outputs added below and at the right, where padding is in pixels; less than the stride."""

    def windows(self, height: Dim, width: Dim) -> tuple[TransposedWindow, TransposedWindow]:
        """The window along both axes."""
        if self.output_padding and isinstance(self.padding, str):
            message = f"output_padding={self.output_padding} goes with padding in pixels, not with {self.padding}"
            raise RuleError("G208", message, "output_padding")
        if self.output_padding >= min(self.stride) and self.output_padding:
            message = f"output_padding={self.output_padding} must be less than stride={min(self.stride)}"
            raise RuleError("G208", message, "output_padding")
        rows, columns = (
            TransposedWindow.over(
                size, self.kernel[axis], self.stride[axis], axis_padding(self.padding, axis), self.output_padding
            )
            for axis, size in enumerate((height, width))
        )
        return rows, columns

    def infer_shape(self, *inputs: Shape) -> Shape:
        height, width, _ = image(inputs[0], self.kind)
        rows, columns = self.windows(height, width)
        return rows.output, columns.output, self.filters

    def reach(self, *inputs: Shape) -> tuple[Reach, ...]:
        height, width, _ = image(inputs[0], self.kind)
        rows, columns = self.windows(height, width)
        return Reach.of_transposed(rows), Reach.of_transposed(columns)

    def declare_params(self, *inputs: Shape) -> dict[str, ParamSpec]:
        _, _, channels = image(inputs[0], self.kind)
        weights = self.declare_weights("HWOI", *self.kernel, self.filters, channels)
        return {"weights": weights, **self.declare_biases(self.filters)}

    def mixes_channels(self, *inputs: Shape) -> bool:
        """With as many filters as channels it enlarges what there is, as a map of scores."""
        return self.filters != image(inputs[0], self.kind)[2]

    def count_macs(self, *inputs: Shape) -> int:
        return elements(inputs[0]) * self.kernel[0] * self.kernel[1] * self.filters

    def count_flops(self, *inputs: Shape) -> int:
        biases = elements(self.infer_shape(*inputs)) if self.has_bias else 0
        return 2 * self.count_macs(*inputs) + biases

    def scaled_weights(self, params: Params, scale: Array, overwrite: bool) -> dict[str, Array]:
        return {"weights": product(params["weights"], scale[:, None], overwrite)}

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        (x,) = inputs
        height, width, _ = image(x.shape, self.kind)
        (top, bottom), (left, right) = (window.pads for window in self.windows(height, width))
        attributes: dict[str, Any] = {"kernel_shape": list(self.kernel), "strides": list(self.stride)}
        attributes["pads"] = [top, left, max(bottom, 0), max(right, 0)]
        if bottom < 0 or right < 0:
            attributes["output_padding"] = [max(-bottom, 0), max(-right, 0)]
        weights = build.constant("weights", params["weights"].transpose(3, 2, 0, 1))  # C F kh kw
        biases = self.emit_biases(build, params)
        return build.op("ConvTranspose", x, weights, biases, shape=self.infer_shape(x.shape), **attributes)

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        (x,) = inputs
        weights = params["weights"]
        problem = self.mirror(x.shape, x.dtype, context.training)
        y = conv2d_input_gradient(context, problem, x, weights)
        self.add_biases(params, y)

        def backward(dy: Array) -> Gradients:
            gradients = self.bias_gradients(context, dy)
            if self.learns(context, "weights"):
                gradients["weights"] = conv2d_weight_gradient(context, problem, dy, x)
            return Gradients((conv2d(context, problem, dy, weights) if context.input_gradient else None,), gradients)

        return Step(y, backward)

    def convolutions(self, x_shape: tuple[int, ...], dtype: Any, training: bool) -> tuple[ConvPart, ...]:
        return (ConvPart("", self.mirror(x_shape, dtype, training), backwards=True),)

    def mirror(self, x_shape: tuple[int, ...], dtype: Any, training: bool) -> ConvProblem:
        """The convolution from the output to x, N H W C, whose transpose this is.

        Outputs that were added come after its last window, so that it needs no padding there.
        """
        batch, height, width, channels = x_shape
        rows, columns = self.windows(height, width)
        pads = (rows.pads[0], max(rows.pads[1], 0)), (columns.pads[0], max(columns.pads[1], 0))
        assert isinstance(rows.output, int)
        assert isinstance(columns.output, int)
        grid = Grid.of((rows.output, columns.output), self.kernel, self.stride, pads, (1, 1))
        return ConvProblem.of(grid, (*self.kernel, self.filters, channels), 1, batch, dtype, training)
