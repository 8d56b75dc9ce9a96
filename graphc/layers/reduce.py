"""Reductions: the mean, sum, largest or smallest along some axes of an example."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

from graphc.dims import Shape, axis_names, format_shape
from graphc.errors import RuleError
from graphc.layers.base import Layer
from graphc.layers.fields import Axes, Bool
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.receptive_field import HERE, Reach
from graphc.training_graph.step import EmittedGradients, EmittedStep, TrainingBuilder
from graphc.training_graph.tensor import Tensor, axis_of, between_layers, channels_last
from graphc.types import Array, Context, Gradients, Params, Step


class Reduce(Layer):
    """What all of them share."""

    family: ClassVar[str] = "arithmetic"
    positional: ClassVar[tuple[str, ...]] = ("axes",)
    operator: ClassVar[str]
    """ONNX's."""

    axes: Axes
    """Which axes go: channels, length, depth, height, width, or their numbers (0 is an example's first, -1 its last),
    one or a list."""
    keep_dims: Bool = False
    """Whether they stay as axes of size 1, as broadcasting wants them."""

    def reduced(self, shape: Shape) -> tuple[int, ...]:
        """The axes that go, as numbers from 0, in order."""
        found = sorted(named_axis(axis, shape, self.kind) for axis in self.axes)
        if len(set(found)) < len(found):
            raise RuleError("G203", f"{self.kind} expects each axis once, got {list(self.axes)}", "axes")
        return tuple(found)

    def infer_shape(self, *inputs: Shape) -> Shape:
        (shape,) = inputs
        gone = self.reduced(shape)
        if self.keep_dims:
            return tuple(1 if axis in gone else size for axis, size in enumerate(shape))
        left = tuple(size for axis, size in enumerate(shape) if axis not in gone)
        if not left:
            message = f"{self.kind} over all axes of {format_shape(shape)} leaves none: write keep_dims: true"
            raise RuleError("G203", message, "axes")
        return left

    def sees_all(self, *inputs: Shape) -> Sequence[bool]:
        return (any(axis < len(inputs[0]) - 1 for axis in self.reduced(inputs[0])),)

    def reach(self, *inputs: Shape) -> tuple[Reach, ...]:
        return (HERE,) * (len(self.infer_shape(*inputs)) - 1)

    def count_flops(self, *inputs: Shape) -> int:
        return math.prod(size for size in inputs[0] if isinstance(size, int))

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        x = build.in_order(inputs[0])
        shape, gone = self.infer_shape(x.shape), self.reduced(x.shape)
        axes = sorted(x.axis(axis) for axis in gone)
        keeps_channels = self.keep_dims or len(x.shape) - 1 not in gone
        first = x.channels_first and keeps_channels and len(shape) > 1
        return build.between_layers(self.emit_along(build, x, axes, shape, first))

    def emit_along(self, build: OnnxBuilder, x: Value, axes: list[int], shape: Shape, channels_first: bool) -> Value:
        """The node; `axes` are the tensor's, which opset 17 takes as an attribute of all but ReduceSum."""
        keep = int(self.keep_dims)
        return build.op(self.operator, x, shape=shape, channels_first=channels_first, axes=axes, keepdims=keep)

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        (x,) = inputs
        axes = tuple(1 + axis for axis in self.reduced(x.shape[1:]))
        wide = tuple(1 if axis in axes else size for axis, size in enumerate(x.shape))
        y = self.value(x, axes)
        count = x.size // max(y.size, 1)

        def backward(dy: Array) -> Gradients:
            dx = context.empty(x.shape, dy.dtype)
            dx[...] = self.shares(x, y, dy.reshape(wide), count, axes)
            return Gradients((dx,))

        return Step(y if self.keep_dims else y.reshape(len(x), *self.infer_shape(x.shape[1:])), backward)

    def emit_training(self, build: TrainingBuilder, params: Mapping[str, Tensor], *inputs: Tensor) -> EmittedStep:
        (x,) = inputs
        y, gone = build.emitted(self, inputs), self.reduced(x.example)
        wide = (x.shape[0], *(1 if axis in gone else size for axis, size in enumerate(x.example)))
        axes = [axis_of(x, axis) for axis in gone]

        def widened(value: Tensor) -> Tensor:
            return between_layers(channels_last(value).reshape(*wide))

        def backward(dy: Tensor) -> EmittedGradients:
            shares = self.emit_shares(x, widened(y), widened(dy), x.size // y.size, axes)
            return EmittedGradients((shares.expand(*x.shape),))

        return EmittedStep(y, backward)

    @abstractmethod
    def emit_shares(self, x: Tensor, y: Tensor, dy: Tensor, count: int, axes: Sequence[int]) -> Tensor:
        """`shares` in nodes; `axes` are the tensor's that go."""

    @abstractmethod
    def value(self, x: Array, axes: tuple[int, ...]) -> Array:
        """x [N, …] reduced along these of its axes, which stay with size 1."""

    @abstractmethod
    def shares(self, x: Array, y: Array, dy: Array, count: int, axes: tuple[int, ...]) -> Array:
        """The gradient of x [N, …], to broadcast against it, from dy, in y's shape; each y is of `count` numbers."""


class ReduceMean(Reduce):
    """The mean along some axes."""

    kind: ClassVar[str] = "reduce_mean"
    operator: ClassVar[str] = "ReduceMean"

    def value(self, x: Array, axes: tuple[int, ...]) -> Array:
        y: Array = np.mean(x, axis=axes, keepdims=True)
        return y

    def shares(self, x: Array, y: Array, dy: Array, count: int, axes: tuple[int, ...]) -> Array:
        return dy / count

    def emit_shares(self, x: Tensor, y: Tensor, dy: Tensor, count: int, axes: Sequence[int]) -> Tensor:
        return dy / count


class ReduceSum(Reduce):
    """The sum along some axes."""

    kind: ClassVar[str] = "reduce_sum"
    operator: ClassVar[str] = "ReduceSum"

    def emit_along(self, build: OnnxBuilder, x: Value, axes: list[int], shape: Shape, channels_first: bool) -> Value:
        names = build.constant("axes", np.asarray(axes, np.int64))
        keep = int(self.keep_dims)
        return build.op(self.operator, x, names, shape=shape, channels_first=channels_first, keepdims=keep)

    def value(self, x: Array, axes: tuple[int, ...]) -> Array:
        y: Array = np.sum(x, axis=axes, keepdims=True)
        return y

    def shares(self, x: Array, y: Array, dy: Array, count: int, axes: tuple[int, ...]) -> Array:
        return dy

    def emit_shares(self, x: Tensor, y: Tensor, dy: Tensor, count: int, axes: Sequence[int]) -> Tensor:
        return dy


class ReduceExtreme(Reduce):
    """What the largest and the smallest share: equal ones get equal parts of the gradient, as in PyTorch's amax."""

    def shares(self, x: Array, y: Array, dy: Array, count: int, axes: tuple[int, ...]) -> Array:
        held = x == y
        shares: Array = held * (dy / np.maximum(held.sum(axis=axes, keepdims=True, dtype=dy.dtype), 1))
        return shares

    def emit_shares(self, x: Tensor, y: Tensor, dy: Tensor, count: int, axes: Sequence[int]) -> Tensor:
        held = x.equals(y)
        return held * (dy / held.sum(*axes, keep=True).clip(1))


class ReduceMax(ReduceExtreme):
    """The largest along some axes."""

    kind: ClassVar[str] = "reduce_max"
    operator: ClassVar[str] = "ReduceMax"

    def value(self, x: Array, axes: tuple[int, ...]) -> Array:
        y: Array = np.max(x, axis=axes, keepdims=True)
        return y


class ReduceMin(ReduceExtreme):
    """The smallest along some axes."""

    kind: ClassVar[str] = "reduce_min"
    operator: ClassVar[str] = "ReduceMin"

    def value(self, x: Array, axes: tuple[int, ...]) -> Array:
        y: Array = np.min(x, axis=axes, keepdims=True)
        return y


def named_axis(axis: str | int, shape: Shape, kind: str) -> int:
    """The number of an axis of one example, by its name or its number from either end."""
    names = axis_names(len(shape))
    if isinstance(axis, str) and axis in names:
        return names.index(axis)
    if isinstance(axis, int) and -len(shape) <= axis < len(shape):
        return axis % len(shape)
    has = f"{', '.join(names)}, or their numbers from 0 to {len(shape) - 1}"
    raise RuleError("G201", f"{kind} expects axes of {format_shape(shape)}, which are {has}, got {axis}", "axes")
