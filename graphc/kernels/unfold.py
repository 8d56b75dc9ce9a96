"""Images as rows of windows, and the way back: what turns a convolution into a matrix product.

Arrays are N H W C. A `Grid` says which taps of a padded image each output position reads.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import TypeAlias

from graphc.lazy import np
from graphc.types import Array, Context
from graphc.window import Window

SHORTEST_RUN = 16
"""Bytes that are worth copying as one element: twice as fast for 16 channels; from 64 on it gains nothing."""

Pair: TypeAlias = tuple[int, int]
Pads: TypeAlias = tuple[Pair, Pair]
"""Pixels ((top, bottom), (left, right))."""


@dataclass(frozen=True)
class Grid:
    """The windows of one convolution over images of `size` pixels; every pair is (vertical, horizontal)."""

    size: Pair
    kernel: Pair
    stride: Pair
    pads: Pads
    dilation: Pair

    @staticmethod
    @cache
    def of(size: Pair, kernel: Pair, stride: Pair, pads: Pads, dilation: Pair) -> Grid:
        """The same one for the same windows, so that it is worked out once."""
        return Grid(size, kernel, stride, pads, dilation)

    @cached_property
    def padded(self) -> Pair:
        (top, bottom), (left, right) = self.pads
        return self.size[0] + top + bottom, self.size[1] + left + right

    @cached_property
    def output(self) -> Pair:
        axes = zip(self.size, self.kernel, self.stride, self.pads, self.dilation, strict=True)
        rows, columns = (Window.over(*axis).output for axis in axes)
        assert isinstance(rows, int)
        assert isinstance(columns, int)
        return rows, columns

    @cached_property
    def is_tiling(self) -> bool:
        """Whether every pixel is in exactly one window."""
        rows, columns = self.output
        whole = self.padded == (rows * self.stride[0], columns * self.stride[1])
        return whole and self.stride == self.kernel and self.dilation == (1, 1)

    @cached_property
    def opposite_pads(self) -> Pads:
        """Pads of the stride-1 convolution that takes output gradients back to inputs; negative where pads exceed
        the window."""
        over = [(k - 1) * d for k, d in zip(self.kernel, self.dilation, strict=True)]
        (top, bottom), (left, right) = self.pads
        return (over[0] - top, over[0] - bottom), (over[1] - left, over[1] - right)

    @cached_property
    def is_identity(self) -> bool:
        """Whether every window is its own pixel: a 1×1 convolution with stride 1 and no padding."""
        return self.kernel == self.stride == (1, 1) and self.pads == ((0, 0), (0, 0))

    def tap(self, padded: Array, i: int, j: int) -> Array:
        """The pixels that tap (i, j) of every window reads, of padded images [N, H, W, C]: a view [N, H', W', C]."""
        (rows, columns), (sh, sw) = self.output, self.stride
        top, left = i * self.dilation[0], j * self.dilation[1]
        return padded[:, top : top + (rows - 1) * sh + 1 : sh, left : left + (columns - 1) * sw + 1 : sw]


def pad_images(context: Context, x: Array, grid: Grid, rows: int = 0, columns: int = 0) -> Array:
    """x [N, H, W, C] with its zeros around it, and more up to `rows` and `columns`; x itself where there are none.
    Contiguous, and not to be written in: the next call has the same memory."""
    (top, _), (left, _) = grid.pads
    height, width = grid.size
    rows, columns = max(rows, grid.padded[0]), max(columns, grid.padded[1])
    if (rows, columns) == grid.size:
        return np.ascontiguousarray(x)
    shape = (len(x), rows, columns, x.shape[3])
    padded, new = context.cached_buffer(("padded", grid.size, grid.pads), shape, x.dtype)
    if new:
        padded[...] = 0  # what is around the images stays so
    padded[:, top : top + height, left : left + width] = x
    return padded


def windows(padded: Array, grid: Grid) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The windows of padded images [N, H, W, C] as a view's shape and strides: [N, H', W', kh, kw, C]."""
    (rows, columns), (kh, kw) = grid.output, grid.kernel
    n, h, w, c = padded.strides
    shape = (len(padded), rows, columns, kh, kw, padded.shape[3])
    (sh, sw), (dh, dw) = grid.stride, grid.dilation
    return shape, (n, h * sh, w * sw, h * dh, w * dw, c)


def strided(x: Array, shape: tuple[int, ...], strides: tuple[int, ...], offset: int = 0) -> Array:
    """A view of a contiguous x of any shape in another shape, `offset` bytes on; ten times faster than `as_strided`,
    and bounds-checked."""
    return np.ndarray(shape, x.dtype, buffer=x, offset=offset, strides=strides)


def copy_strided(
    context: Context, x: Array, shape: tuple[int, ...], strides: tuple[int, ...], out: Array | None = None
) -> Array:
    """What `strided` sees of x, any shape, as a contiguous array of its own, or written into `out`.

    Trailing axes that lie next to each other are copied as one large element: NumPy's loop over elements of any size is
    about twice as fast as one loop for each short run of numbers.
    """
    out = context.empty(shape, x.dtype) if out is None else out.reshape(shape)
    axes, run = len(shape), x.itemsize
    while axes and strides[axes - 1] == run:
        axes -= 1
        run *= shape[axes]
    if not x.flags.c_contiguous:  # a group's channels
        out[...] = np.lib.stride_tricks.as_strided(x, shape, strides)
        return out
    if run < SHORTEST_RUN or not out.size:
        out[...] = strided(x, shape, strides)
        return out
    element = np.dtype((np.void, run))
    runs = np.ndarray(shape[:axes], element, buffer=x, strides=strides[:axes])
    np.copyto(np.ndarray(shape[:axes], element, buffer=out), runs)
    return out


def elements(*arrays: Array) -> tuple[Array, ...]:
    """The arrays [..., C] as views [...], each pixel's channels as one element, where they lie together and are enough:
    copied faster. Otherwise as they are."""
    run = arrays[0].shape[-1] * arrays[0].itemsize
    if run < SHORTEST_RUN or any(array.strides[-1] != array.itemsize for array in arrays):
        return arrays
    return tuple(array.view(np.dtype((np.void, run)))[..., 0] for array in arrays)


def fold(context: Context, patches: Array, grid: Grid) -> Array:
    """The adjoint of `windows` and padding: each window's values, [N, H', W', kh, kw, C], added where they were read,
    [N, H, W, C]. A view."""
    (top, _), (left, _) = grid.pads
    padded = context.empty((len(patches), *grid.padded, patches.shape[5]), patches.dtype)
    padded[...] = 0
    for i in range(grid.kernel[0]):
        for j in range(grid.kernel[1]):
            target = grid.tap(padded, i, j)
            target += patches[:, :, :, i, j]
    return padded[:, top : top + grid.size[0], left : left + grid.size[1]]
