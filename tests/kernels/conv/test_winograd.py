"""What is Winograd's own: the matrices, and how exact the tiles are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from graphc.kernels.context import RunContext
from graphc.kernels.conv.cook_toom import matrices
from graphc.kernels.conv.winograd_1d import Winograd1d
from tests.kernels.conv.plain import drawn, problem_of

CONTEXT = RunContext()


@pytest.mark.parametrize(
    ("tile", "taps"), [(2, 3), (4, 2), (4, 3), (4, 4), (4, 5), (8, 2), (6, 3), (8, 3), (1, 1), (4, 1), (3, 7)]
)
def test_the_matrices_make_every_output_of_a_filter(tile, taps):
    b, g, a = matrices(tile, taps, np.dtype(float))
    assert len(b) == len(g) == a.shape[1] == tile + taps - 1
    rng = np.random.default_rng(0)
    inputs, filters = rng.normal(size=tile + taps - 1), rng.normal(size=taps)
    expected = np.correlate(inputs, filters, "valid")
    np.testing.assert_allclose(a @ ((g @ filters) * (b @ inputs)), expected, rtol=0, atol=1e-12)


def test_two_outputs_of_three_taps_are_lavin_and_grays():
    """Section 4.1, up to the sign of a product's two factors and the order of the points: 0, 1, -1, infinity."""
    b, g, a = matrices(2, 3, np.dtype(float))
    theirs_b = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]])
    theirs_g = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
    theirs_a = np.array([[1, 1, 1, 0], [0, 1, -1, -1]])
    ours, theirs = (np.einsum("ip,pj,pk->pijk", *each) for each in ((a, g, b), (theirs_a, theirs_g, theirs_b)))
    np.testing.assert_array_equal(ours, theirs)


def test_inference_keeps_to_tiles_of_four():
    """Their rounding errors are a quarter of those of the longer tiles, which training takes."""
    algorithm = Winograd1d()
    training = problem_of((32, 32), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 16, 16, batch=2)
    inference = replace(training, training=False)
    x, w, _ = drawn(training)
    expected = algorithm.forward(CONTEXT, inference, x, w)
    errors = [
        np.abs(algorithm.forward(CONTEXT, problem, x.astype(np.float32), w.astype(np.float32)) - expected).mean()
        for problem in (inference, training)
    ]
    assert errors[0] < errors[1] / 2
