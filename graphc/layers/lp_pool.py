"""Pooling by a norm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from graphc.dims import Shape
from graphc.layers.base import Layer, check_made, elements, image
from graphc.layers.depthwise_conv import DepthwiseConv2d
from graphc.layers.fields import IntPair, Padding
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.receptive_field import Reach
from graphc.training_graph.step import EmittedGradients, EmittedStep, TrainingBuilder
from graphc.training_graph.tensor import Tensor
from graphc.types import Array, Context, Gradients, Params, Step


class LpPool2d(Layer):
    """The root of the sum of the squares of every window, PyTorch's LPPool2d with norm_type 2."""

    kind: ClassVar[str] = "lp_pool2d"
    family: ClassVar[str] = "pooling"
    positional: ClassVar[tuple[str, ...]] = ("kernel", "stride")

    kernel: IntPair
    """The window's pixels: one number for both axes, or [height, width]."""
    stride: IntPair | None = None
    """Pixels from one window to the next: one number, or [vertical, horizontal]; none: the kernel's size."""
    padding: Padding = "valid"
    """same, valid, same_fixed, pixels for every side, [vertical, horizontal], or [[top, bottom], [left, right]]: zeros,
    which add nothing."""

    def sums(self) -> DepthwiseConv2d:
        """What adds up windows: a convolution with ones."""
        stride = self.stride or self.kernel
        return DepthwiseConv2d(kernel=self.kernel, stride=stride, padding=self.padding, bias=False, trainable=False)

    def ones(self, channels: int) -> Array:
        """The weights [kh, kw, C, 1] of `sums`, in float32."""
        return np.ones((*self.kernel, channels, 1), np.float32)

    def infer_shape(self, *inputs: Shape) -> Shape:
        check_made(elements(self.kernel) * image(inputs[0], self.kind)[2], "in its kernel", "kernel")
        return self.sums().infer_shape(*inputs)

    def reach(self, *inputs: Shape) -> tuple[Reach, ...]:
        return self.sums().reach(*inputs)

    def count_flops(self, *inputs: Shape) -> int:
        return elements(self.infer_shape(*inputs)) * self.kernel[0] * self.kernel[1]

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        """LpPool is in few runtimes."""
        (x,) = inputs
        ones = {"depthwise_weights": self.ones(image(x.shape, self.kind)[2])}
        return build.op("Sqrt", self.sums().emit(build, [build.op("Mul", x, x)], ones))

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        (x,) = inputs
        ones = {"depthwise_weights": self.ones(x.shape[3]).astype(x.dtype)}
        summed = self.sums().forward(context, ones, np.square(x))
        y = np.sqrt(summed.output)

        def backward(dy: Array) -> Gradients:
            with np.errstate(divide="ignore", invalid="ignore"):
                share = np.where(y > 0, dy / y, 0)  # a window of zeros has no slope; PyTorch's is 0 there too
            (dx,) = summed.backward(share).inputs
            return Gradients((None if dx is None else dx * x,))

        return Step(y, backward)

    def emit_training(self, build: TrainingBuilder, params: Mapping[str, Tensor], *inputs: Tensor) -> EmittedStep:
        (x,) = inputs
        ones = build.tensor(self.ones(x.example[-1]))
        summed = self.sums().emit_training(build, {"depthwise_weights": ones}, x * x)
        y = summed.output.sqrt()

        def backward(dy: Tensor) -> EmittedGradients:
            there = y.above(0)  # a window of zeros has no slope
            (dx,) = summed.backward(dy * there / (y + (1 - there))).inputs
            assert dx is not None
            return EmittedGradients((dx * x,))

        return EmittedStep(y, backward)
