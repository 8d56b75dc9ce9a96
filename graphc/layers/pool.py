"""Pooling over windows: the largest, or the mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from graphc.dims import Shape
from graphc.errors import RuleError
from graphc.kernels.pool import avg_pool2d, avg_pool2d_grad, max_pool2d, max_pool2d_grad
from graphc.layers.base import elements, image
from graphc.layers.fields import IntPair
from graphc.layers.windowed import Windowed
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.types import Array, Context, Gradients, Params, Step


class Pool2d(Windowed):
    """What both kinds share."""

    family: ClassVar[str] = "pooling"
    positional: ClassVar[tuple[str, ...]] = ("kernel", "stride")

    stride: IntPair | None = None
    """Pixels from one window to the next: one number, or [vertical, horizontal]; none: the kernel's size."""

    def step(self) -> tuple[int, int]:
        return self.stride or self.taps

    def infer_shape(self, *inputs: Shape) -> Shape:
        _, _, channels = image(inputs[0], self.kind)
        if not isinstance(self.padding, str) and any(max(self.padding[axis]) >= self.taps[axis] for axis in (0, 1)):
            kernel, padding = list(self.taps), [list(sides) for sides in self.padding]
            message = f"padding={padding} must be less than kernel={kernel}: a window of padding alone has no value"
            raise RuleError("G203", message, "padding")
        return (*self.output_size(inputs[0]), channels)

    def count_flops(self, *inputs: Shape) -> int:
        return elements(self.infer_shape(*inputs)) * self.taps[0] * self.taps[1]


class MaxPool2d(Pool2d):
    """The largest value of every window; padding never wins."""

    kind: ClassVar[str] = "max_pool2d"

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        (x,) = inputs
        return build.op("MaxPool", x, shape=self.infer_shape(x.shape), **self.onnx_window(x.shape))

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        (x,) = inputs
        geometry = (self.taps, self.step(), self.pads(x))
        shape = x.shape
        y, argmax = max_pool2d(context, x, *geometry)

        def backward(dy: Array) -> Gradients:
            return Gradients((max_pool2d_grad(context, dy, argmax, shape, *geometry),))

        return Step(y, backward)


class AvgPool2d(Pool2d):
    """The mean of every window; padding is not counted."""

    kind: ClassVar[str] = "avg_pool2d"
    donates_output: ClassVar[bool] = True

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        (x,) = inputs
        window = self.onnx_window(x.shape)
        return build.op("AveragePool", x, shape=self.infer_shape(x.shape), count_include_pad=0, **window)

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        (x,) = inputs
        shape = x.shape
        geometry = (self.taps, self.step(), self.pads(x))
        y = avg_pool2d(context, x, *geometry)

        def backward(dy: Array) -> Gradients:
            return Gradients((avg_pool2d_grad(context, dy, shape, *geometry),))

        return Step(y, backward)
