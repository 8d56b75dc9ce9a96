"""Algorithms that make their outputs in blocks, in the order in which a pooling reads them."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.kernels import pixels as kernel
from graphc.kernels.context import RunContext
from graphc.kernels.conv import ALGORITHMS, BlockwiseConvAlgorithm, few_channels, fourier
from graphc.kernels.pixels import hwnc_to_nhwc, nhwc_to_hwnc
from tests.kernels.conv.plain import drawn, plain, problem_of

CONTEXT = RunContext()
GEOMETRIES = [
    # size, kernel, pads, window
    ((14, 14), (5, 5), ((2, 2), (2, 2)), (2, 2)),
    ((13, 9), (5, 7), ((2, 1), (0, 6)), (4, 3)),
    ((7, 8), (7, 5), ((0, 0), (0, 0)), (1, 2)),
    ((5, 6), (5, 5), ((4, 4), (4, 3)), (3, 1)),
    ((3, 2), (5, 6), ((1, 2), (5, 5)), (2, 7)),
    ((8, 8), (3, 1), ((1, 1), (0, 0)), (1, 1)),
    ((9, 8), (5, 5), ((2, 2), (1, 3)), (1, 2)),
]
BLOCKWISE = [algorithm for algorithm in ALGORITHMS if isinstance(algorithm, BlockwiseConvAlgorithm)]
TOLERANCES = {"float64": 1e-13, "float32": 2e-6}
"""Relative to the largest value."""


@pytest.fixture(params=[1 << 20, 1 << 12], ids=["one chunk", "many chunks"], autouse=True)
def _chunk_bytes(request, monkeypatch):
    monkeypatch.setattr(fourier, "LEAST_IMAGES", 2)
    for module, name in ((fourier, "CHUNK_BYTES"), (few_channels, "CHUNK_BYTES"), (kernel, "BLOCK_BYTES")):
        monkeypatch.setattr(module, name, request.param)


def of_geometry(geometry, dtype):
    size, taps, pads, window = geometry
    problem = problem_of(size, taps, (1, 1), pads, (1, 1), 3, 7, batch=5, dtype=dtype)
    return problem, window, *drawn(problem)


def by_place(pixels, wide):
    """The columns of H W n C sorted by their place in windows so wide."""
    height, width, *rest = pixels.shape
    return pixels.reshape(height, width // wide, wide, *rest).swapaxes(1, 2)


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("algorithm", BLOCKWISE, ids=lambda each: each.name)
def test_blocks_are_of_the_plain_sum(algorithm, geometry, dtype):
    problem, window, x, w, dy = of_geometry(geometry, dtype)
    expected, _, _ = plain(problem, x, w, dy)
    y = np.full(expected.shape, np.nan, dtype)

    def consume(block, pixels):
        assert pixels.dtype == dtype
        assert pixels.shape[1] == window[1]
        height, place, windows, *rest = pixels.shape
        hwnc_to_nhwc(pixels.swapaxes(1, 2).reshape(height, windows * place, *rest), out=block.of(y))

    algorithm.outputs(CONTEXT, problem, algorithm.transform_input(CONTEXT, problem, x), w, window, consume)
    np.testing.assert_allclose(y, expected, rtol=0, atol=TOLERANCES[dtype] * np.abs(expected).max())


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("algorithm", BLOCKWISE, ids=lambda each: each.name)
@pytest.mark.parametrize("of_input", [False, True])
def test_gradients_of_blocks_are_of_the_plain_sum(algorithm, geometry, dtype, of_input):
    problem, window, x, w, dy = of_geometry(geometry, dtype)
    _, *expected = plain(problem, x, w, dy)

    def output_gradient(block):
        return by_place(nhwc_to_hwnc(CONTEXT, block.of(dy)), window[1])

    chunks = list(algorithm.transform_input(CONTEXT, problem, x))
    dx, dw = algorithm.block_gradients(CONTEXT, problem, chunks, window, output_gradient, w if of_input else None)
    assert (dx is not None) == (of_input and algorithm.shares_gradients)
    for result, plain_one in zip((dx, dw), expected, strict=True):
        if result is not None:
            assert result.dtype == dtype
            np.testing.assert_allclose(result, plain_one, rtol=0, atol=TOLERANCES[dtype] * np.abs(plain_one).max())


@pytest.mark.parametrize(("name", "counted"), [("few_channels", (4, 5, 2)), ("fourier", (8, 5, 1))])
def test_blocks_are_whole_windows(name, counted, monkeypatch):
    monkeypatch.setattr(kernel, "BLOCK_BYTES", 1)
    (algorithm,) = [each for each in BLOCKWISE if each.name == name]
    problem = problem_of((8, 10), (5, 5), (1, 1), ((2, 2), (2, 2)), (1, 1), 2, 4, batch=2)
    x, w, _ = drawn(problem)
    sizes = set()
    chunks = algorithm.transform_input(CONTEXT, problem, x)
    algorithm.outputs(CONTEXT, problem, chunks, w, (4, 5), lambda _, pixels: sizes.add(pixels.shape[:3]))
    assert sizes == {counted}
