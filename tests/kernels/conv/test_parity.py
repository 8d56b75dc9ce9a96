"""Every algorithm for convolutions, on every problem here that it supports, against the plain sums.

An algorithm that is added to the table is tested by that; a geometry that is added here is tried with all of them.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

import numpy as np
import pytest

import graphc.kernels.conv
from graphc.kernels import context, pixels
from graphc.kernels.context import RunContext
from graphc.kernels.conv import ALGORITHMS, FORCING, conv2d, conv2d_gradients, conv2d_input_gradient
from graphc.kernels.conv.unfolded import Unfolded
from tests.kernels.conv.plain import drawn, plain, problem_of

CONTEXT = RunContext(training=True)
"""One for all, so that they get each other's memory, with what others have left in it."""

NO_PADS = ((0, 0), (0, 0))
PROBLEMS = {
    # size, kernel, stride, pads, dilation, channels, filters
    "1x1": ((9, 8), (1, 1), (1, 1), NO_PADS, (1, 1), 6, 12),
    "1x1 grouped": ((9, 8), (1, 1), (1, 1), NO_PADS, (1, 1), 6, 12, 2),
    "1x1 strided": ((9, 8), (1, 1), (2, 2), NO_PADS, (1, 1), 6, 12),
    "1x1 padded": ((5, 4), (1, 1), (1, 1), ((1, 1), (0, 2)), (1, 1), 4, 3),
    "3x3 same": ((9, 8), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 6, 12),
    "3x3 valid": ((10, 6), (3, 3), (1, 1), NO_PADS, (1, 1), 16, 12),
    "3x3 wide": ((8, 8), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 32, 16),
    "3x3 high": ((23, 5), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 16, 12),
    "3x3 one channel": ((7, 8), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1, 4),
    "3x3 to one": ((7, 8), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 5, 1),
    "3x3 uneven": ((9, 8), (3, 3), (1, 1), ((0, 2), (1, 0)), (1, 1), 6, 12),
    "3x3 strided": ((9, 8), (3, 3), (2, 2), ((0, 1), (1, 1)), (1, 1), 6, 12),
    "3x3 dilated": ((9, 8), (3, 3), (1, 1), ((2, 2), (1, 2)), (2, 2), 6, 4),
    "3x3 dilated, strided": ((11, 9), (3, 3), (2, 2), ((2, 2), (2, 2)), (2, 2), 3, 4),
    "3x3 padded wider": ((5, 5), (3, 3), (1, 1), ((3, 3), (3, 4)), (1, 1), 8, 4),
    "3x3 grouped": ((9, 8), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 6, 12, 2),
    "3x3 grouped, strided": ((9, 8), (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1), 6, 12, 3),
    "3x3 depthwise": ((9, 8), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 6, 6, 6),
    "3x3 depthwise, strided": ((9, 8), (3, 3), (2, 2), ((1, 1), (0, 1)), (1, 1), 6, 6, 6),
    "3x3 depthwise, wide": ((5, 6), (3, 3), (2, 2), ((0, 1), (0, 1)), (1, 1), 64, 64, 64),
    "3x3 depthwise, strided by three": ((9, 11), (3, 3), (3, 3), ((2, 1), (0, 2)), (1, 1), 5, 5, 5),
    "2x1 depthwise, strided by more": ((9, 8), (2, 1), (3, 2), ((0, 0), (1, 1)), (1, 1), 6, 6, 6),
    "5x4 depthwise, padded wider": ((7, 6), (5, 4), (2, 1), ((5, 6), (4, 3)), (1, 1), 6, 6, 6),
    "3x3 depthwise, dilated": ((9, 8), (3, 3), (1, 1), ((2, 2), (2, 2)), (2, 2), 6, 6, 6),
    "3x3 depthwise, times two": ((9, 8), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 6, 12, 6),
    "3x2 all at once": ((9, 8), (3, 2), (1, 2), ((2, 1), (0, 1)), (2, 1), 6, 12, 3),
    "3x1": ((5, 9), (3, 1), (1, 1), ((0, 2), (0, 0)), (1, 1), 16, 12),
    "3x4": ((12, 9), (3, 4), (1, 1), ((2, 1), (2, 2)), (1, 1), 9, 8),
    "5x5": ((14, 14), (5, 5), (1, 1), ((2, 2), (2, 2)), (1, 1), 6, 7),
    "5x5 wide": ((14, 6), (5, 5), (1, 1), ((2, 2), (2, 2)), (1, 1), 32, 32),
    "5x5 of fewer pixels": ((5, 6), (5, 5), (1, 1), ((4, 4), (4, 3)), (1, 1), 3, 7),
    "5x5 strided": ((9, 8), (5, 5), (2, 1), ((2, 2), (2, 2)), (1, 1), 6, 12),
    "5x5 of all": ((5, 5), (5, 5), (1, 1), NO_PADS, (1, 1), 6, 7),
    "5x3": ((8, 8), (5, 3), (1, 1), NO_PADS, (1, 1), 8, 8),
    "5x7": ((13, 9), (5, 7), (1, 1), ((2, 1), (0, 6)), (1, 1), 3, 7),
    "1x7": ((9, 8), (1, 7), (1, 1), ((0, 0), (3, 3)), (1, 1), 6, 12),
    "2x2 strided by more": ((9, 8), (2, 2), (3, 3), NO_PADS, (1, 1), 6, 12, 6),
    "2x2 uneven": ((9, 8), (2, 2), (1, 1), ((2, 0), (1, 2)), (1, 1), 6, 12),
}
ROUNDING = {"winograd_1d": 1e-5, "winograd_2d": 1e-5, "fourier": 1e-6}
"""Of float32, relative to the largest value, where it is not 2e-6."""


