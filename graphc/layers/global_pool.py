"""Pooling over a whole sequence, image or volume."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

from graphc.dims import Dim, Shape, is_static
from graphc.layers.base import elements
from graphc.layers.fields import Bool
from graphc.layers.windowed import OfRank
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.training_graph.pool import global_max_gradient
from graphc.training_graph.step import EmittedGradients, EmittedStep, TrainingBuilder
from graphc.training_graph.tensor import Tensor, channels_first, from_channels_first
from graphc.types import Array, Context, Gradients, Params, Step

EVERYWHERE_RIGHT = frozenset({("GlobalAveragePool", 1), ("GlobalAveragePool", 2), ("GlobalMaxPool", 2)})
"""Operators and numbers of spatial axes that every runtime has right. OpenCV refuses both of three axes, and onnx's
reference takes the largest value along the last two axes alone."""


class GlobalPool(OfRank):
    """What all kinds share."""

    family: ClassVar[str] = "pooling"
    sees_everything: ClassVar[bool] = True

    keep_dims: Bool = False
    """Whether the output keeps its axes, of size 1 (1×1×C of an image), instead of being a vector."""

    def infer_shape(self, *inputs: Shape) -> Shape:
        _, channels = self.sizes(inputs[0])
        return (*(1,) * self.rank, channels) if self.keep_dims else (channels,)

    def count_flops(self, *inputs: Shape) -> int:
        return elements(inputs[0])

    def emit_pool(self, build: OnnxBuilder, operator: str, x: Value) -> Value:
        _, channels = self.sizes(x.shape)
        x, shape = build.channels_first(x), (*(1,) * self.rank, channels)
        if (operator, self.rank) in EVERYWHERE_RIGHT:
            pixel = build.op(operator, x, shape=shape)
        else:
            pixel = build.op(operator, self._as_column(build, x), shape=(1, 1, channels))
        if not self.keep_dims:
            return build.op("Flatten", pixel, shape=(channels,), axis=1)
        if len(pixel.shape) == len(shape):
            return pixel
        sizes = build.constant("kept", np.asarray([-1, channels, *shape[:-1]], np.int64))
        return build.op("Reshape", pixel, sizes, shape=shape, channels_first=True)

    def _as_column(self, build: OnnxBuilder, x: Value) -> Value:
        """All positions as an image one pixel wide."""
        channels = x.shape[-1]
        positions: Dim = elements(x.shape[:-1]) if is_static(x.shape) else -1  # not known before it runs
        sizes = [-1 if is_static(x.shape) else 0, channels, positions, 1]
        column = build.constant("column", np.asarray(sizes, np.int64))
        return build.op("Reshape", x, column, shape=(positions, 1, channels), channels_first=True)


class GlobalAvgPool(GlobalPool):
    """The mean of every channel, of any rank."""

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        return self.emit_pool(build, "GlobalAveragePool", inputs[0])

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        (x,) = inputs
        shape = x.shape
        y = x.mean(axis=tuple(range(1, x.ndim - 1)), keepdims=self.keep_dims)

        def backward(dy: Array) -> Gradients:
            share = dy.reshape(len(dy), *(1,) * self.rank, -1) / math.prod(shape[1:-1])
            dx = context.empty(shape, dy.dtype)
            dx[...] = share
            return Gradients((dx,))

        return Step(y, backward)

    def emit_training(self, build: TrainingBuilder, params: Mapping[str, Tensor], *inputs: Tensor) -> EmittedStep:
        x = channels_first(inputs[0])

        def backward(dy: Tensor) -> EmittedGradients:
            share = dy.reshape(*x.shape[:2], *(1,) * self.rank) / math.prod(x.shape[2:])
            return EmittedGradients((from_channels_first(share.expand(*x.shape)),))

        return EmittedStep(build.emitted(self, inputs), backward)


class GlobalMaxPool(GlobalPool):
    """The largest value of every channel, of any rank."""

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        return self.emit_pool(build, "GlobalMaxPool", inputs[0])

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        (x,) = inputs
        pixels = x.reshape(len(x), -1, x.shape[-1])
        where = pixels.argmax(axis=1)[:, None]  # N 1 C
        largest = np.take_along_axis(pixels, where, axis=1)
        y = largest.reshape(len(x), *(1,) * self.rank, -1) if self.keep_dims else largest[:, 0]

        def backward(dy: Array) -> Gradients:
            dx = np.zeros(pixels.shape, dy.dtype)
            np.put_along_axis(dx, where, dy.reshape(where.shape), axis=1)
            return Gradients((dx.reshape(x.shape),))

        return Step(y, backward)

    def emit_training(self, build: TrainingBuilder, params: Mapping[str, Tensor], *inputs: Tensor) -> EmittedStep:
        x = channels_first(inputs[0])

        def backward(dy: Tensor) -> EmittedGradients:
            return EmittedGradients((from_channels_first(global_max_gradient(x, dy)),))

        return EmittedStep(build.emitted(self, inputs), backward)


class GlobalAvgPool1d(GlobalAvgPool):
    """The mean of every channel of a sequence."""

    kind: ClassVar[str] = "global_avg_pool1d"
    rank: ClassVar[int] = 1


class GlobalAvgPool2d(GlobalAvgPool):
    """The mean of every channel."""

    kind: ClassVar[str] = "global_avg_pool2d"


class GlobalAvgPool3d(GlobalAvgPool):
    """The mean of every channel of a volume."""

    kind: ClassVar[str] = "global_avg_pool3d"
    rank: ClassVar[int] = 3


class GlobalMaxPool1d(GlobalMaxPool):
    """The largest value of every channel of a sequence."""

    kind: ClassVar[str] = "global_max_pool1d"
    rank: ClassVar[int] = 1


class GlobalMaxPool2d(GlobalMaxPool):
    """The largest value of every channel."""

    kind: ClassVar[str] = "global_max_pool2d"


class GlobalMaxPool3d(GlobalMaxPool):
    """The largest value of every channel of a volume."""

    kind: ClassVar[str] = "global_max_pool3d"
    rank: ClassVar[int] = 3
