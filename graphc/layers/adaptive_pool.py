"""Pooling over as many windows as are asked for, which differ in size: what `output_size` comes to where it is so, or
may be so because the input's size is open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from graphc.dims import Shape, is_static
from graphc.kernels.pool_ranks import max_pool, max_pool_grad, stages
from graphc.kernels.sampling import Sampling
from graphc.layers.base import Layer, check_made, elements, static
from graphc.layers.pool import AvgPool2d, MaxPool2d
from graphc.layers.pool_ranks import AvgPool1d, AvgPool3d, MaxPool1d, MaxPool3d
from graphc.layers.pooling import AvgPool, MaxPool, Pool
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.receptive_field import HERE, Reach, check_period
from graphc.training_graph.linear import emit_mixed
from graphc.training_graph.pool import max_pool_gradient
from graphc.training_graph.step import EmittedGradients, EmittedStep, TrainingBuilder
from graphc.training_graph.tensor import Tensor, channels_first, from_channels_first
from graphc.types import Array, Context, Gradients, Params, Step
from graphc.window import Window


class _Adaptive(Pool):
    """Windows that differ in size."""

    def fitted(self, *inputs: Shape) -> Layer:
        return self

    reducing: ClassVar[str]
    """ONNX's operator over one window."""

    def infer_shape(self, *inputs: Shape) -> Shape:
        assert self.output_size is not None
        check_period(max(self.output_size))
        sizes, channels = self.sizes(inputs[0])
        if is_static(sizes):
            pairs = sum(elements(each) for each in zip(sizes, self.output_size, strict=True))
            check_made(pairs, "for pairs of a pixel and a window", "output_size")
        return *self.output_size, channels

    def sees_all(self, *inputs: Shape) -> Sequence[bool]:
        """Of an open size no window is known."""
        return (not is_static(inputs[0]),)

    def reach(self, *inputs: Shape) -> tuple[Reach, ...]:
        if not is_static(inputs[0]):
            return (HERE,) * self.rank
        return tuple(window.reach() for window in self.adaptive_windows(inputs[0]))

    def count_flops(self, *inputs: Shape) -> int:
        read = tuple(window.pixels_read for window in self.adaptive_windows(inputs[0]))
        return elements(read) * self.sizes(inputs[0])[1]

    def _emit_open(self, build: OnnxBuilder, x: Value) -> Value:
        """For sizes that are known when it runs: along each axis one window after the other, as windows of several axes
        are those of one axis of those of another. x lies channels first."""
        assert self.output_size is not None
        sizes, shape = build.op("Shape", x, shape=(self.rank + 2,)), list(x.shape)

        def whole(name: str, *values: int) -> str:
            return build.constant(name, np.asarray(values, np.int64))

        for at, count in enumerate(self.output_size):
            axis, places = 2 + at, whole(f"axis_{at}", 2 + at)
            size = build.op("Slice", sizes, places, whole(f"end_{at}", axis + 1), shape=(1,))
            numbers = [whole(f"numbers_{at}_{first}", *range(first, first + count)) for first in (0, 1)]
            per, less = whole(f"count_{at}", count), whole(f"less_{at}", count - 1)
            starts = build.op("Div", build.op("Mul", size, numbers[0], shape=(count,)), per)
            ends = build.op("Div", build.op("Add", build.op("Mul", size, numbers[1], shape=(count,)), less), per)
            each = zip(*(self._apart(build, values, count) for values in (starts, ends)), strict=True)
            one = (*shape[:at], 1, *shape[at + 1 :])
            parts = [
                build.op(self.reducing, build.op("Slice", x, *bounds, places), shape=one, axes=[axis], keepdims=1)
                for bounds in each
            ]
            shape[at] = count
            x = build.op("Concat", *parts, shape=tuple(shape), axis=axis) if count > 1 else parts[0]
        return x

    @staticmethod
    def _apart(build: OnnxBuilder, values: Value, count: int) -> Sequence[Value]:
        """Numbers [count] as so many of one."""
        return [values] if count == 1 else build.op_several("Split", values, shapes=[(1,)] * count, axis=0)


