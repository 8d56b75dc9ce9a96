"""Interpolation along an axis: what is said to be seen is what has a weight, and weights are PyTorch's."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from graphc.kernels.sampling import Interpolation

METHODS = [
    *(
        Interpolation("nearest", *each)
        for each in itertools.product(
            ("half_pixel", "asymmetric", "align_corners"), ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")
        )
    ),
    *(Interpolation(method, at) for method in ("bilinear", "bicubic") for at in ("half_pixel", "align_corners")),
    Interpolation("bilinear", "half_pixel", antialias=True),
    Interpolation("bicubic", "half_pixel", coefficient=-0.5, antialias=True),
]
SIZES = [(4, 7), (7, 4), (5, 10), (10, 5), (9, 2), (3, 3)]


@pytest.mark.parametrize("how", METHODS, ids=str)
def test_an_output_is_made_of_what_its_span_says(how: Interpolation) -> None:
    for old, new in SIZES:
        a, b = (old - 1, new - 1) if how.coordinates == "align_corners" else (old, new)
        ratio = a // math.gcd(a, b), b // math.gcd(a, b)
        sampling = how.sampling(old, new, ratio)
        shares = sampling.matrix(old, np.float64)
        np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-12)
        for position in range(new):
            first, last = (min(max(at, 0), old - 1) for at in how.span(position, ratio))
            seen = np.flatnonzero(np.abs(shares[position]) > 1e-12)
            assert (first, last) == (seen[0], seen[-1]), (old, new, position)


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("method", ["bilinear", "bicubic"])
def test_weights_are_pytorchs(method: str, antialias: bool) -> None:
    torch = pytest.importorskip("torch")
    how = Interpolation(method, "half_pixel", "floor", -0.5 if antialias else -0.75, antialias)
    for old, new in SIZES:
        unit = torch.eye(old, dtype=torch.float64)[:, None, :, None].repeat(1, 1, 1, 2)  # a pixel of a column each
        theirs = torch.nn.functional.interpolate(unit, size=(new, 2), mode=method, antialias=antialias)
        ratio = old // math.gcd(old, new), new // math.gcd(old, new)
        ours = how.sampling(old, new, ratio).matrix(old, np.float64)
        np.testing.assert_allclose(ours, theirs[:, 0, :, 0].T.numpy(), atol=1e-12)
