"""Pooling over windows: the largest, or the mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import model_validator

from graphc.dims import Dim, Shape
from graphc.errors import RuleError
from graphc.kernels.pool import avg_pool2d, avg_pool2d_grad, max_pool2d, max_pool2d_grad
from graphc.kernels.sampling import Sampling
from graphc.kernels.unfold import Pads
from graphc.layers.adaptive import AdaptiveWindows
from graphc.layers.base import Layer, elements, image, scalar
from graphc.layers.fields import Bool, IntPair
from graphc.layers.windowed import Windowed
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.receptive_field import Reach
from graphc.types import Array, Context, Gradients, Params, Step
from graphc.window import Window

TO_THE_END = 2**31 - 1
"""A slice's end that is larger than any size."""


class Pool2d(Windowed):
    """What both kinds share."""

    family: ClassVar[str] = "pooling"
    global_kind: ClassVar[str]
    """The kind that pools over the whole image."""
    positional: ClassVar[tuple[str, ...]] = ("kernel", "stride")

    stride: IntPair | None = None
    """Pixels from one window to the next: one number, or [vertical, horizontal]; none: the kernel's size."""
    ceil_mode: Bool = False
    """Whether a last window that reaches past input and padding gives an output too, as in PyTorch."""
    output_size: IntPair | None = None
    """In place of a kernel, how many windows there are, one number or [height, width]: adaptive pooling, as in PyTorch.
    Window i of n over H pixels is floor(i*H/n) up to ceil((i + 1)*H/n)."""

    @model_validator(mode="after")
    def _kernel_or_output_size(self) -> Pool2d:
        if (self.kernel is None) == (self.output_size is None):
            raise ValueError("expected either kernel or output_size")
        others = self.model_fields_set - {"kernel", "output_size"} if self.output_size is not None else set()
        for name in sorted(others):
            if getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name} goes with kernel, not with output_size")
        return self

    def fitted(self, *inputs: Shape) -> Layer:
        if self.output_size is None:
            return super().fitted(*inputs)
        rows, columns = (window.as_ordinary() for window in self.adaptive_windows(inputs[0]))
        if rows is None or columns is None:
            return self.adaptive()
        (height, down), (width, right) = rows, columns
        return type(self)(kernel=(height, width), stride=(down, right))

    def adaptive(self) -> Layer:
        """This layer where its windows are not all equal."""
        raise NotImplementedError(self.kind)

    def adaptive_windows(self, shape: Shape) -> tuple[AdaptiveWindows, AdaptiveWindows]:
        """Those of `output_size` over images of this shape, down and across."""
        assert self.output_size is not None
        height, width, _ = image(shape, self.kind)
        if not isinstance(height, int) or not isinstance(width, int):
            hint = f"; for one pixel of any size there is {self.global_kind}" if self.output_size == (1, 1) else ""
            wanted = "output_size needs a fixed height and width"
            raise RuleError("G205", f"{wanted}, got {height}×{width}; set the resolution{hint}", "output_size")
        return AdaptiveWindows(height, self.output_size[0]), AdaptiveWindows(width, self.output_size[1])

    def step(self) -> tuple[int, int]:
        return self.stride or self.taps

    def window_along(self, axis: int, size: Dim) -> Window:
        window = super().window_along(axis, size)
        return window.rounded_up() if self.ceil_mode and self.padding != "same" else window

    def infer_shape(self, *inputs: Shape) -> Shape:
        _, _, channels = image(inputs[0], self.kind)
        extent = [(taps - 1) * spread + 1 for taps, spread in zip(self.taps, self.spread(), strict=True)]
        if not isinstance(self.padding, str) and any(max(self.padding[axis]) >= extent[axis] for axis in (0, 1)):
            kernel, padding = list(self.taps), [list(sides) for sides in self.padding]
            message = f"padding={padding} must be less than kernel={kernel}: a window of padding alone has no value"
            raise RuleError("G203", message, "padding")
        return (*self.plane(inputs[0]), channels)

    def count_flops(self, *inputs: Shape) -> int:
        return elements(self.infer_shape(*inputs)) * self.taps[0] * self.taps[1]


