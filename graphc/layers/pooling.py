"""Pooling over windows, of any rank: what the kinds in `pool.py` share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import model_validator

from graphc.dims import Dim, Shape, is_static
from graphc.errors import RuleError
from graphc.kernels.pool_ranks import Stage, avg_pool, avg_pool_grad, max_pool, max_pool_grad, stages
from graphc.kernels.unfold import Pair
from graphc.layers.adaptive import AdaptiveWindows
from graphc.layers.base import Layer, elements, scalar, static
from graphc.layers.fields import Bool, Ints2d
from graphc.layers.windowed import Windowed, both_ends
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.receptive_field import check_period
from graphc.training_graph.pool import avg_pool_gradient, max_pool_gradient
from graphc.training_graph.step import EmittedGradients, EmittedStep, TrainingBuilder
from graphc.training_graph.tensor import Tensor, channels_first, from_channels_first
from graphc.types import Array, Context, Gradients, Params, Step
from graphc.window import Window

MOST_BEYOND, MOST_TAPS = 1_000, 100_000
"""Pixels of a window along an axis, where the input has fewer, and where its size is open."""
TO_THE_END = 2**31 - 1
"""A slice's end that is larger than any size."""


class Pool(Windowed):
    """What all kinds share."""

    family: ClassVar[str] = "pooling"
    global_kind: ClassVar[str]
    """The kind that pools over the whole image."""
    positional: ClassVar[tuple[str, ...]] = ("kernel", "stride")

    stride: Ints2d | None = None
    """Pixels from one window to the next: one number, or [vertical, horizontal]; none: the kernel's size."""
    ceil_mode: Bool = False
    """Whether a last window that reaches past input and padding gives an output too, as in PyTorch."""
    output_size: Ints2d | None = None
    """In place of a kernel, how many windows there are, one number or [height, width]: adaptive pooling, as in PyTorch.
    Window i of n over H pixels is floor(i*H/n) up to ceil((i + 1)*H/n)."""

    @model_validator(mode="after")
    def _kernel_or_output_size(self) -> Pool:
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
        if not is_static(self.sizes(inputs[0])[0]):
            return self.adaptive()
        ordinary = [window.as_ordinary() for window in self.adaptive_windows(inputs[0])]
        found = [each for each in ordinary if each is not None]
        if len(found) < self.rank:
            return self.adaptive()
        kernel, stride = zip(*found, strict=True)
        return type(self)(kernel=kernel, stride=stride)

    def adaptive(self) -> Layer:
        """This layer where its windows are not all equal."""
        raise NotImplementedError(self.kind)

    def adaptive_windows(self, shape: Shape) -> tuple[AdaptiveWindows, ...]:
        """Those of `output_size` over inputs of this shape, along each axis."""
        assert self.output_size is not None
        sizes = static(self.sizes(shape)[0], self.kind)
        check_period(max(self.output_size))
        return tuple(AdaptiveWindows(size, count) for size, count in zip(sizes, self.output_size, strict=True))

    def step(self) -> tuple[int, ...]:
        return self.stride or self.taps

    def window_along(self, axis: int, size: Dim) -> Window:
        window = super().window_along(axis, size)
        return window.rounded_up() if self.ceil_mode and self.padding != "same" else window

    def infer_shape(self, *inputs: Shape) -> Shape:
        _, channels = self.sizes(inputs[0])
        extent = [(taps - 1) * spread + 1 for taps, spread in zip(self.taps, self.spread(), strict=True)]
        if not isinstance(self.padding, str) and any(
            max(sides) >= reads for sides, reads in zip(self.padding, extent, strict=True)
        ):
            kernel, padding = list(self.taps), [list(sides) for sides in self.padding]
            message = f"padding={padding} must be less than kernel={kernel}: a window of padding alone has no value"
            raise RuleError("G203", message, "padding")
        for taps, size in zip(self.taps, inputs[0], strict=False):
            if taps > max(size if isinstance(size, int) else MOST_TAPS, MOST_BEYOND):
                raise RuleError("G203", f"kernel={taps:,} is far larger than its input of {size}", "kernel")
        return (*self.window_outputs(inputs[0]), channels)

    def count_flops(self, *inputs: Shape) -> int:
        return elements(self.infer_shape(*inputs)) * elements(self.taps)

    def counted(self, shape: Shape) -> tuple[Pair, ...]:
        """Positions around an input of this shape that count as zeros in a mean."""
        return ((0, 0),) * self.rank

    def stages(self, x_shape: tuple[int, ...]) -> tuple[Stage, ...]:
        """What is done to arrays of this shape, N H W C."""
        return stages(x_shape, self.windows(x_shape[1:-1]), self.counted(x_shape[1:]))

    def output_shape(self, x_shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the output of arrays of this shape, N H W C."""
        sizes = [size for size in self.infer_shape(x_shape[1:]) if isinstance(size, int)]
        return (x_shape[0], *sizes)


class MaxPool(Pool):
    """The largest value of every window, of any rank."""

    dilation: Ints2d = (1, 1)
    """Pixels from one tap of the window to the next: one number, or [vertical, horizontal]."""

    def spread(self) -> tuple[int, ...]:
        return self.dilation

    def window_along(self, axis: int, size: Dim) -> Window:
        window = super().window_along(axis, size)
        if window.dilation > 1 and window.pads is not None and isinstance(size, int) and _has_empty(window, size):
            spread = f"dilation={window.dilation} over a kernel of {window.kernel} and {list(window.pads)} of padding"
            raise RuleError("G203", f"{spread} gives a window without a pixel of its input of {size}", "dilation")
        return window

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        x = build.channels_first(inputs[0])
        if self.is_spread:
            return self._emit_taps(build, x)
        return build.op("MaxPool", x, shape=self.infer_shape(x.shape), **self.onnx_window(x.shape))

    def _emit_taps(self, build: OnnxBuilder, x: Value) -> Value:
        """The larger of shifted images, one a tap, down and then across: OpenCV's older engine ignores the dilation of
        a MaxPool. Strides come last, since tract takes no slices with steps of an open size."""
        old, channels = self.sizes(x.shape)
        windows, output = self.windows(old), self.infer_shape(x.shape)
        sizes = list(old)
        if any(window.pads != (0, 0) for window in windows):
            x = _padded(build, x, [window.pads or (0, 0) for window in windows], float(np.finfo(np.float32).min))
            sizes = list(x.shape[:-1])
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
        if max(self.step()) > 1:
            single: dict[str, Any] = {
                "kernel_shape": [1] * self.rank,
                "strides": list(self.step()),
                "pads": [0, 0] * self.rank,
            }
            x = build.op("MaxPool", x, shape=output, **single)
        return x

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        (x,) = inputs
        shape, done = x.shape, self.stages(x.shape)
        y, argmaxes = max_pool(context, x, done, self.output_shape(shape))

        def backward(dy: Array) -> Gradients:
            return Gradients((max_pool_grad(context, dy, argmaxes, done, shape),))

        return Step(y, backward)

    def emit_training(self, build: TrainingBuilder, params: Mapping[str, Tensor], *inputs: Tensor) -> EmittedStep:
        y, x = build.emitted(self, inputs), channels_first(inputs[0])
        windows = self.windows(inputs[0].example[:-1])

        def backward(dy: Tensor) -> EmittedGradients:
            dx = max_pool_gradient(x, channels_first(y), channels_first(dy), windows)
            return EmittedGradients((from_channels_first(dx),))

        return EmittedStep(y, backward)


class AvgPool(Pool):
    """The mean of every window, of any rank."""

    donates_output: ClassVar[bool] = True

    count_include_pad: Bool = False
    """Whether padding counts, as zeros: PyTorch's default; TensorFlow never counts it."""

    def infer_shape(self, *inputs: Shape) -> Shape:
        if self.count_include_pad and self.padding == "same":
            message = "padding=same is never counted: for count_include_pad=true use same_fixed, or pixels"
            raise RuleError("G203", message, "padding")
        return super().infer_shape(*inputs)

    def counted(self, shape: Shape) -> tuple[Pair, ...]:
        """What `ceil_mode` adds never counts."""
        if not self.count_include_pad:
            return super().counted(shape)
        sizes, _ = self.sizes(shape)
        return tuple(Windowed.window_along(self, axis, size).pads or (0, 0) for axis, size in enumerate(sizes))

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        x = build.channels_first(inputs[0])
        shape, window, counted = self.infer_shape(x.shape), self.onnx_window(x.shape), self.counted(x.shape)
        if any(map(any, counted)):
            # A Pad of its own: OpenCV ignores count_include_pad=1, and with ceil_mode runtimes disagree about it.
            x = _padded(build, x, counted, 0)
            outer = zip(window["pads"], both_ends(counted), strict=True)
            window["pads"] = [total - counted for total, counted in outer]
        return build.op("AveragePool", x, shape=shape, count_include_pad=0, **window)

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        (x,) = inputs
        shape, done = x.shape, self.stages(x.shape)
        y = avg_pool(context, x, done, self.output_shape(shape))

        def backward(dy: Array) -> Gradients:
            return Gradients((avg_pool_grad(context, dy, done, shape),))

        return Step(y, backward)

    def emit_training(self, build: TrainingBuilder, params: Mapping[str, Tensor], *inputs: Tensor) -> EmittedStep:
        *sizes, _ = inputs[0].example
        windows, counted = self.windows(tuple(sizes)), self.counted(inputs[0].example)

        def backward(dy: Tensor) -> EmittedGradients:
            dx = avg_pool_gradient(channels_first(dy), windows, counted, sizes)
            return EmittedGradients((from_channels_first(dx),))

        return EmittedStep(build.emitted(self, inputs), backward)


def _padded(build: OnnxBuilder, x: Value, pads: Sequence[Pair], value: float) -> Value:
    """x, channels first, with so many positions of this value around it."""
    sizes = [size + sum(sides) for size, sides in zip(x.shape[:-1], pads, strict=True)]
    ends = [0, 0, *(before for before, _ in pads), 0, 0, *(after for _, after in pads)]
    name = build.constant("pads", np.asarray(ends, np.int64))
    label = "lowest" if value else "zero"
    return build.op("Pad", x, name, scalar(build, label, value), shape=(*sizes, x.shape[-1]), mode="constant")


def _has_empty(window: Window, size: int) -> bool:
    """Whether one of the windows has all its taps in the padding."""
    assert window.pads is not None
    assert isinstance(window.output, int)
    firsts = (place * window.stride - window.pads[0] for place in range(window.output))
    taps = range(0, window.extent, window.dilation)
    return any(all(not 0 <= first + tap < size for tap in taps) for first in firsts)
