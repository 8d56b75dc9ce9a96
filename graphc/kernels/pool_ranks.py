"""Pooling of sequences, images and volumes, by that of images.

A sequence is an image of one row. A volume is pooled plane by plane, and then along the depth, its planes being rows:
a maximum of maxima, or a mean of means, since each axis has its own share in a window's number of pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graphc.dims import Dim
from graphc.kernels.pool import avg_pool2d, avg_pool2d_grad, max_pool2d, max_pool2d_grad
from graphc.kernels.unfold import Pads, Pair
from graphc.types import Array, Context
from graphc.window import Window


@dataclass(frozen=True, slots=True)
class Stage:
    """One pooling of images."""

    shape: tuple[int, ...]
    """What it takes, N H W C."""
    kernel: Pair
    stride: Pair
    pads: Pads
    dilation: Pair
    counted: Pads
    """Of the padding, the pixels that count as zeros in a mean."""
    outputs: Pair
    """Height and width of what it gives."""

    @staticmethod
    def of(batch: int, down: Window, across: Window, channels: int, counted: Pads) -> Stage:
        """Windows along both axes."""
        return Stage(
            (batch, fixed(down.size), fixed(across.size), channels),
            (down.kernel, across.kernel),
            (down.stride, across.stride),
            (down.pads or (0, 0), across.pads or (0, 0)),
            (down.dilation, across.dilation),
            counted,
            (fixed(down.output), fixed(across.output)),
        )


def stages(x_shape: tuple[int, ...], windows: Sequence[Window], counted: Sequence[Pair]) -> tuple[Stage, ...]:
    """What is done to arrays of this shape, N … C, one after the other."""
    batch, *_, channels = x_shape
    if len(windows) == 1:
        return (Stage.of(batch, Window.over(1, 1), windows[0], channels, ((0, 0), counted[0])),)
    down, across = windows[-2:]
    if len(windows) == 2:
        return (Stage.of(batch, down, across, channels, (counted[0], counted[1])),)
    depth = windows[0]
    planes = Stage.of(batch * fixed(depth.size), down, across, channels, (counted[1], counted[2]))
    pixels = Window.over(planes.outputs[0] * planes.outputs[1], 1)
    return planes, Stage.of(batch, depth, pixels, channels, (counted[0], (0, 0)))


def fixed(size: Dim) -> int:
    assert isinstance(size, int)
    return size


def max_pool(context: Context, x: Array, done: Sequence[Stage], y_shape: tuple[int, ...]) -> tuple[Array, list[Array]]:
    """The largest of every window of x [N, …, C], in y's shape, and each stage's argmax."""
    found = []
    for stage in done:
        view = x.reshape(stage.shape)
        x, argmax = max_pool2d(context, view, stage.kernel, stage.stride, stage.pads, stage.dilation)
        found.append(argmax)
    return x.reshape(y_shape), found


def max_pool_grad(
    context: Context, dy: Array, argmaxes: Sequence[Array], done: Sequence[Stage], x_shape: tuple[int, ...]
) -> Array:
    """The gradient of x, of its shape, from dy, of y's shape: to the tap of each argmax."""
    for stage, argmax in zip(reversed(done), reversed(argmaxes), strict=True):
        given = dy.reshape(argmax.shape)
        dy = max_pool2d_grad(
            context, given, argmax, stage.shape, stage.kernel, stage.stride, stage.pads, stage.dilation
        )
    return dy.reshape(x_shape)


def avg_pool(context: Context, x: Array, done: Sequence[Stage], y_shape: tuple[int, ...]) -> Array:
    """The mean of every window of x [N, …, C], in y's shape."""
    for stage in done:
        x = avg_pool2d(context, x.reshape(stage.shape), stage.kernel, stage.stride, stage.pads, stage.counted)
    return x.reshape(y_shape)


def avg_pool_grad(context: Context, dy: Array, done: Sequence[Stage], x_shape: tuple[int, ...]) -> Array:
    """The gradient of x, of its shape, from dy, of y's shape: in equal shares to each window's pixels."""
    for stage in reversed(done):
        batch, *_, channels = stage.shape
        given = dy.reshape(batch, *stage.outputs, channels)
        dy = avg_pool2d_grad(context, given, stage.shape, stage.kernel, stage.stride, stage.pads, stage.counted)
    return dy.reshape(x_shape)
