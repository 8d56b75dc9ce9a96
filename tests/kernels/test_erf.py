from __future__ import annotations

import math

import numpy as np
import pytest

from graphc.kernels.erf import erf

POINTS = np.concatenate(
    [np.linspace(-7, 7, 20_001), [0.0, -0.0, 1e-300, 0.84375, 1.25, 1 / 0.35, 6.0, np.inf, -np.inf]]
)


@pytest.mark.parametrize(("dtype", "relative", "absolute"), [(np.float64, 3e-16, 0), (np.float32, 0, 6e-7)])
def test_erf_equals_the_c_library_s(dtype: type, relative: float, absolute: float) -> None:
    x = POINTS.astype(dtype)
    expected = np.array([math.erf(value) for value in x])
    found = erf(x)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, expected, rtol=relative, atol=absolute)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_erf_of_nan_is_nan(dtype: type) -> None:
    assert np.isnan(erf(np.array([np.nan, 1.0], dtype))).tolist() == [True, False]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_erf_is_odd(dtype: type) -> None:
    assert np.signbit(erf(np.array([-0.0, 0.0], dtype))).tolist() == [True, False]
    np.testing.assert_array_equal(erf(-POINTS.astype(dtype)), -erf(POINTS.astype(dtype)))
