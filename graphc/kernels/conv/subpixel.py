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

Measured (docs/performance.md), milliseconds for 32 images, against products with the transposed filters, whose windows
are added up: 0.65 in place of 1.38 for 3×3 taps, 32×32×16 to 32 filters; 0.57 in place of 0.70 alone,
but 1.0 in place of 0.9 in a step, at 16×16×32 to 64; 6.3 in place of 6.0, for 8 images, at 56×56×64 to 128: adding
windows up takes less of the time the more filters there are.
Of 5×5 taps, 32×32×32 to 64 filters, 3.2 in place of 9.1; of 7×7, 8 images, 64×64×16 to 32 filters, 1.7 in place of 8.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from graphc.kernels.conv.problem import REMEMBERED, ConvProblem
from graphc.kernels.unfold import Grid, Pair, elements
from graphc.lazy import np
from graphc.types import Array, Context

LARGE_WINDOW = 5
"""Taps each way from which it pays for any number of filters."""
MOST_FILTERS = 32
"""Up to which it pays for smaller windows."""
LEAST_USE = 0.5
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

    def pixels(self, context: Context, y: Array) -> Array:
        """dx [N, H, W, C]: the channels of y, what the `problem` gives, as pixels."""
        down, along = self.axes
        n, rows, columns, _ = y.shape
        channels, (height, width) = self.of.channels, self.of.geometry.size
        every = context.empty((n, rows * down.stride, columns * along.stride, channels), y.dtype)
        source, target = elements(
            y.reshape(n, rows, columns, down.stride, along.stride * channels),
            every.reshape(n, rows, down.stride, columns, along.stride * channels),
        )
        np.copyto(target, source.transpose(0, 1, 3, 2, *range(4, source.ndim)))
        if every.shape[1:3] == (height, width):
            return every
        dx = context.empty(self.of.x_shape, y.dtype)
        dx[...] = every[:, down.shift : down.shift + height, along.shift : along.shift + width]
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
    if used < LEAST_USE or (min(grid.kernel) < LARGE_WINDOW and problem.filters > MOST_FILTERS):
        return None
    bare = Grid.of(grid.output, (down.window, along.window), (1, 1), (down.pads, along.pads), (1, 1))
    filters = grid.stride[0] * grid.stride[1] * problem.channels
    forward = ConvProblem(bare, problem.filters, filters, 1, problem.batch, problem.dtype, problem.training)
    return SubpixelGradient(problem, forward, (down, along))