class MaxPool2d(Pool2d):
    """The largest value of every window; padding never wins."""

    kind: ClassVar[str] = "max_pool2d"
    global_kind: ClassVar[str] = "global_max_pool2d"

    dilation: IntPair = (1, 1)
    """Pixels from one tap of the window to the next: one number, or [vertical, horizontal]."""

    def spread(self) -> tuple[int, int]:
        return self.dilation

    def window_along(self, axis: int, size: Dim) -> Window:
        window = super().window_along(axis, size)
        if window.dilation > 1 and window.pads is not None and isinstance(size, int) and _has_empty(window, size):
            spread = f"dilation={window.dilation} over a kernel of {window.kernel} and {list(window.pads)} of padding"
            raise RuleError("G203", f"{spread} gives a window without a pixel of its input of {size}", "dilation")
        return window

    def adaptive(self) -> Layer:
        return AdaptiveMaxPool2d(output_size=self.output_size)

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        (x,) = inputs
        if self.dilation != (1, 1):
            return self._emit_taps(build, x)
        return build.op("MaxPool", x, shape=self.infer_shape(x.shape), **self.onnx_window(x.shape))

    def _emit_taps(self, build: OnnxBuilder, x: Value) -> Value:
        """The larger of shifted images, one a tap, down and then across: OpenCV's older engine ignores the dilation of
        a MaxPool. Strides come last, since tract takes no slices with steps of an open size."""
        height, width, channels = image(x.shape, self.kind)
        windows, output = self.windows(height, width), self.infer_shape(x.shape)
        sizes: list[Dim] = [height, width]
        if any(window.pads != (0, 0) for window in windows):
            (top, bottom), (left, right) = (window.pads or (0, 0) for window in windows)
            sizes = [height + top + bottom, width + left + right]
            pads = build.constant("pads", np.asarray([0, 0, top, left, 0, 0, bottom, right], np.int64))
            lowest = scalar(build, "lowest", float(np.finfo(np.float32).min))
            x = build.op("Pad", x, pads, lowest, shape=(*sizes, channels), mode="constant")
        for axis, window in enumerate(windows):
            left_over = window.extent - 1
            sizes[axis] = sizes[axis] - left_over
            shape = (*sizes, channels)
            number = build.constant(f"axis{axis}", np.asarray([2 + axis], np.int64))
            taps = []
            for shift in range(0, window.extent, window.dilation):
                start = build.constant(f"from{shift}", np.asarray([shift], np.int64))
                end = build.constant(f"to{shift - left_over}", np.asarray([shift - left_over or TO_THE_END], np.int64))
                taps.append(build.op("Slice", x, start, end, number, shape=shape) if left_over else x)
            x = build.op("Max", *taps, shape=shape) if left_over else x
        if self.step() != (1, 1):
            x = build.op("MaxPool", x, shape=output, kernel_shape=[1, 1], strides=list(self.step()), pads=[0, 0, 0, 0])
        return x

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        (x,) = inputs
        geometry = (self.taps, self.step(), self.pads(x), self.spread())
        shape = x.shape
        y, argmax = max_pool2d(context, x, *geometry)

        def backward(dy: Array) -> Gradients:
            return Gradients((max_pool2d_grad(context, dy, argmax, shape, *geometry),))

        return Step(y, backward)


class AvgPool2d(Pool2d):
    """The mean of every window."""

    kind: ClassVar[str] = "avg_pool2d"
    global_kind: ClassVar[str] = "global_avg_pool2d"
    donates_output: ClassVar[bool] = True

    count_include_pad: Bool = False
    """Whether padding counts, as zeros: PyTorch's default; TensorFlow never counts it."""

    def infer_shape(self, *inputs: Shape) -> Shape:
        if self.count_include_pad and self.padding == "same":
            message = "padding=same is never counted: for count_include_pad=true use same_fixed, or pixels"
            raise RuleError("G203", message, "padding")
        return super().infer_shape(*inputs)

    def adaptive(self) -> Layer:
        return AdaptiveAvgPool2d(output_size=self.output_size)

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