class AdaptiveMax(_Adaptive, MaxPool):
    """Max pooling over windows that differ in size: of pixels picked, so that they no longer do."""

    reducing: ClassVar[str] = "ReduceMax"

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        x = build.channels_first(inputs[0])
        if not is_static(x.shape):
            return self._emit_open(build, x)
        windows = self.adaptive_windows(x.shape)
        sizes = list(x.shape)
        for axis, (name, window) in enumerate(zip(PICKED[self.rank], windows, strict=True)):
            pixels = window.pixels()
            sizes[axis] = len(pixels)
            x = build.op("Gather", x, build.constant(name, pixels), shape=tuple(sizes), axis=2 + axis)
        longest = [window.longest for window in windows]
        shape = self.infer_shape(inputs[0].shape)
        return build.op("MaxPool", x, shape=shape, kernel_shape=longest, strides=longest, pads=[0, 0] * self.rank)

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        (x,) = inputs
        windows = self.adaptive_windows(x.shape[1:])
        samplings = [Sampling(window.pixels()[None], None) for window in windows]
        picked = x
        for axis, sampling in enumerate(samplings, 1):
            picked = sampling.apply(picked, axis)
        longest = [Window.over(window.count * window.longest, window.longest, window.longest) for window in windows]
        done = stages(picked.shape, longest, ((0, 0),) * self.rank)
        y, argmaxes = max_pool(context, picked, done, self.output_shape(x.shape))

        def backward(dy: Array) -> Gradients:
            dx = max_pool_grad(context, dy, argmaxes, done, picked.shape)
            for axis in reversed(range(self.rank)):
                dx = samplings[axis].adjoint(dx, axis + 1, windows[axis].size)
            return Gradients((dx,))

        return Step(y, backward)

    def emit_training(self, build: TrainingBuilder, params: Mapping[str, Tensor], *inputs: Tensor) -> EmittedStep:
        y, x = build.emitted(self, inputs), channels_first(inputs[0])
        windows = self.adaptive_windows(inputs[0].example)
        picks = [np.eye(window.size, dtype=np.float32)[window.pixels()] for window in windows]
        longest = [Window.over(window.count * window.longest, window.longest, window.longest) for window in windows]

        def backward(dy: Tensor) -> EmittedGradients:
            picked = emit_mixed(x, picks)
            dx = max_pool_gradient(picked, channels_first(y), channels_first(dy), longest)
            return EmittedGradients((from_channels_first(emit_mixed(dx, [pick.T for pick in picks])),))

        return EmittedStep(y, backward)


class AdaptiveAvg(_Adaptive, AvgPool):
    """Mean pooling over windows that differ in size: a product with a matrix along each axis, the last one first."""

    reducing: ClassVar[str] = "ReduceMean"

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        x = build.channels_first(inputs[0])
        if not is_static(x.shape):
            return self._emit_open(build, x)
        windows = self.adaptive_windows(x.shape)
        *sizes, channels = static(x.shape, self.kind)
        across = build.constant("across", np.ascontiguousarray(windows[-1].means().T.astype(np.float32)))
        sizes[-1] = windows[-1].count
        x = build.op("MatMul", x, across, shape=(*sizes, channels))
        if self.rank > 1:
            down = build.constant("down", windows[-2].means().astype(np.float32))
            sizes[-2] = windows[-2].count
            x = build.op("MatMul", down, x, shape=(*sizes, channels), channels_first=True)
        if self.rank > 2:
            planes = build.constant("planes", np.asarray((-1, channels, sizes[0], sizes[1] * sizes[2]), np.int64))
            x = build.op("Reshape", x, planes, shape=(sizes[0], sizes[1] * sizes[2], channels), channels_first=True)
            through = build.constant("through", windows[0].means().astype(np.float32))
            sizes[0] = windows[0].count
            x = build.op("MatMul", through, x, shape=(sizes[0], sizes[1] * sizes[2], channels), channels_first=True)
            whole = build.constant("whole", np.asarray((-1, channels, *sizes), np.int64))
            x = build.op("Reshape", x, whole, shape=(*sizes, channels), channels_first=True)
        return x

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        (x,) = inputs
        means = [window.means().astype(x.dtype) for window in self.adaptive_windows(x.shape[1:])]

        def backward(dy: Array) -> Gradients:
            return Gradients((_mixed(dy, [matrix.T for matrix in means]),))

        return Step(_mixed(x, means), backward)

    def emit_training(self, build: TrainingBuilder, params: Mapping[str, Tensor], *inputs: Tensor) -> EmittedStep:
        means = [window.means().astype(np.float32) for window in self.adaptive_windows(inputs[0].example)]

        def backward(dy: Tensor) -> EmittedGradients:
            dx = emit_mixed(channels_first(dy), [matrix.T for matrix in means])
            return EmittedGradients((from_channels_first(dx),))

        return EmittedStep(build.emitted(self, inputs), backward)


PICKED = {1: ("columns",), 2: ("rows", "columns"), 3: ("planes", "rows", "columns")}
"""Number of axes -> what the constants are called that hold the pixels picked along each."""


def _mixed(x: Array, matrices: Sequence[Array]) -> Array:
    """x [N, …, C] with the positions along each spatial axis mixed by a matrix [new, old] of its own: [N, …, C]."""
    for axis in reversed(range(1, x.ndim - 1)):
        before, behind = x.shape[:axis], x.shape[axis + 1 :]
        rows = matrices[axis - 1] @ x.reshape(-1, x.shape[axis], int(np.prod(behind)))
        x = rows.reshape(*before, rows.shape[1], *behind)
    return x


class AdaptiveMaxPool1d(MaxPool1d, AdaptiveMax):
    """Over windows that differ in size."""


class AdaptiveMaxPool2d(MaxPool2d, AdaptiveMax):
    """Over windows that differ in size."""


class AdaptiveMaxPool3d(MaxPool3d, AdaptiveMax):
    """Over windows that differ in size."""


class AdaptiveAvgPool1d(AvgPool1d, AdaptiveAvg):
    """Over windows that differ in size."""


class AdaptiveAvgPool2d(AvgPool2d, AdaptiveAvg):
    """Over windows that differ in size."""


class AdaptiveAvgPool3d(AvgPool3d, AdaptiveAvg):
    """Over windows that differ in size."""
