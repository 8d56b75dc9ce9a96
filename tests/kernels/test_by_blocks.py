"""Convolutions that make their outputs in blocks, against the direct sums."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.kernels import conv, fourier, narrow
from graphc.kernels import pixels as kernel
from graphc.kernels.context import RunContext
from graphc.kernels.pixels import images_first, pixels_first
from graphc.kernels.unfold import Grid
from tests.kernels.test_conv import plain_conv2d

CONTEXT = RunContext()
GEOMETRIES = [
    # size, kernel, pads, window
    ((14, 14), (5, 5), ((2, 2), (2, 2)), (2, 2)),
    ((13, 9), (5, 7), ((2, 1), (0, 6)), (4, 3)),
    ((7, 8), (7, 5), ((0, 0), (0, 0)), (1, 2)),
    ((5, 6), (5, 5), ((4, 4), (4, 3)), (3, 1)),
    ((3, 2), (5, 6), ((1, 2), (5, 5)), (2, 7)),
    ((8, 8), (3, 1), ((1, 1), (0, 0)), (1, 1)),
]
TOLERANCES = {fourier: {np.float64: 1e-13, np.float32: 1e-6}, narrow: {np.float64: 1e-14, np.float32: 2e-6}}
"""Relative to the largest value."""


@pytest.fixture(params=[1 << 20, 1 << 12], ids=["one chunk", "many chunks"], autouse=True)
def _chunk_bytes(request, monkeypatch):
    monkeypatch.setattr(fourier, "LEAST_IMAGES", 2)
    for module, name in ((fourier, "CHUNK_BYTES"), (narrow, "CHUNK_BYTES"), (kernel, "BLOCK_BYTES")):
        monkeypatch.setattr(module, name, request.param)


def drawn(seed, *shapes):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape) for shape in shapes]


def by_place(pixels, wide):
    """The columns of H W n C sorted by their place in windows so wide."""
    height, width, *rest = pixels.shape
    return pixels.reshape(height, width // wide, wide, *rest).swapaxes(1, 2)


def slopes_of(dy, wide):
    return lambda block: by_place(pixels_first(CONTEXT, block.of(dy)), wide)


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("method", [fourier, narrow])
def test_blocks_are_of_the_direct_sum(method, geometry, dtype):
    size, kernel, pads, window = geometry
    x, w = drawn(0, (5, *size, 3), (*kernel, 3, 7))
    expected = plain_conv2d(x, w, (1, 1), pads, (1, 1), 1)
    grid = Grid.of(size, kernel, (1, 1), pads, (1, 1))
    y = np.full(expected.shape, np.nan, dtype)

    def take(block, pixels):
        assert pixels.dtype == dtype
        assert pixels.shape[1] == window[1]
        height, place, windows, *rest = pixels.shape
        images_first(pixels.swapaxes(1, 2).reshape(height, windows * place, *rest), out=block.of(y))

    images = method.prepared(CONTEXT, x.astype(dtype), w.shape, grid)
    method.outputs(CONTEXT, images, w.astype(dtype), grid, window, take)
    tolerance = TOLERANCES[method][dtype]
    np.testing.assert_allclose(y, expected, rtol=0, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("method", [fourier, narrow])
def test_gradients_are_those_of_unfolding(method, geometry, dtype, monkeypatch):
    size, kernel, pads, window = geometry
    grid = Grid.of(size, kernel, (1, 1), pads, (1, 1))
    x, w, dy = drawn(1, (5, *size, 3), (*kernel, 3, 7), (5, *grid.output, 7))
    monkeypatch.setattr(conv, "block_kernels", lambda *_: None)
    expected = conv.conv2d_gradients(CONTEXT, x, dy, w, (1, 1), pads, (1, 1), 1)
    x, w, dy = (array.astype(dtype) for array in (x, w, dy))
    context = RunContext(input_gradient=method is fourier)
    images = list(method.prepared(context, x, w.shape, grid))
    dx, dw = method.gradients(context, images, w, grid, window, slopes_of(dy, window[1]))
    for found, plain in zip((dx, dw), expected, strict=True):
        if found is not None:
            assert found.dtype == dtype
            np.testing.assert_allclose(found, plain, rtol=0, atol=TOLERANCES[method][dtype] * np.abs(plain).max())


def test_the_gradient_of_the_input_is_left_out_where_nobody_wants_it():
    grid = Grid.of((8, 8), (5, 5), (1, 1), ((2, 2), (2, 2)), (1, 1))
    x, w, dy = drawn(3, (5, 8, 8, 6), (5, 5, 6, 7), (5, 8, 8, 7))

    def gradients(context):
        images = list(fourier.prepared(context, x, w.shape, grid))
        return fourier.gradients(context, images, w, grid, (1, 1), slopes_of(dy, 1))

    none, dw = gradients(RunContext(input_gradient=False))
    assert none is None
    np.testing.assert_array_equal(gradients(CONTEXT)[1], dw)


def test_blocks_are_whole_windows(monkeypatch):
    monkeypatch.setattr(kernel, "BLOCK_BYTES", 1)
    grid = Grid.of((8, 10), (5, 5), (1, 1), ((2, 2), (2, 2)), (1, 1))
    for method, counted in ((narrow, (4, 5, 2)), (fourier, (8, 5, 1))):
        sizes = set()
        images = method.prepared(CONTEXT, np.ones((2, 8, 10, 2)), (5, 5, 2, 4), grid)
        w = np.ones((5, 5, 2, 4))
        method.outputs(CONTEXT, images, w, grid, (4, 5), lambda _, pixels, sizes=sizes: sizes.add(pixels.shape[:3]))
        assert sizes == {counted}


def test_spectra_are_for_many_taps_and_small_images(monkeypatch):
    monkeypatch.setattr(fourier, "LEAST_IMAGES", 16)

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


@pytest.mark.parametrize(("method", "inputs"), [(fourier, 6), (narrow, 2)])
def test_convolution_takes_them_both_ways(method, inputs, monkeypatch):
    """Whether gradients come together or one alone, they are the same."""
    x, w, dy = drawn(2, (16, 8, 8, inputs), (5, 5, inputs, 8), (16, 8, 8, 8))
    geometry = ((1, 1), ((2, 2), (2, 2)), (1, 1), 1)
    calls = []
    for name in ("outputs", "gradients"):
        real = getattr(method, name)
        monkeypatch.setattr(method, name, lambda *given, real=real, name=name: calls.append(name) or real(*given))
    y = conv.conv2d(CONTEXT, x, w, *geometry)
    np.testing.assert_allclose(y, plain_conv2d(x, w, *geometry), rtol=0, atol=1e-11)
    dx, dw = conv.conv2d_gradients(CONTEXT, x, dy, w, *geometry)
    assert calls[0] == "outputs"
    assert "gradients" in calls
    alone = conv.conv2d_grad_input(CONTEXT, dy, w, x.shape, *geometry)
    np.testing.assert_allclose(dx, alone, rtol=0, atol=1e-11)
    np.testing.assert_allclose(dw, conv.conv2d_grad_weights(CONTEXT, x, dy, w.shape, *geometry), rtol=0, atol=1e-10)
