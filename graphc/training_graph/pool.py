"""The gradients of pooling over windows, for one, two or three spatial axes.

Of equal largest values in a window the first wins, as in NumPy and PyTorch: a blank background gives windows of equal
values everywhere, whose gradient would otherwise count several times.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product

from graphc.lazy import np
from graphc.training_graph.blocked import IMAGES, as_blocks, in_blocks, out_of_blocks, whole_blocks
from graphc.training_graph.conv import pads_of, transposed_convolution
from graphc.training_graph.tensor import Tensor, concat
from graphc.types import Array
from graphc.window import Window

LOWEST = -3.4028234663852886e38
"""float32's."""


def max_pool_gradient(x: Tensor, y: Tensor, dy: Tensor, windows: Sequence[Window]) -> Tensor:
    """[N, C, …] of x [N, C, …] from dy, which like y is [N, C, …]."""
    tiled = all(window.kernel == window.stride and window.dilation == 1 for window in windows)
    if not tiled:
        return _of_windows(x, y, dy, windows)
    if x.rank != IMAGES or not whole_blocks(x.graph.block, x.shape[1]):
        return _of_tiles(x, y, dy, windows)
    read, largest, given = (as_blocks(in_blocks(each)) for each in (x, y, dy))
    found = _of_tiles(read, largest, given, windows)
    return out_of_blocks(found.reshape(*x.shape))


def _of_tiles(x: Tensor, y: Tensor, dy: Tensor, windows: Sequence[Window]) -> Tensor:
    """Of windows side by side: the taps are axes of their own. Behind the windows' axes there may be others."""
    shared = concat(_shares(_tiles(x, windows, LOWEST), y.reshape(1, *y.shape), dy.reshape(1, *dy.shape)), axis=0)
    return _untiled(shared, windows, x.shape)


def max_unpool_gradient(pooled: Tensor, y: Tensor, dy: Tensor, windows: Sequence[Window]) -> Tensor:
    """[N, C, …] of what unpooling put where the pooling of `pooled` [N, C, …], which gave y, had found its largest:
    the gradient of `_of_tiles` of dy, [N, C, …] like `pooled`."""
    ones = y.constant(np.ones((1, *y.shape), np.float32))
    first = _shares(_tiles(pooled, windows, LOWEST), y.reshape(1, *y.shape), ones)
    taken = [mask * given for mask, given in zip(first, _tiles(dy, windows, 0.0), strict=True)]
    return concat(taken, axis=0).sum(0)


def _edges(windows: Sequence[Window], sizes: Sequence[int]) -> list[tuple[int, int]]:
    """Pixels to add (below 0: to cut off) so that windows side by side tile axes of these sizes exactly."""
    return [
        (before, int(window.output) * window.kernel - size - before)  # type: ignore[arg-type]
        for (before, _), size, window in zip(pads_of(windows), sizes, windows, strict=True)
    ]


def _tiles(x: Tensor, windows: Sequence[Window], fill: float) -> list[Tensor]:
    """What each tap of windows side by side reads of x [N, C, …], each [1, N, C, …]."""
    axes, taps = len(windows), [window.kernel for window in windows]
    batch, channels, *sizes = x.shape[: 2 + axes]
    behind = x.shape[2 + axes :]
    outputs: list[int] = [int(window.output) for window in windows]  # type: ignore[arg-type]
    tiles = x.pad([(0, 0), (0, 0), *_edges(windows, sizes), *((0, 0) for _ in behind)], fill)
    if behind:  # what lies behind is copied as a whole, and a Slice a tap is quicker than a Transpose
        whole, steps = [0] * len(behind), [1] * len(behind)
        starts = product(*map(range, taps))
        parts = [tiles.part([*start, *whole], [*outputs, *behind], [*taps, *steps]) for start in starts]
        return [part.reshape(1, *part.shape) for part in parts]
    pairs = [size for pair in zip(outputs, taps, strict=True) for size in pair]
    inner = tuple(range(3, 3 + 2 * axes, 2))
    outer = tuple(range(2, 2 + 2 * axes, 2))
    first = tiles.reshape(batch, channels, *pairs).transpose(*inner, 0, 1, *outer)
    count = math.prod(taps)
    return first.reshape(count, batch, channels, *outputs).split([1] * count, axis=0)


