"""Images with the pixels first: [row][column][image][channel].

A row of pixels is a long run of numbers there, however few the channels, and a pooling's taps are whole rows. Some
convolutions make their outputs so, and give them out in blocks that stay in the cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from graphc.kernels.unfold import elements
from graphc.lazy import np
from graphc.types import Array, Context

BLOCK_BYTES = 1 << 19
"""Of the outputs of one block: half of a small second-level cache."""


@dataclass(frozen=True, slots=True)
class Block:
    """Which of a convolution's outputs."""

    images: slice
    rows: slice
    columns: slice

    def of(self, images: Array) -> Array:
        """There, as n H W C."""
        return images[self.images, self.rows, self.columns]

    def pooled(self, window: tuple[int, int]) -> Block:
        """Where the outputs of a pooling over them are."""
        rows, columns = (
            slice(along.start // size, along.stop // size)
            for along, size in zip((self.rows, self.columns), window, strict=True)
        )
        return Block(self.images, rows, columns)


Take: TypeAlias = Callable[[Block, Array], None]
"""What becomes of a block's outputs, pixels first; they go when it returns."""
Slopes: TypeAlias = Callable[[Block], Array]
"""The gradient of a block's outputs, pixels first."""


def stretches(count: int, bytes_each: int, window: int) -> Iterator[slice]:
    """Rows or columns of a block, in whole windows."""
    step = max(BLOCK_BYTES // bytes_each // window, 1) * window
    return (slice(start, min(start + step, count)) for start in range(0, count, step))


def pixels_first(context: Context, images: Array) -> Array:
    """A copy of n H W C as H W n C."""
    n, height, width, channels = images.shape
    pixels = context.empty((height, width, n, channels), images.dtype)
    source, target = elements(images, pixels)
    np.copyto(target, source.transpose(1, 2, 0, *range(3, source.ndim)))
    return pixels


def images_first(pixels: Array, out: Array) -> None:
    """H W n C as n H W C."""
    source, target = elements(pixels, out)
    np.copyto(target, source.transpose(2, 0, 1, *range(3, source.ndim)))
