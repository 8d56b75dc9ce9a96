"""Winograd's products against the direct ones."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.kernels import winograd, winograd_2d
from graphc.kernels.context import RunContext
from graphc.kernels.unfold import Grid
from tests.kernels.test_conv import plain_conv2d

CONTEXT = RunContext()
TRAINING = RunContext(training=True)

GEOMETRIES = [
    # size, kernel, pads
    ((8, 8), (3, 3), ((1, 1), (1, 1))),
    ((10, 6), (3, 3), ((0, 0), (0, 0))),
    ((9, 7), (3, 3), ((1, 1), (1, 1))),
    ((5, 9), (3, 1), ((0, 2), (0, 0))),
    ((3, 9), (3, 2), ((1, 1), (0, 1))),
    ((12, 9), (3, 4), ((2, 1), (2, 2))),
    ((7, 8), (3, 3), ((1, 1), (1, 1))),
    ((16, 8), (3, 3), ((1, 1), (1, 1))),
    ((23, 5), (3, 3), ((1, 1), (1, 1))),
    ((14, 6), (5, 5), ((2, 2), (2, 2))),
    ((8, 8), (5, 3), ((0, 0), (0, 0))),
]


def grid_of(size, kernel, pads) -> Grid:
    return Grid(size, kernel, (1, 1), pads, (1, 1))


KERNELS = [
    *((winograd, CONTEXT, geometry) for geometry in GEOMETRIES),
    *((winograd, TRAINING, geometry) for geometry in GEOMETRIES),
    *((winograd_2d, TRAINING, geometry) for geometry in GEOMETRIES if set(geometry[1]) <= {3, 5}),
]


@pytest.fixture(params=[1 << 20, 1 << 12], ids=["one chunk", "many chunks"])
def _chunk_bytes(request, monkeypatch):
    for kernel, least in ((winograd, "LEAST_PIXELS"), (winograd_2d, "LEAST_TILES")):
        monkeypatch.setattr(kernel, "CHUNK_BYTES", request.param)
        monkeypatch.setattr(kernel, least, 1)


@pytest.mark.usefixtures("_chunk_bytes")
@pytest.mark.parametrize(("kernel", "context", "geometry"), KERNELS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-13), (np.float32, 1e-5)])
def test_winograd_is_the_direct_sum(kernel, context, geometry, dtype, tolerance):
    """The tolerance is relative to the largest value."""
    grid = grid_of(*geometry)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5, *grid.size, 16)).astype(dtype)
    w = rng.normal(size=(*grid.kernel, 16, 12)).astype(dtype)
    expected = plain_conv2d(x.astype(np.float64), w.astype(np.float64), grid.stride, grid.pads, grid.dilation, 1)
    y = kernel.conv2d(context, x, w, grid)
    assert y.dtype == dtype
    np.testing.assert_allclose(y, expected, rtol=0, atol=tolerance * np.abs(expected).max())


@pytest.mark.usefixtures("_chunk_bytes")
@pytest.mark.parametrize(("kernel", "context", "geometry"), KERNELS)
def test_winograd_gradient_of_weights_is_the_adjoint(kernel, context, geometry):
    grid = grid_of(*geometry)
    rng = np.random.default_rng(1)
    x, w = rng.normal(size=(5, *grid.size, 8)), rng.normal(size=(*grid.kernel, 8, 12))
    y = kernel.conv2d(context, x, w, grid)
    dy = rng.normal(size=y.shape)
    dw = kernel.grad_weights(context, x, dy, w.shape, grid)
    assert np.vdot(w, dw) == pytest.approx(np.vdot(y, dy), rel=1e-11)


def test_the_exact_kernel_for_inference_keeps_to_tiles_of_four():
    """Their rounding errors are a quarter of those of the longer tiles, which training takes."""
    grid = grid_of((32, 32), (3, 3), ((1, 1), (1, 1)))
    rng = np.random.default_rng(2)
    x, w = rng.normal(size=(2, 32, 32, 16)), rng.normal(size=(3, 3, 16, 16))
    expected = winograd.conv2d(CONTEXT, x, w, grid)
    errors = [
        np.abs(winograd.conv2d(context, x.astype(np.float32), w.astype(np.float32), grid) - expected).mean()
        for context in (CONTEXT, TRAINING)
    ]
    assert errors[0] < errors[1] / 2


def test_winograd_is_left_to_heights_that_four_nearly_divides():
    def heights(suits):
        return {h for h in range(1, 13) if suits(Grid((h, 8), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)))}

    assert heights(lambda grid: winograd.suits(grid, 16)) == {3, 4, 6, 7, 8, 9, 10, 11, 12}
    assert heights(lambda grid: winograd_2d.suits(grid, 64, 64)) == {3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
    wide = Grid((8, 8), (7, 7), (1, 1), ((3, 3), (3, 3)), (1, 1))
    striding = Grid((8, 8), (3, 3), (2, 1), ((1, 1), (1, 1)), (1, 1))
    five = Grid((8, 8), (5, 5), (1, 1), ((2, 2), (2, 2)), (1, 1))
    assert winograd_2d.suits(five, 32, 32)
    assert not winograd_2d.suits(Grid((8, 8), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)), 64, 32)
    for grid in (wide, striding):
        assert not winograd.suits(grid, 64)
        assert not winograd_2d.suits(grid, 64, 64)
