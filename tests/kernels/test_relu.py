"""ReLU by bits, against the plain formulas."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.kernels import relu as kernel
from graphc.kernels.context import RunContext


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("count", [0, 1, kernel.WIDTH - 1, kernel.WIDTH, 3 * kernel.WIDTH + 5])
def test_relu_and_what_it_lets_pass(dtype, count):
    random = np.random.default_rng(0)
    x, dy = random.normal(size=(2, count)).astype(dtype)
    x[::7], x[3::7] = 0.0, -0.0
    y = np.empty_like(x)
    kernel.relu(x, y)
    np.testing.assert_array_equal(y, np.maximum(x, 0))
    given = np.empty_like(x)
    kernel.relu_backward(RunContext(), dy, y, out=given)
    np.testing.assert_array_equal(given, np.where(y > 0, dy, 0))
    np.testing.assert_array_equal(kernel.relu_grad(RunContext(), dy, y), given)


def test_a_nan_is_not_hidden():
    y = np.empty(3, np.float32)
    kernel.relu(np.array([np.nan, -np.inf, np.inf], np.float32), y)
    assert np.isnan(y[0])
    assert list(y[1:]) == [0, np.inf]
