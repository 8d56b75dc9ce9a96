from __future__ import annotations

import math

import numpy as np
import pytest

from graphc.kernels.erf import erf

POINTS = np.concatenate(
    [np.linspace(-7, 7, 20_001), [0.0, -0.0, 1e-300, 0.84375, 1.25, 1 / 0.35, 6.0, np.inf, -np.inf]]
)


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 3e-16), (np.float32, 2e-7)])
def test_erf_equals_the_c_library_s(dtype: type, tolerance: float) -> None:
    x = POINTS.astype(dtype)
    expected = np.array([math.erf(value) for value in x])
    found = erf(x)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=0)


def test_erf_of_nan_is_nan() -> None:
    assert np.isnan(erf(np.array([np.nan, 1.0]))).tolist() == [True, False]


def test_erf_keeps_the_sign_of_zero() -> None:
    assert np.signbit(erf(np.array([-0.0, 0.0]))).tolist() == [True, False]
