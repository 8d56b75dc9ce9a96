"""Pooling, tap by tap: each of the kernel's taps is a strided view of the images.

x is N H W C, y is N H' W' C. Padding never wins a maximum, and is counted in a mean only where it is said; every window
has to hold at least one pixel.

The way back needs a byte a window, the argmax, and not the images: 0.6 ms in place of 1.2 for 28×28×32, in a step of
LeNet's (docs/performance.md). Max pooling in bits, axis by axis, was built and was slower than booleans tap by tap; the
taps as arrays of their own were no faster.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from graphc.kernels.chunks import chunks
from graphc.kernels.pixels import empty_padded_rows
from graphc.kernels.unfold import Grid, Pads, Pair, elements
from graphc.lazy import np
from graphc.types import Array, Context

CHUNK_BYTES = 1 << 20
"""Of the images that one pass over the taps reads."""


def max_pool2d(
    context: Context, x: Array, kernel: Pair, stride: Pair, pads: Pads, dilation: Pair = (1, 1)
) -> tuple[Array, Array]:
    """The largest of every window, and its argmax: the number of the tap that has it, the first of equal ones. Both are
    [N, H', W', C], the argmax in the smallest whole type that holds it."""
    grid = Grid.of((x.shape[1], x.shape[2]), kernel, stride, pads, dilation)
    shape = (len(x), *grid.output, x.shape[3])
    y, argmax = context.empty(shape, x.dtype), context.empty(shape, _number(kernel))

    for part in chunks(x, CHUNK_BYTES):
        taps = (_copy(context, tap) for tap in _taps(_padded(context, x[part], grid, -np.inf), grid))
        _largest(taps, y[part], argmax[part])
    return y, argmax


def max_pool2d_grad(
    context: Context,
    dy: Array,
    argmax: Array,
    x_shape: tuple[int, ...],
    kernel: Pair,
    stride: Pair,
    pads: Pads,
    dilation: Pair = (1, 1),
) -> Array:
    """The gradient of x, [N, H, W, C]: each output's gradient, dy [N, H', W', C], goes to the tap of its argmax."""
    grid = Grid.of((x_shape[1], x_shape[2]), kernel, stride, pads, dilation)
    dx = context.empty(x_shape, dy.dtype)

    for part in chunks(dx, CHUNK_BYTES):
        gradient = dx[part]
        if grid.padded != grid.size:
            gradient = context.empty((len(gradient), *grid.padded, x_shape[3]), dy.dtype)
        if grid.is_tiling:
            _give(dy[part], argmax[part], _taps(gradient, grid))
        else:
            gradient[...] = 0
            for place, tap in enumerate(_taps(gradient, grid)):
                np.add(tap, dy[part] * (argmax[part] == place), out=tap)
        if grid.padded != grid.size:
            dx[part] = _cropped(gradient, grid)
    return dx


def max_unpool2d_grad(context: Context, dy: Array, argmax: Array, kernel: Pair, stride: Pair, pads: Pads) -> Array:
    """The gradient [N, H', W', C] of what `max_pool2d_grad` spreads over [N, H, W, C], from that of the result, dy
    [N, H, W, C]: of each window the gradient of the tap of its argmax."""
    grid = Grid.of((dy.shape[1], dy.shape[2]), kernel, stride, pads, (1, 1))
    dx = context.empty(argmax.shape, dy.dtype)
    for part in chunks(dy, CHUNK_BYTES):
        dx[part] = 0
        for place, tap in enumerate(_taps(_padded(context, dy[part], grid, 0), grid)):
            np.copyto(dx[part], tap, where=argmax[part] == place)
    return dx


