"""Pooling over windows: the largest, or the mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from graphc.dims import Dim, Shape
from graphc.errors import RuleError
from graphc.kernels.pool import avg_pool2d, avg_pool2d_grad, max_pool2d, max_pool2d_grad
from graphc.kernels.unfold import Pads
from graphc.layers.base import elements, image, scalar
from graphc.layers.fields import Bool, IntPair
from graphc.layers.windowed import Windowed
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.types import Array, Context, Gradients, Params, Step
from graphc.window import Window


class Pool2d(Windowed):
    """What both kinds share."""

    family: ClassVar[str] = "pooling"
    positional: ClassVar[tuple[str, ...]] = ("kernel", "stride")

    stride: IntPair | None = None
    """Pixels from one window to the next: one number, or [vertical, horizontal]; none: the kernel's size."""
    ceil_mode: Bool = False
    """Whether a last window that reaches past input and padding gives an output too, as in PyTorch."""

    def step(self) -> tuple[int, int]:
        return self.stride or self.taps

    def window_along(self, axis: int, size: Dim) -> Window:
        window = super().window_along(axis, size)
        return window.rounded_up() if self.ceil_mode and self.padding != "same" else window

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
    """The mean of every window."""

    kind: ClassVar[str] = "avg_pool2d"
    donates_output: ClassVar[bool] = True

    count_include_pad: Bool = False
    """Whether padding counts, as zeros: PyTorch's default; TensorFlow never counts it."""

    def infer_shape(self, *inputs: Shape) -> Shape:
        if self.count_include_pad and self.padding == "same":
            message = "padding=same is never counted: for count_include_pad=true use same_fixed, or pixels"
            raise RuleError("G203", message, "padding")
        return super().infer_shape(*inputs)

    def counted(self, shape: Shape) -> Pads:
        """Pixels around an image of this shape that count; what `ceil_mode` adds never does."""
        if not self.count_include_pad:
            return (0, 0), (0, 0)
        height, width, _ = image(shape, self.kind)
        rows, columns = (Windowed.window_along(self, axis, size).pads for axis, size in enumerate((height, width)))
        assert rows is not None
        assert columns is not None
        return rows, columns

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        (x,) = inputs
        shape, window = self.infer_shape(x.shape), self.onnx_window(x.shape)
        (top, bottom), (left, right) = self.counted(x.shape)
        if top or bottom or left or right:
            # A Pad of its own: OpenCV ignores count_include_pad=1, and with ceil_mode runtimes disagree about it.
            height, width, channels = image(x.shape, self.kind)
            padded = height + top + bottom, width + left + right, channels
            zeros = build.constant("pads", np.asarray([0, 0, top, left, 0, 0, bottom, right], np.int64))
            x = build.op("Pad", x, zeros, scalar(build, "zero", 0), shape=padded, mode="constant")
            outer = zip(window["pads"], (top, left, bottom, right), strict=True)
            window["pads"] = [total - counted for total, counted in outer]
        return build.op("AveragePool", x, shape=shape, count_include_pad=0, **window)

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        (x,) = inputs
        shape = x.shape
        geometry = (self.taps, self.step(), self.pads(x), self.counted(x.shape[1:]))
        y = avg_pool2d(context, x, *geometry)

        def backward(dy: Array) -> Gradients:
            return Gradients((avg_pool2d_grad(context, dy, shape, *geometry),))

        return Step(y, backward)
