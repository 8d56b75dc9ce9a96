"""Images with the pixels first: [row][column][image][channel].

A row of pixels is a long run of numbers there, however few the channels. Some convolutions make their outputs so, and
give them out in blocks that stay in the cache. For a pooling behind them the columns are sorted by their place in its
windows, [row][place][window][image][channel]: a tap of all windows is then one run in every row. So the maximum of
28,672 numbers takes 2.5 µs in place of 5.5 and a comparison 2.1 in place of 3.7, 1.5 ms of LeNet's step
(docs/performance.md says measured on what).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from graphc.kernels.chunks import slices
from graphc.kernels.unfold import elements
from graphc.lazy import np
from graphc.types import Array, Context

BLOCK_BYTES = 1 << 19
"""Of the outputs of one block: half of a small second-level cache."""
CACHE_LINE = 64
"""Bytes."""


@dataclass(frozen=True, slots=True)
class Block:
    """Which of a convolution's outputs."""

    images: slice
    rows: slice
    columns: slice

    def of(self, images: Array) -> Array:
        """There, as [n, H, W, C]: a view of images [N, H, W, C]."""
        return images[self.images, self.rows, self.columns]

    def pooled(self, window: tuple[int, int]) -> Block:
        """Where the outputs of a pooling over them are."""
        rows, columns = (
            slice(along.start // size, along.stop // size)
            for along, size in zip((self.rows, self.columns), window, strict=True)
        )
        return Block(self.images, rows, columns)


Chunk: TypeAlias = tuple[slice, Array]
"""Which images, and what a kernel takes of them."""
Chunks: TypeAlias = Iterable[Chunk]
Consume: TypeAlias = Callable[[Block, Array], None]
"""What becomes of a block's outputs, rows × place × windows × n × C; they go when it returns."""
OutputGradient: TypeAlias = Callable[[Block], Array]
"""The gradient of a block's outputs, rows × place × windows × n × C."""


def stretches(count: int, bytes_each: int, window: int) -> Iterator[slice]:
    """Rows or columns of a block, in whole windows."""
    step = max(BLOCK_BYTES // bytes_each // window, 1) * window
    return slices(count, step)


def empty_padded_rows(context: Context, shape: tuple[int, ...], dtype: Any) -> Array:
    """An array of any shape, without particular contents, whose first axis steps over an odd number of cache lines.

    A first-level cache has twelve lines for each place in a page of 4 kB: of 28 rows of 1024 floats, one after the
    other, it cannot hold one column, and a product reads and writes column by column. With the odd number the same
    products run at 160 to 230 GFLOP/s in place of 75 to 150. The second convolution of LeNet, alone, there and back,
    took 1.45 and 2.2 ms, and takes 1.1 and 1.7.
    """
    long = math.prod(shape[1:])
    line = CACHE_LINE // np.dtype(dtype).itemsize
    step = (-(-long // line) | 1) * line
    return context.empty((shape[0], step), dtype)[:, :long].reshape(shape)


def nhwc_to_hwnc(context: Context, images: Array) -> Array:
    """A copy of [N, H, W, C] as [H, W, N, C]."""
    n, height, width, channels = images.shape
    pixels = empty_padded_rows(context, (height, width, n, channels), images.dtype)
    source, target = elements(images, pixels)
    np.copyto(target, source.transpose(1, 2, 0, *range(3, source.ndim)))
    return pixels


def hwnc_to_nhwc(pixels: Array, out: Array) -> None:
    """[H, W, N, C] as [N, H, W, C], written into `out`."""
    source, target = elements(pixels, out)
    np.copyto(target, source.transpose(2, 0, 1, *range(3, source.ndim)))