class _Adaptive(Pool2d):
    """Pooling over as many windows as are asked for, which differ in size."""

    def fitted(self, *inputs: Shape) -> Layer:
        return self

    def infer_shape(self, *inputs: Shape) -> Shape:
        rows, columns = self.adaptive_windows(inputs[0])
        return rows.count, columns.count, image(inputs[0], self.kind)[2]

    def reach(self, *inputs: Shape) -> tuple[Reach, ...]:
        rows, columns = self.adaptive_windows(inputs[0])
        return rows.reach(), columns.reach()

    def count_flops(self, *inputs: Shape) -> int:
        rows, columns = self.adaptive_windows(inputs[0])
        return rows.pixels_read * columns.pixels_read * image(inputs[0], self.kind)[2]


class AdaptiveMaxPool2d(_Adaptive, MaxPool2d):
    """Max pooling over windows that differ in size: of pixels picked, so that they no longer do."""

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        (x,) = inputs
        windows = self.adaptive_windows(x.shape)
        height, width, channels = image(x.shape, self.kind)
        sizes: list[Dim] = [height, width]
        for axis, (name, window) in enumerate(zip(("rows", "columns"), windows, strict=True)):
            pixels = window.pixels()
            sizes[axis] = len(pixels)
            x = build.op("Gather", x, build.constant(name, pixels), shape=(*sizes, channels), axis=2 + axis)
        longest = [window.longest for window in windows]
        shape = (*(window.count for window in windows), channels)
        return build.op("MaxPool", x, shape=shape, kernel_shape=longest, strides=longest, pads=[0, 0, 0, 0])

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        (x,) = inputs
        rows, columns = self.adaptive_windows(x.shape[1:])
        down, across = (Sampling(pixels[None], None) for pixels in (rows.pixels(), columns.pixels()))
        picked = across.apply(down.apply(x, 1), 2)
        window = rows.longest, columns.longest
        geometry = (window, window, ((0, 0), (0, 0)))
        y, argmax = max_pool2d(context, picked, *geometry)

        def backward(dy: Array) -> Gradients:
            back = max_pool2d_grad(context, dy, argmax, picked.shape, *geometry)
            return Gradients((down.adjoint(across.adjoint(back, 2, columns.size), 1, rows.size),))

        return Step(y, backward)


class AdaptiveAvgPool2d(_Adaptive, AvgPool2d):
    """Mean pooling over windows that differ in size: products with a matrix, across and down."""

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        (x,) = inputs
        rows, columns = self.adaptive_windows(x.shape)
        height, _, channels = image(x.shape, self.kind)
        across = build.constant("across", np.ascontiguousarray(columns.means().T.astype(np.float32)))
        down = build.constant("down", rows.means().astype(np.float32))
        x = build.op("MatMul", x, across, shape=(height, columns.count, channels))
        return build.op("MatMul", down, x, shape=(rows.count, columns.count, channels))

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        (x,) = inputs
        rows, columns = self.adaptive_windows(x.shape[1:])
        down, across = rows.means().astype(x.dtype), columns.means().astype(x.dtype)

        def backward(dy: Array) -> Gradients:
            return Gradients((_separable(dy, down.T, across.T),))

        return Step(_separable(x, down, across), backward)


def _separable(x: Array, down: Array, across: Array) -> Array:
    """x [N, H, W, C] with its rows mixed by a matrix [H', H] and its columns by [W', W]: [N, H', W', C]."""
    narrowed: Array = across @ x  # N H W' C
    n, height, width, channels = narrowed.shape
    mixed = down @ narrowed.reshape(n, height, width * channels)
    found: Array = mixed.reshape(n, len(down), width, channels)
    return found


def _has_empty(window: Window, size: int) -> bool:
    """Whether one of the windows has all its taps in the padding."""
    assert window.pads is not None
    assert isinstance(window.output, int)
    firsts = (place * window.stride - window.pads[0] for place in range(window.output))
    taps = range(0, window.extent, window.dilation)
    return any(all(not 0 <= first + tap < size for tap in taps) for first in firsts)