def tile_max(context: Context, pixels: Array, window: Pair) -> tuple[Array, Array]:
    """The largest of windows that tile images, of [rows, place, windows, N, C], and the argmax, both [rows, windows, N,
    C]; `place` is the column within the window."""
    shape = (len(pixels) // window[0], *pixels.shape[2:])
    y, argmax = context.empty(shape, pixels.dtype), context.empty(shape, _number(window))
    _largest(_tiles(pixels, window), y, argmax)
    return y, argmax


def tile_max_grad(context: Context, dy: Array, argmax: Array, window: Pair) -> Array:
    """The gradient of the pixels, as `tile_max` takes them, from dy and the argmax, [rows, windows, N, C] both."""
    pixels = empty_padded_rows(context, (len(dy) * window[0], window[1], *dy.shape[1:]), dy.dtype)
    _give(dy, argmax, _tiles(pixels, window))
    return pixels


def avg_pool2d(
    context: Context, x: Array, kernel: Pair, stride: Pair, pads: Pads, counted: Pads = ((0, 0), (0, 0))
) -> Array:
    """The mean of every window's pixels: [N, H', W', C] of x [N, H, W, C]. Of the padding `counted` pixels around x
    are zeros that count, the rest does not."""
    grid = Grid.of((x.shape[1], x.shape[2]), kernel, stride, pads, (1, 1))
    y = context.empty((len(x), *grid.output, x.shape[3]), x.dtype)
    share = _shares(grid, counted).astype(x.dtype)

    def work(images: slice) -> None:
        first, *others = _taps(_padded(context, x[images], grid, 0), grid)
        total = y[images]
        total[...] = first
        for tap in others:
            total += tap
        total *= share

    context.each_slice(work, x)
    return y


def avg_pool2d_grad(
    context: Context,
    dy: Array,
    x_shape: tuple[int, ...],
    kernel: Pair,
    stride: Pair,
    pads: Pads,
    counted: Pads = ((0, 0), (0, 0)),
) -> Array:
    """The gradient of x, [N, H, W, C]: each output's gradient, dy [N, H', W', C], in equal shares to its window's
    pixels, `counted` padding among them."""
    grid = Grid.of((x_shape[1], x_shape[2]), kernel, stride, pads, (1, 1))
    dx = context.empty(x_shape, dy.dtype)
    share = _shares(grid, counted).astype(dy.dtype)

    def work(images: slice) -> None:
        shares = dy[images] * share
        gradient = context.empty((len(shares), *grid.padded, x_shape[3]), dy.dtype)
        gradient[...] = 0
        for target in _taps(gradient, grid):
            np.add(target, shares, out=target)
        dx[images] = _cropped(gradient, grid)

    context.each_slice(work, dy)
    return dx


def _largest(taps: Iterator[Array], y: Array, argmax: Array) -> None:
    """The largest of several arrays, number by number, and which of them has it."""
    largest = next(taps)
    argmax[...] = 0
    for place, tap in enumerate(taps, 1):
        here = (tap > largest).view(np.uint8)  # quicker than booleans
        np.maximum(argmax, here * argmax.dtype.type(place), out=argmax)
        largest = np.maximum(largest, tap, out=y)
    if largest is not y:  # a window of one pixel
        y[...] = largest


def _give(dy: Array, argmax: Array, taps: Iterator[Array]) -> None:
    """Each gradient to the tap that won, zero to the others."""
    for place, tap in enumerate(taps):
        np.multiply(dy, (argmax == place).astype(dy.dtype), out=tap)


def _number(kernel: Pair) -> Any:
    """The type of a tap's number."""
    return np.min_scalar_type(kernel[0] * kernel[1] - 1)


def _tiles(pixels: Array, window: Pair) -> Iterator[Array]:
    """What every tap of the windows reads, as views, row by row."""
    for i, j in itertools.product(range(window[0]), range(window[1])):
        yield pixels[i :: window[0], j]


def _copy(context: Context, tap: Array) -> Array:
    """A tap's pixels side by side: quicker than to go over them twice as they lie."""
    copy = context.empty(tap.shape, tap.dtype)
    source, target = elements(tap, copy)
    np.copyto(target, source)
    return copy


def _taps(padded: Array, grid: Grid) -> Iterator[Array]:
    """What every tap of the kernel reads, as views, row by row."""
    for i, j in itertools.product(range(grid.kernel[0]), range(grid.kernel[1])):
        yield grid.tap(padded, i, j)


def _padded(context: Context, x: Array, grid: Grid, fill: float) -> Array:
    """x with `fill` around it; x itself where there is nothing around it."""
    if grid.padded == grid.size:
        return x
    padded = context.empty((len(x), *grid.padded, x.shape[3]), x.dtype)
    padded[...] = fill
    _cropped(padded, grid)[...] = x
    return padded


def _cropped(padded: Array, grid: Grid) -> Array:
    """The images inside their padding, as a view."""
    (top, _), (left, _) = grid.pads
    return padded[:, top : top + grid.size[0], left : left + grid.size[1]]


def _shares(grid: Grid, counted: Pads) -> Array:
    """One over the number of pixels in each window, `counted` ones around the image included: H' W' 1."""
    counts = []
    for axis in (0, 1):
        size, before = grid.size[axis], grid.pads[axis][0]
        first = np.arange(grid.output[axis]) * grid.stride[axis] - before
        counts.append(
            np.minimum(first + grid.kernel[axis], size + counted[axis][1]) - np.maximum(first, -counted[axis][0])
        )
    shares: Array = 1.0 / np.multiply.outer(*counts)[..., None]
    return shares
