"""Images as rows of windows, and the way back: what turns a convolution into a matrix product.

Arrays are N H W C. A `Grid` says which taps of a padded image each output position reads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from graphc.lazy import np
from graphc.types import Array, Context

Pair: TypeAlias = tuple[int, int]
Pads: TypeAlias = tuple[Pair, Pair]
"""Pixels ((top, bottom), (left, right))."""


@dataclass(frozen=True, slots=True)
class Grid:
    """The windows of one convolution over images of `size` pixels; every pair is (vertical, horizontal)."""

    size: Pair
    kernel: Pair
    stride: Pair
    pads: Pads
    dilation: Pair

    @property
    def padded(self) -> Pair:
        (top, bottom), (left, right) = self.pads
        return self.size[0] + top + bottom, self.size[1] + left + right

    @property
    def output(self) -> Pair:
        (height, width), (kh, kw) = self.padded, self.kernel
        rows = (height - (kh - 1) * self.dilation[0] - 1) // self.stride[0] + 1
        columns = (width - (kw - 1) * self.dilation[1] - 1) // self.stride[1] + 1
        return rows, columns

    @property
    def is_tiling(self) -> bool:
        """Whether every pixel is in exactly one window."""
        rows, columns = self.output
        whole = self.padded == (rows * self.stride[0], columns * self.stride[1])
        return whole and self.stride == self.kernel and self.dilation == (1, 1)

    @property
    def opposite_pads(self) -> Pads:
        """Pads of the stride-1 convolution that takes output gradients back to inputs; negative where pads exceed
        the window."""
        over = [(k - 1) * d for k, d in zip(self.kernel, self.dilation, strict=True)]
        (top, bottom), (left, right) = self.pads
        return (over[0] - top, over[0] - bottom), (over[1] - left, over[1] - right)

    @property
    def is_identity(self) -> bool:
        """Whether every window is its own pixel: a 1×1 convolution with stride 1 and no padding."""
        return self.kernel == self.stride == (1, 1) and self.pads == ((0, 0), (0, 0))

    def tap(self, padded: Array, i: int, j: int) -> Array:
        """The pixels that tap (i, j) of every window reads: a view, n × output × C."""
        (rows, columns), (sh, sw) = self.output, self.stride
        top, left = i * self.dilation[0], j * self.dilation[1]
        return padded[:, top : top + (rows - 1) * sh + 1 : sh, left : left + (columns - 1) * sw + 1 : sw]


def pad_images(context: Context, x: Array, grid: Grid, rows: int = 0) -> Array:
    """x with its zeros around it, and more below up to `rows`; x itself where there are none."""
    (top, _), (left, _) = grid.pads
    height, width = grid.size
    rows, columns = max(rows, grid.padded[0]), grid.padded[1]
    if (rows, columns) == grid.size:
        return x
    padded = context.empty((len(x), rows, columns, x.shape[3]), x.dtype)
    padded[:, :top] = 0
    padded[:, top + height :] = 0
    padded[:, top : top + height, :left] = 0
    padded[:, top : top + height, left + width :] = 0
    padded[:, top : top + height, left : left + width] = x
    return padded


def windows(padded: Array, grid: Grid) -> Array:
    """The windows of padded images, as a view: n × output × kernel × C."""
    (rows, columns), (kh, kw) = grid.output, grid.kernel
    n, h, w, c = padded.strides
    shape = (len(padded), rows, columns, kh, kw, padded.shape[3])
    (sh, sw), (dh, dw) = grid.stride, grid.dilation
    return strided(padded, shape, (n, h * sh, w * sw, h * dh, w * dw, c))


def strided(x: Array, shape: tuple[int, ...], strides: tuple[int, ...]) -> Array:
    """A view of x in another shape; ten times faster than `as_strided` where x is contiguous, and bounds-checked."""
    if x.flags.c_contiguous:
        return np.ndarray(shape, x.dtype, buffer=x, strides=strides)
    return np.lib.stride_tricks.as_strided(x, shape, strides)


def fold(context: Context, patches: Array, grid: Grid) -> Array:
    """The adjoint of `windows` and padding: each window's values added where they were read (n × size × C)."""
    (top, _), (left, _) = grid.pads
    padded = context.empty((len(patches), *grid.padded, patches.shape[5]), patches.dtype)
    padded[...] = 0
    for i in range(grid.kernel[0]):
        for j in range(grid.kernel[1]):
            target = grid.tap(padded, i, j)
            target += patches[:, :, :, i, j]
    return padded[:, top : top + grid.size[0], left : left + grid.size[1]]
