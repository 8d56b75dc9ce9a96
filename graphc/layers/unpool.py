"""Unpooling: numbers back to where a max pooling found its largest ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

from pydantic import StrictStr, model_validator

from graphc.dims import Dim, Shape, format_shape, is_static
from graphc.errors import RuleError
from graphc.expected import Expects
from graphc.kernels.pool import max_pool2d, max_pool2d_grad, max_unpool2d_grad
from graphc.layers.base import Layer, image, scalar
from graphc.layers.fields import Bool, IntPair, Padding, axis_padding
from graphc.layers.protocols import Unpoolable
from graphc.layers.windowed import check_padded
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.receptive_field import Reach, check_period
from graphc.training_graph.pool import largest_of_tiles, max_pool_gradient, max_unpool_gradient
from graphc.training_graph.step import EmittedGradients, EmittedStep, TrainingBuilder
from graphc.training_graph.tensor import Tensor
from graphc.types import Array, Context, Gradients, Params, Step
from graphc.window import Window

_TO_THE_END = 2**31 - 1
"""A slice's end that is larger than any size."""


class MaxUnpool2d(Layer):
    """Each number where a max pooling found its window's largest one, zeros elsewhere: SegNet's decoder. With `pool` it
    takes over that layer's window and reads what that one reads; else it has two inputs, and the second is pooled."""

    kind: ClassVar[str] = "max_unpool2d"
    family: ClassVar[str] = "pooling"
    positional: ClassVar[tuple[str, ...]] = ("pool",)
    inputs_at_most: ClassVar[int | None] = 2
    reaches: ClassVar[int | None] = 1

    pool: Annotated[StrictStr | None, Expects("the name of a max_pool2d")] = None
    """The max_pool2d that is undone, looked up as `inputs` are; its windows must not overlap."""
    kernel: IntPair | None = None
    """In place of `pool`: the pooling's window, one number for both axes; it is its stride too."""
    padding: Padding = "valid"
    """In place of `pool`: the pooling's padding."""
    ceil_mode: Bool = False
    """In place of `pool`: the pooling's."""

    @model_validator(mode="after")
    def _pool_or_kernel(self) -> MaxUnpool2d:
        if self.pool is None and self.kernel is None:
            raise ValueError("expected pool, the name of the max_pool2d that is undone")
        if self.pool is not None and self.model_fields_set & {"kernel", "padding", "ceil_mode"}:
            raise ValueError("pool says the window: write one of both")
        return self

    @property
    def undoes(self) -> str | None:
        return self.pool

    def undoing(self, other: Layer | None) -> Layer:
        if not isinstance(other, Unpoolable):
            found = "an input" if other is None else f"a {other.kind}"
            raise RuleError("G208", f"pool={self.pool} expects a max_pool2d, which {found} is not", "pool")
        window = other.unpooling()
        if window is None:
            raise RuleError("G208", f"pool={self.pool} expects windows of fixed pixels that do not overlap", "pool")
        return MaxUnpool2d(**window)

    @property
    def window(self) -> tuple[int, int]:
        """The pooling's pixels and stride, down and across."""
        assert self.kernel is not None
        return self.kernel

    def windows(self, shape: Shape) -> tuple[Window, Window]:
        """The pooling's windows over images of this shape, down and across."""
        height, width, _ = image(shape, self.kind)
        pair = []
        for axis, size in enumerate((height, width)):
            window = Window.over(size, self.window[axis], self.window[axis], axis_padding(self.padding, axis))
            if window.pads is None:
                needs = "padding=same with windows side by side needs a fixed size"
                raise RuleError("G205", f"{self.kind}: {needs}, got {size}", "padding")
            pair.append(window.rounded_up() if self.ceil_mode and self.padding != "same" else window)
        return pair[0], pair[1]

    def infer_shape(self, *inputs: Shape) -> Shape:
        if len(inputs) != 2:
            raise RuleError("G202", f"{self.kind} expects pool, or the pooled image as its second input")
        channels = image(inputs[1], self.kind)[2]
        pooled = (*(window.output for window in self.windows(inputs[1])), channels)
        if inputs[0] != pooled:
            message = f"{self.kind} expects what the pooling gives of {format_shape(inputs[1])}: {format_shape(pooled)}"
            code = "G202" if is_static(pooled) and is_static(inputs[0]) else "G205"
            raise RuleError(code, f"{message}, got {format_shape(inputs[0])}")
        if self.window[0] != self.window[1]:
            raise RuleError("G203", f"{self.kind} expects square windows, got {list(self.window)}", "pool")
        check_padded(self.windows(inputs[1]), channels)
        for window in self.windows(inputs[1]):
            _sides(window)
        return inputs[1]

    def reach(self, *inputs: Shape) -> tuple[Reach, ...]:
        """Of the first input alone: of the second only the places are read, and it gets no gradient."""
        found = []
        for window in self.windows(inputs[1]):
            before = window.before or 0
            check_period(window.kernel)
            seen = tuple((place + before) // window.kernel for place in range(window.kernel))
            found.append(Reach(window.kernel, 1, seen, seen))
        return tuple(found)

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        """ONNX's MaxUnpool is in few runtimes: here each tap's pixels are compared with the largest, from the first tap
        to the last, so that of equal ones the first has it."""
        x, pooled = inputs
        block = self.window[0]
        windows = self.windows(pooled.shape)
        sides = [_sides(window) for window in windows]
        channels = image(pooled.shape, self.kind)[2]
        tiled = (*(window.output * block for window in windows), channels)
        whole = _moved(build, pooled, sides, tiled, float(np.finfo(np.float32).min))
        square = [block, block]
        largest = build.op("MaxPool", whole, shape=x.shape, kernel_shape=square, strides=square, pads=[0, 0, 0, 0])
        taps = build.op("SpaceToDepth", whole, shape=(*x.shape[:2], channels * block**2), blocksize=block)
        axis, one = build.constant("channels", np.asarray([1], np.int64)), scalar(build, "one", 1)
        rest: Value | None = None
        given = []
        for place in range(block**2):
            first, last = (
                build.constant(f"tap{at}", np.asarray([at * channels], np.int64)) for at in (place, place + 1)
            )
            tap = build.op("Slice", taps, first, last, axis, shape=x.shape)
            here = build.op("Cast", build.op("Equal", tap, largest, shape=x.shape), to=1)
            here = here if rest is None else build.op("Mul", here, rest)
            if place < block**2 - 1:
                rest = build.op("Sub", one if rest is None else rest, here, shape=x.shape)
            given.append(build.op("Mul", here, x))
        y = build.op("Concat", *given, shape=taps.shape, axis=1)
        y = build.op("DepthToSpace", y, shape=tiled, blocksize=block, mode="DCR")
        return _moved(build, y, [(-before, -after) for before, after in sides], pooled.shape, 0)

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        x, pooled = inputs
        rows, columns = self.windows(pooled.shape[1:])
        assert rows.pads is not None
        assert columns.pads is not None
        geometry = (self.window, self.window, (rows.pads, columns.pads))
        _, argmax = max_pool2d(context, pooled, *geometry)
        y = max_pool2d_grad(context, x, argmax, pooled.shape, *geometry)

        def backward(dy: Array) -> Gradients:
            return Gradients((max_unpool2d_grad(context, dy, argmax, *geometry), None))

        return Step(y, backward)

    def emit_training(self, build: TrainingBuilder, params: Mapping[str, Tensor], *inputs: Tensor) -> EmittedStep:
        x, pooled = inputs
        windows = self.windows(pooled.example)
        largest = largest_of_tiles(pooled, windows)
        y = max_pool_gradient(pooled, largest, x, windows)

        def backward(dy: Tensor) -> EmittedGradients:
            return EmittedGradients((max_unpool_gradient(pooled, largest, dy, windows), None))

        return EmittedStep(y, backward)


def _sides(window: Window) -> tuple[int, int]:
    """Pixels to add (below 0: to cut off) before and after, so that windows tile the axis exactly."""
    before = window.before or 0
    after = window.output * window.kernel - window.size - before
    if not isinstance(after, int):
        needs = f"a height and width that windows of {window.kernel} tile"
        raise RuleError("G205", f"max_unpool2d needs {needs}, got {window.size}; write {window.kernel}*H, or set it")
    return before, after


def _moved(build: OnnxBuilder, x: Value, sides: Sequence[tuple[int, int]], shape: Shape, fill: float) -> Value:
    """x with so many pixels of `fill` around it, or, below 0, fewer pixels."""
    name = "filled" if fill else "zeros"
    more = [(max(before, 0), max(after, 0)) for before, after in sides]
    if any(map(any, more)):
        ends = [0, 0, *(before for before, _ in more), 0, 0, *(after for _, after in more)]
        padded: list[Dim] = [size + sum(each) for size, each in zip(x.shape, more, strict=False)]
        pads = build.constant(f"{name}/pads", np.asarray(ends, np.int64))
        value = scalar(build, f"{name}/value", fill)
        x = build.op("Pad", x, pads, value, shape=(*padded, shape[-1]), mode="constant")
    if any(min(each) < 0 for each in sides):
        bounds = {
            "first": [max(-before, 0) for before, _ in sides],
            "last": [min(after, 0) or _TO_THE_END for _, after in sides],
            "axes": [2, 3],
        }
        names = (build.constant(f"{name}/{each}", np.asarray(values, np.int64)) for each, values in bounds.items())
        x = build.op("Slice", x, *names, shape=shape)
    return x