def _untiled(taps: Tensor, windows: Sequence[Window], shape: Sequence[int]) -> Tensor:
    """[N, C, …], of this shape, from what each tap has, [taps, N, C, …]."""
    axes = len(windows)
    batch, channels, *sizes = shape[: 2 + axes]
    outputs, behind = taps.shape[3 : 3 + axes], taps.shape[3 + axes :]
    order = [axis for pair in zip(range(axes + 2, 2 * axes + 2), range(axes), strict=True) for axis in pair]
    split = taps.reshape(*(window.kernel for window in windows), batch, channels, *outputs, *behind)
    back = split.transpose(axes, axes + 1, *order, *range(2 * axes + 2, 2 * axes + 2 + len(behind)))
    whole = back.reshape(
        batch, channels, *(window.kernel * places for window, places in zip(windows, outputs, strict=True)), *behind
    )
    edges = ((-before, -after) for before, after in _edges(windows, sizes))
    return whole.pad([(0, 0), (0, 0), *edges, *((0, 0) for _ in behind)])


def largest_of_tiles(x: Tensor, windows: Sequence[Window]) -> Tensor:
    """[N, C, …]: the largest number of each of the windows, which lie side by side."""
    return concat(_tiles(x, windows, LOWEST), axis=0).max(0)


def _of_windows(x: Tensor, y: Tensor, dy: Tensor, windows: Sequence[Window]) -> Tensor:
    """Of windows that overlap, or leave pixels out: what each tap gets is put back by a transposed convolution."""
    batch, channels, *sizes = x.shape
    padded = x.pad([(0, 0), (0, 0), *pads_of(windows)], LOWEST)
    steps = [window.stride for window in windows]
    shifts = product(*(range(0, window.extent, window.dilation) for window in windows))
    read = [padded.part(shift, dy.shape[2:], steps) for shift in shifts]
    rows = [each.reshape(batch * channels, 1, *dy.shape[2:]) for each in _shares(read, y, dy)]
    return scattered(concat(rows, axis=1), windows, (batch, channels, *sizes))


def _shares(read: Sequence[Tensor], y: Tensor, dy: Tensor) -> list[Tensor]:
    """What each tap gets of dy, where it has read y first."""
    left, found = dy, []
    for each in read[:-1]:
        found.append(each.equals(y) * left)
        left = left - found[-1]
    return [*found, left]


def scattered(taps: Tensor, windows: Sequence[Window], shape: tuple[int, ...]) -> Tensor:
    """[N, C, …], of this shape, from what each tap of each window gives, [N*C, taps, …]."""
    kernel = tuple(window.kernel for window in windows)
    count = math.prod(kernel)
    filters = np.eye(count, dtype=np.float32).reshape(count, 1, *kernel)
    return _back(taps, filters, windows, shape)


def avg_pool_gradient(
    dy: Tensor, windows: Sequence[Window], counted: Sequence[tuple[int, int]], sizes: Sequence[int]
) -> Tensor:
    """[N, C, *sizes] from dy [N, C, …]; `counted` positions around the input count as zeros."""
    batch, channels, *outputs = dy.shape
    share = np.ones((), np.float32)
    for window, places, (before, after), size in zip(windows, outputs, counted, sizes, strict=True):
        share = np.multiply.outer(share, 1 / _counts(window, places, before, size + after))
    even = bool((share == share.flat[0]).all())
    rate = np.asarray(share.flat[0] if even else share, np.float32)
    given = (dy * Tensor(dy.graph, dy.graph.initializer(rate), rate.shape)).reshape(batch * channels, 1, *outputs)
    filters = np.ones((1, 1, *(window.kernel for window in windows)), np.float32)
    return _back(given, filters, windows, (batch, channels, *sizes))


def _counts(window: Window, places: int, before: int, end: int) -> Array:
    """[places]: how many taps of each window lie from -before up to `end`."""
    start = (window.pads or (0, 0))[0]
    taps = np.arange(places)[:, None] * window.stride - start + np.arange(window.kernel) * window.dilation
    counts: Array = ((taps >= -before) & (taps < end)).sum(axis=1)
    return counts


def _back(taps: Tensor, filters: Array, windows: Sequence[Window], shape: tuple[int, ...]) -> Tensor:
    weights = Tensor(taps.graph, taps.graph.initializer(filters), filters.shape)
    return transposed_convolution(taps, weights, windows, shape[2:], 1, 1).reshape(*shape)


def global_max_gradient(x: Tensor, dy: Tensor) -> Tensor:
    """[N, C, …] of x [N, C, …] from dy [N, C]: to the first of the largest."""
    batch, channels = x.shape[:2]
    pixels = x.reshape(batch, channels, -1)
    count = pixels.shape[2]
    falling = Tensor(x.graph, x.graph.initializer(np.arange(count, 0, -1, dtype=np.float32)), (count,))
    ranked = pixels.equals(pixels.max(2, keep=True)) * falling
    first = ranked.equals(ranked.max(2, keep=True))
    return (first * dy.reshape(batch, channels, 1)).reshape(*x.shape)
