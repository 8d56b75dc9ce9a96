"""The gradient of a strided convolution's input as a convolution of stride 1 whose channels are laid out as pixels.

Pixels of x whose places differ by multiples of the stride are read by the same taps, so each such *phase* of dx is a
convolution of dy with those taps. All phases read windows of the same few outputs: with the filters of all of them side
by side, zeros where a phase has no tap, one convolution makes stride × stride pixels of C channels at every place of
dy, and depth-to-space puts them where they belong. (Shi et al., "Is the deconvolution layer the same as a convolutional
layer?", 2016, arXiv 1609.07009.)

Along one axis, with `size` pixels, `taps` i, stride s and `before` zeros before the image: output o reads pixel p by
tap i = p + before - s*o. Let p + shift = s*B + r, r being the phase and B the block, and t = B - o. Then

    i = r + (before - shift) + s*t,   and 0 <= i < taps leaves   first <= t <= last.

So block B reads the outputs B - last … B - first. Any shift below s will do; the one with the fewest products is taken.

Measured (docs/performance.md), milliseconds for 8 images, against products with the transposed filters, whose windows
are added up, which takes less of the time the more filters there are: pixels and channels of x, filters, taps

    112×112×3    32   3×3   0.77 in place of 2.9         32×32×32   64   2×2   0.23 in place of 0.32
    32×32×16     32   4×4   0.27 in place of 0.64        28×28×64   64   7×7   3.3 in place of 5.7
    32×32×32     64   3×3   0.59 in place of 0.71        14×14×256  512  5×5   48 in place of 23

In resnet20's step 1.8 ms in place of 2.5 go back through the first convolution with a stride, of 3×3 taps, 32×32×16 to
32 filters, weights included; through the second, 16×16×32 to 64, it took longer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from graphc.kernels.chunks import chunks
from graphc.kernels.conv.algorithm import ConvAlgorithm
from graphc.kernels.conv.problem import REMEMBERED, ConvProblem
from graphc.kernels.unfold import Grid, Pair, elements
from graphc.lazy import np
from graphc.types import Array, Context

CHUNK_BYTES = 1 << 20
"""Of dx that is made at a time."""
FEW_FILTERS, MORE_FILTERS = 32, 64
"""Up to which it pays where few of the products are with zeros, and where very few are."""
LEAST_USE, MORE_USE = 0.5, 0.65
"""Products of dy with filters over those that are made, with zeros between taps and around dy."""


@dataclass(frozen=True, slots=True)
class _Axis:
    """One axis of an image; the names are those above."""

    taps: int
    stride: int
    offset: int
    """before - shift"""
    shift: int
    first: int
    last: int
    blocks: int
    pads: Pair
    """Zeros around dy."""

    @staticmethod
    def of(size: int, taps: int, stride: int, before: int, outputs: int) -> _Axis:
        return min((_axis(size, taps, stride, before, outputs, shift) for shift in range(stride)), key=_Axis.products)

    @property
    def window(self) -> int:
        """Outputs that a block reads."""
        return self.last - self.first + 1

    def products(self) -> int:
        return self.window * self.blocks

    def use(self, outputs: int) -> float:
        return outputs * self.taps / (self.products() * self.stride)

    def tap(self, phase: int, place: int) -> int | None:
        """Which tap of a phase's window reads the output at this place of a block's, counted from its first."""
        tap = phase + self.offset + self.stride * (self.last - place)
        return tap if 0 <= tap < self.taps else None


def _axis(size: int, taps: int, stride: int, before: int, outputs: int, shift: int) -> _Axis:
    offset = before - shift
    first, last = -((stride - 1 + offset) // stride), (taps - 1 - offset) // stride
    blocks = -(-(size + shift) // stride)
    return _Axis(taps, stride, offset, shift, first, last, blocks, (last, blocks - first - outputs))


@dataclass(frozen=True, slots=True)
class SubpixelGradient:
    """How dx of a strided convolution is made."""

    of: ConvProblem
    """The strided convolution."""
    problem: ConvProblem
    """That of stride 1: dy [N, H', W', F] to [N, blocks down, blocks along, stride*stride*C]."""
    axes: tuple[_Axis, _Axis]

    def filters(self, w: Array) -> Array:
        """Those of the `problem`, [window down, window along, F, stride*stride*C], of w [kh, kw, C, F]."""
        down, along = self.axes
        _, _, channels, outputs = w.shape
        found = np.zeros((down.window, along.window, outputs, down.stride, along.stride, channels), w.dtype)
        for place, phase in np.ndindex(down.window, down.stride):
            row = down.tap(phase, place)
            for other, beside in np.ndindex(along.window, along.stride):
                column = along.tap(beside, other)
                if row is not None and column is not None:
                    found[place, other, :, phase, beside] = w[row, column].T
        return found.reshape(down.window, along.window, outputs, -1)

    def pixels(self, context: Context, y: Array, out: Array) -> None:
        """The channels of y [n, blocks down, blocks along, stride*stride*C], what the `problem` gives, as the pixels of
        dx, written into `out` [n, H, W, C]."""
        down, along = self.axes
        n, rows, columns, _ = y.shape
        _, height, width, channels = out.shape
        whole = (rows * down.stride, columns * along.stride) == (height, width)
        shape = (n, rows * down.stride, columns * along.stride, channels)
        every = out if whole else context.empty(shape, y.dtype)
        source, target = elements(
            y.reshape(n, rows, columns, down.stride, along.stride * channels),
            every.reshape(n, rows, down.stride, columns, along.stride * channels),
        )
        np.copyto(target, source.transpose(0, 1, 3, 2, *range(4, source.ndim)))
        if not whole:
            out[...] = every[:, down.shift : down.shift + height, along.shift : along.shift + width]

    def input_gradient(self, context: Context, algorithm: ConvAlgorithm, dy: Array, w: Array) -> Array:
        """dx [N, H, W, C] from dy [N, H', W', F] and w [kh, kw, C, F], by an algorithm that supports the `problem`."""
        dx, filters = context.empty(self.of.x_shape, dy.dtype), self.filters(w)
        for part in chunks(dx, CHUNK_BYTES):
            some = replace(self.problem, batch=part.stop - part.start)
            y = algorithm.forward(context, some, dy[part], filters)
            self.pixels(context, y, dx[part])
            del y  # its memory is the next one's, still in the cache
        return dx


@lru_cache(REMEMBERED)
def subpixel_gradient(problem: ConvProblem) -> SubpixelGradient | None:
    """How to make dx as a convolution of stride 1, where that is one and pays."""
    grid = problem.geometry
    if problem.groups > 1 or grid.stride == (1, 1) or grid.dilation != (1, 1):
        return None
    befores = [before for before, _ in grid.pads]
    down, along = map(_Axis.of, grid.size, grid.kernel, grid.stride, befores, grid.output)
    if min(*down.pads, *along.pads) < 0:  # outputs that read nothing but zeros
        return None
    used = down.use(grid.output[0]) * along.use(grid.output[1])
    pays = problem.filters <= FEW_FILTERS or (problem.filters <= MORE_FILTERS and used >= MORE_USE)
    if used < LEAST_USE or not (pays or (down.window, along.window) == (1, 1)):
        return None
    bare = Grid.of(grid.output, (down.window, along.window), (1, 1), (down.pads, along.pads), (1, 1))
    filters = grid.stride[0] * grid.stride[1] * problem.channels
    forward = ConvProblem(bare, problem.filters, filters, 1, problem.batch, problem.dtype, problem.training)
    return SubpixelGradient(problem, forward, (down, along))
