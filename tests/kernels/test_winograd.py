"""Winograd's products against the direct ones."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.kernels.context import RunContext
from graphc.kernels.unfold import Grid
from graphc.kernels.winograd import suits, winograd_conv2d, winograd_grad_weights
from tests.kernels.test_conv import plain_conv2d

CONTEXT = RunContext()

GEOMETRIES = [
    # size, kernel, stride along the width, pads, dilation along the width
    ((8, 8), (3, 3), 1, ((1, 1), (1, 1)), 1),
    ((10, 6), (3, 3), 1, ((0, 0), (0, 0)), 1),
    ((9, 7), (3, 3), 1, ((1, 1), (1, 1)), 1),
    ((5, 9), (3, 1), 1, ((0, 2), (0, 0)), 1),
    ((3, 9), (3, 2), 2, ((1, 1), (0, 1)), 1),
    ((12, 9), (3, 3), 1, ((2, 1), (2, 2)), 2),
    ((14, 6), (5, 5), 1, ((2, 2), (2, 2)), 1),
    ((8, 8), (5, 3), 1, ((0, 0), (0, 0)), 1),
]


def grid_of(size, kernel, stride, pads, dilation) -> Grid:
    return Grid(size, kernel, (1, stride), pads, (1, dilation))


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-13), (np.float32, 1e-5)])
def test_winograd_is_the_direct_sum(geometry, dtype, tolerance):
    """The tolerance is relative to the largest value."""
    grid = grid_of(*geometry)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5, *grid.size, 16)).astype(dtype)
    w = rng.normal(size=(*grid.kernel, 16, 12)).astype(dtype)
    expected = plain_conv2d(x.astype(np.float64), w.astype(np.float64), grid.stride, grid.pads, grid.dilation, 1)
    y = winograd_conv2d(CONTEXT, x, w, grid)
    assert y.dtype == dtype
    np.testing.assert_allclose(y, expected, rtol=0, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_winograd_gradient_of_weights_is_the_adjoint(geometry):
    grid = grid_of(*geometry)
    rng = np.random.default_rng(1)
    x, w = rng.normal(size=(5, *grid.size, 8)), rng.normal(size=(*grid.kernel, 8, 12))
    y = winograd_conv2d(CONTEXT, x, w, grid)
    dy = rng.normal(size=y.shape)
    dw = winograd_grad_weights(CONTEXT, x, dy, w.shape, grid)
    assert np.vdot(w, dw) == pytest.approx(np.vdot(y, dy), rel=1e-11)


def test_winograd_is_left_to_heights_that_four_nearly_divides():
    heights = {h for h in range(1, 13) if suits(Grid((h, 8), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)), 16)}
    assert heights == {3, 4, 6, 7, 8, 9, 10, 11, 12}
    assert not suits(Grid((8, 8), (3, 3), (2, 1), ((1, 1), (1, 1)), (1, 1)), 16)
    assert not suits(Grid((8, 8), (7, 7), (1, 1), ((3, 3), (3, 3)), (1, 1)), 16)
