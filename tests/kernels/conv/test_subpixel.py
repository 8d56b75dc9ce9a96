"""The gradient of a strided convolution's input as one convolution of stride 1."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.kernels.context import RunContext
from graphc.kernels.conv import choose_input_gradient_algorithm, conv2d_gradients, subpixel
from graphc.kernels.conv.subpixel import subpixel_gradient
from graphc.kernels.conv.unfolded import Unfolded
from tests.kernels.conv.plain import drawn, plain, problem_of

CONTEXT = RunContext(training=True)
GEOMETRIES = [
    ((size, other), (taps, 3), (stride, 2), ((before, after), (1, 1)), (1, 1), 3, 4)
    for size, other in ((7, 8), (12, 5))
    for taps in (2, 3, 4, 7)
    for stride in (1, 2, 3)
    for before, after in ((0, 0), (1, 0), (1, 2))
    if after < taps
]
GEOMETRIES += [
    ((9, 9), (5, 5), (2, 2), ((2, 2), (1, 2)), (1, 1), 2, 3),
    ((1, 6), (1, 3), (1, 3), ((0, 0), (0, 0)), (1, 1), 2, 3),
]


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
@pytest.mark.parametrize("chunk_bytes", [1, 1 << 20])
def test_it_is_the_plain_sum_whatever_its_use(geometry, chunk_bytes, monkeypatch):
    monkeypatch.setattr(subpixel, "LEAST_USE", 0.0)
    problem = problem_of(*geometry)
    found = subpixel_gradient.__wrapped__(problem)
    assert found is not None
    x, w, dy = drawn(problem)
    monkeypatch.setattr(subpixel, "CHUNK_BYTES", chunk_bytes)
    dx = found.input_gradient(CONTEXT, Unfolded(), dy, w)
    assert dx.shape == problem.x_shape
    np.testing.assert_allclose(dx, plain(problem, x, w, dy)[1], rtol=0, atol=1e-11)


def strided(size, taps, stride, before, after, filters=32, **others):
    pads = ((before, after),) * 2
    return problem_of((size, size), (taps, taps), (stride, stride), pads, (1, 1), 16, filters, **others)


@pytest.mark.parametrize(
    ("problem", "window"),
    [
        (strided(32, 3, 2, 1, 1), (2, 2)),
        (strided(32, 3, 2, 0, 1), (2, 2)),
        (strided(32, 7, 2, 2, 3), (4, 4)),
        (strided(32, 4, 2, 1, 1), (2, 2)),
        (strided(32, 7, 2, 2, 3, filters=64), (4, 4)),
        (strided(32, 7, 2, 2, 3, filters=128), None),  # products are most of the time
        (strided(32, 3, 2, 1, 1, filters=64), None),
        (strided(32, 2, 2, 0, 0, filters=256), (1, 1)),  # nothing is unfolded, nothing added up
        (strided(32, 1, 2, 0, 0), None),  # three of four phases read nothing
        (strided(7, 7, 2, 0, 0), None),  # one output: nearly all would be zeros around it
        (strided(8, 2, 2, 1, 4), None),  # the last outputs read nothing but zeros
        (strided(32, 3, 1, 1, 1), None),
        (strided(32, 3, 2, 1, 1, groups=2), None),
        (problem_of((32, 32), (3, 3), (2, 2), ((2, 2), (2, 2)), (2, 2), 8, 8), None),
    ],
)
def test_it_is_taken_where_it_pays(problem, window):
    found = subpixel_gradient(problem)
    assert (None if found is None else found.problem.geometry.kernel) == window


def test_layers_take_it_and_the_reason_says_so():
    problem = strided(16, 3, 2, 1, 1, dtype=np.float32)
    algorithm, reason = choose_input_gradient_algorithm(problem)
    assert algorithm.name == "winograd_1d"
    assert reason == (
        "as a convolution of stride 1 that makes 2×2 pixels at a time: 8 rows of 2 taps by 9 products in place of 16"
    )
    x, w, dy = drawn(problem)
    dx, _ = conv2d_gradients(CONTEXT, problem, x, dy, w)
    expected = plain(problem, x, w, dy)[1]
    np.testing.assert_allclose(dx, expected, rtol=0, atol=2e-5 * np.abs(expected).max())
