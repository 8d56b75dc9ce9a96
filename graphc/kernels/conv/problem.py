"""What a convolution has to compute: all that the choice of an algorithm may depend on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from graphc.kernels.unfold import Grid

REMEMBERED = 4096
"""Problems that are remembered, with what was chosen for them."""


@dataclass(frozen=True)
class ConvProblem:
    """A convolution of x, batch × H × W × channels, with w, kh × kw × channels/groups × filters, to y, batch × H' ×
    W' × filters, all of one dtype.

    The number of threads is no part of it: an algorithm sums in its own order, and results are the same for any number.
    """

    geometry: Grid
    channels: int
    filters: int
    groups: int
    batch: int
    dtype: Any
    """A NumPy dtype."""
    training: bool

    @staticmethod
    @lru_cache(REMEMBERED)
    def of(
        geometry: Grid, w_shape: tuple[int, ...], groups: int, batch: int, dtype: Any, training: bool
    ) -> ConvProblem:
        """That of filters of this shape; the same object for the same problem."""
        return ConvProblem(geometry, w_shape[2] * groups, w_shape[3], groups, batch, dtype, training)

    @cached_property
    def x_shape(self) -> tuple[int, int, int, int]:
        return self.batch, *self.geometry.size, self.channels

    @cached_property
    def w_shape(self) -> tuple[int, int, int, int]:
        return *self.geometry.kernel, self.channels // self.groups, self.filters

    @cached_property
    def y_shape(self) -> tuple[int, int, int, int]:
        return self.batch, *self.geometry.output, self.filters

    @cached_property
    def is_dense(self) -> bool:
        """Whether windows begin at every pixel, have no gaps, and see all channels."""
        return self.groups == 1 and self.geometry.stride == self.geometry.dilation == (1, 1)

    @cached_property
    def transposed(self) -> ConvProblem | None:
        """The convolution that takes dy to dx where that is one at all: of stride 1, padded by less than the window.

        Each pixel of x was read by the windows that end on it, so dx = dy * w turned by half a turn, with inputs and
        filters changed about, and as much padding as the window is wider than what there was. A 1×1 convolution is not
        counted: there dx is a product with the transposed matrix, and nothing has to be turned.
        """
        grid = self.geometry
        pads = grid.opposite_pads
        if self.groups > 1 or grid.stride != (1, 1) or grid.is_identity or min(map(min, pads)) < 0:
            return None
        back = Grid.of(grid.output, grid.kernel, grid.stride, pads, grid.dilation)
        return ConvProblem(back, self.filters, self.channels, 1, self.batch, self.dtype, self.training)


@dataclass(frozen=True, slots=True)
class ConvPart:
    """A convolution that a layer computes, for those who ask what it will be computed by."""

    name: str
    """Empty where the layer has but one."""
    problem: ConvProblem
    backwards: bool = False
    """Whether the layer's output is the problem's dx: a transposed convolution."""
    of_input: bool = True
    """Whether it reads what the layer reads; else what another part gives."""