@cache
def case(name, dtype, batch=3):
    """The problem, its arrays and what they should give."""
    *rest, channels, filters = PROBLEMS[name][:7]
    groups = PROBLEMS[name][7] if len(PROBLEMS[name]) > 7 else 1
    problem = problem_of(*rest, channels, filters, groups=groups, batch=batch, dtype=dtype)
    arrays = drawn(problem, seed=len(name))
    return problem, arrays, plain(problem, *arrays)


SUPPORTED = [
    pytest.param(algorithm, name, id=f"{algorithm.name}-{name}")
    for algorithm in ALGORITHMS
    for name in PROBLEMS
    if algorithm.supports(case(name, "float64")[0])
]


@pytest.fixture(params=["one chunk", "many chunks"])
def _chunks(request, monkeypatch):
    """What is walked in chunks goes in one, or in as many as there can be."""
    if request.param == "one chunk":
        return
    for found in pkgutil.iter_modules(graphc.kernels.conv.__path__):
        module = importlib.import_module(f"graphc.kernels.conv.{found.name}")
        for name in ("CHUNK_BYTES", "LEAST_IMAGES", "LEAST_PIXELS", "LEAST_TILES"):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, 1)
    monkeypatch.setattr(pixels, "BLOCK_BYTES", 1)
    monkeypatch.setattr(context, "SLICE_BYTES", 1)


@pytest.mark.usefixtures("_chunks")
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("algorithm", "name"), SUPPORTED)
def test_it_is_the_plain_sum(algorithm, name, dtype):
    problem, (x, w, dy), expected = case(name, dtype)
    before = [array.tobytes() for array in (x, w, dy)]
    dx, dw = algorithm.gradients(CONTEXT, problem, x, dy, w)
    y = algorithm.forward(CONTEXT, problem, x, w)
    alone = algorithm.input_gradient(CONTEXT, problem, dy, w), algorithm.weight_gradient(CONTEXT, problem, x, dy)
    tolerance = 1e-12 if dtype == "float64" else ROUNDING.get(algorithm.name, 2e-6)
    for result, plain_one in zip((y, dx, dw, *alone), (*expected, *expected[1:]), strict=True):
        assert (result.shape, result.dtype) == (plain_one.shape, dtype)
        np.testing.assert_allclose(result, plain_one, rtol=0, atol=tolerance * np.abs(plain_one).max())
    assert [array.tobytes() for array in (x, w, dy)] == before


def test_there_is_something_to_try_of_every_algorithm():
    names = [algorithm.name for algorithm in ALGORITHMS]
    assert len(set(names)) == len(names)
    for algorithm in ALGORITHMS:
        assert sum(param.values[0] is algorithm for param in SUPPORTED) >= 2, algorithm.name
    everything = [param.values[1] for param in SUPPORTED if isinstance(param.values[0], Unfolded)]
    assert everything == list(PROBLEMS)


@pytest.mark.parametrize("forced", ["", *(algorithm.name for algorithm in ALGORITHMS)])
@pytest.mark.parametrize("name", PROBLEMS)
def test_what_layers_call_is_the_plain_sum(name, forced, monkeypatch):
    """Whatever is chosen, forth and back, whether gradients come together or one alone."""
    monkeypatch.setenv(FORCING, forced)
    problem, (x, w, dy), (y, dx, dw) = case(name, "float64", 16)
    results = conv2d(CONTEXT, problem, x, w), *conv2d_gradients(CONTEXT, problem, x, dy, w)
    for result, expected in zip(results, (y, dx, dw), strict=True):
        np.testing.assert_allclose(result, expected, rtol=0, atol=1e-12 * np.abs(expected).max())
    np.testing.assert_allclose(conv2d_input_gradient(CONTEXT, problem, dy, w), dx, rtol=0, atol=1e-11)
    none, alone = conv2d_gradients(RunContext(training=True, input_gradient=False), problem, x, dy, w)
    assert none is None
    np.testing.assert_array_equal(alone, results[2])
