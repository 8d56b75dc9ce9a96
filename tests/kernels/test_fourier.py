"""Products of spectra against the direct sums."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.kernels import conv, fourier
from graphc.kernels.context import RunContext
from graphc.kernels.unfold import Grid
from tests.kernels.test_conv import plain_conv2d

CONTEXT = RunContext()
GEOMETRIES = [
    # size, kernel, pads
    ((14, 14), (5, 5), ((2, 2), (2, 2))),
    ((13, 9), (5, 7), ((2, 1), (0, 6))),
    ((7, 8), (7, 5), ((0, 0), (0, 0))),
    ((5, 6), (5, 5), ((4, 4), (4, 3))),
    ((3, 2), (5, 6), ((1, 2), (5, 5))),
    ((8, 8), (3, 1), ((1, 1), (0, 0))),
]
TOLERANCES = [(np.float64, 1e-13), (np.float32, 1e-6)]
"""Relative to the largest value."""


@pytest.fixture(params=[1 << 20, 1 << 12], ids=["one chunk", "many chunks"], autouse=True)
def _chunk_bytes(request, monkeypatch):
    monkeypatch.setattr(fourier, "CHUNK_BYTES", request.param)
    monkeypatch.setattr(fourier, "LEAST_IMAGES", 2)


def drawn(seed, *shapes):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape) for shape in shapes]


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize(("dtype", "tolerance"), TOLERANCES)
def test_it_is_the_direct_sum(geometry, dtype, tolerance):
    size, kernel, pads = geometry
    x, w = drawn(0, (5, *size, 12), (*kernel, 12, 7))
    expected = plain_conv2d(x, w, (1, 1), pads, (1, 1), 1)
    grid = Grid.of(size, kernel, (1, 1), pads, (1, 1))
    y = fourier.conv2d(CONTEXT, x.astype(dtype), w.astype(dtype), grid)
    assert y.dtype == dtype
    np.testing.assert_allclose(y, expected, rtol=0, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize(("dtype", "tolerance"), TOLERANCES)
def test_its_gradients_are_those_of_unfolding(geometry, dtype, tolerance, monkeypatch):
    size, kernel, pads = geometry
    grid = Grid.of(size, kernel, (1, 1), pads, (1, 1))
    x, w, dy = drawn(1, (5, *size, 12), (*kernel, 12, 7), (5, *grid.output, 7))
    monkeypatch.setattr(fourier, "suits", lambda *_: False)
    expected = conv.conv2d_gradients(CONTEXT, x, dy, w, (1, 1), pads, (1, 1), 1)
    found = fourier.gradients(CONTEXT, *(array.astype(dtype) for array in (x, dy, w)), grid)
    for gradient, plain in zip(found, expected, strict=True):
        assert gradient.dtype == dtype
        np.testing.assert_allclose(gradient, plain, rtol=0, atol=tolerance * np.abs(plain).max())


def test_it_is_for_many_taps_and_small_images():
    def suits(size, kernel, channels=16, images=16, stride=(1, 1)):
        grid = Grid.of((size, size), (kernel, kernel), stride, ((2, 2), (2, 2)), (1, 1))
        return fourier.suits(grid, (kernel, kernel, channels, channels), images)

    assert suits(16, 5)
    assert not suits(17, 5)
    assert suits(32, 7)
    assert not suits(8, 3)
    assert not suits(14, 5, channels=3)
    assert not suits(14, 5, images=1)
    assert not suits(14, 5, stride=(2, 1))


def test_convolution_takes_it_both_ways(monkeypatch):
    """Whether gradients come together or the input's alone, they are the same."""
    x, w, dy = drawn(2, (16, 8, 8, 6), (5, 5, 6, 8), (16, 8, 8, 8))
    geometry = ((1, 1), ((2, 2), (2, 2)), (1, 1), 1)
    calls = []
    for name in ("conv2d", "gradients"):
        real = getattr(fourier, name)
        monkeypatch.setattr(fourier, name, lambda *given, real=real, name=name: calls.append(name) or real(*given))
    conv.conv2d(CONTEXT, x, w, *geometry)
    dx, dw = conv.conv2d_gradients(CONTEXT, x, dy, w, *geometry)
    assert calls == ["conv2d", "gradients"]
    alone = conv.conv2d_grad_input(CONTEXT, dy, w, x.shape, *geometry)
    np.testing.assert_allclose(dx, alone, rtol=0, atol=1e-11)
    np.testing.assert_allclose(dw, conv.conv2d_grad_weights(CONTEXT, x, dy, w.shape, *geometry), rtol=0, atol=1e-10)
