"""Pooling over the whole image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from graphc.dims import Shape
from graphc.layers.base import Layer, elements, image
from graphc.layers.fields import Bool
from graphc.lazy import np
from graphc.onnx_builder import OnnxBuilder, Value
from graphc.types import Array, Context, Gradients, Params, Step


class GlobalPool2d(Layer):
    """What both kinds share."""

    family: ClassVar[str] = "pooling"
    sees_everything: ClassVar[bool] = True

    keep_dims: Bool = False
    """Whether the output is an image of one pixel, 1×1×C, instead of a vector."""

    def infer_shape(self, *inputs: Shape) -> Shape:
        _, _, channels = image(inputs[0], self.kind)
        return (1, 1, channels) if self.keep_dims else (channels,)

    def count_flops(self, *inputs: Shape) -> int:
        return elements(inputs[0])

    def emit_pool(self, build: OnnxBuilder, operator: str, x: Value) -> Value:
        _, _, channels = image(x.shape, self.kind)
        pixel = build.op(operator, x, shape=(1, 1, channels))
        return pixel if self.keep_dims else build.op("Flatten", pixel, shape=(channels,), axis=1)


class GlobalAvgPool2d(GlobalPool2d):
    """The mean of every channel."""

    kind: ClassVar[str] = "global_avg_pool2d"

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        return self.emit_pool(build, "GlobalAveragePool", inputs[0])

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        (x,) = inputs
        shape = x.shape
        y = x.mean(axis=(1, 2), keepdims=self.keep_dims)

        def backward(dy: Array) -> Gradients:
            share = dy.reshape(len(dy), 1, 1, -1) / (shape[1] * shape[2])
            dx = context.empty(shape, dy.dtype)
            dx[...] = share
            return Gradients((dx,))

        return Step(y, backward)


class GlobalMaxPool2d(GlobalPool2d):
    """The largest value of every channel."""

    kind: ClassVar[str] = "global_max_pool2d"

    def emit(self, build: OnnxBuilder, inputs: Sequence[Value], params: Params) -> Value:
        return self.emit_pool(build, "GlobalMaxPool", inputs[0])

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        (x,) = inputs
        pixels = x.reshape(len(x), -1, x.shape[3])
        where = pixels.argmax(axis=1)[:, None]  # N 1 C
        largest = np.take_along_axis(pixels, where, axis=1)
        y = largest[:, None] if self.keep_dims else largest[:, 0]

        def backward(dy: Array) -> Gradients:
            dx = np.zeros(pixels.shape, dy.dtype)
            np.put_along_axis(dx, where, dy.reshape(where.shape), axis=1)
            return Gradients((dx.reshape(x.shape),))

        return Step(y, backward)
