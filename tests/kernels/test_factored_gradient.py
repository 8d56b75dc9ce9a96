"""A gradient as its factors is the gradient."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.kernels.factored_gradient import FactoredGradient, scale


@pytest.mark.parametrize(("examples", "columns"), [(5, 7), (64, 1024), (300, 384), (4000, 512)])
def test_it_is_the_product_of_its_factors(examples, columns):
    rng = np.random.default_rng(0)
    inputs, dy = rng.normal(size=(examples, 20)), rng.normal(size=(examples, columns))
    whole, found = inputs.T @ dy, FactoredGradient(inputs, dy)
    assert (found.shape, found.size, found.dtype) == (whole.shape, whole.size, whole.dtype)
    np.testing.assert_allclose(np.asarray(found), whole, rtol=0, atol=1e-11)
    np.testing.assert_allclose(found.by_rows(8)(slice(3, 11)), whole[3:11], rtol=0, atol=1e-11)
    assert found.square_sum() == pytest.approx(np.square(whole).sum(), rel=1e-12)
    before = dy.copy()
    scale(found, 0.5)
    np.testing.assert_allclose(np.add(found, whole), 1.5 * whole, rtol=0, atol=1e-11)
    np.testing.assert_allclose(found.by_rows(8)(slice(3, 11)), whole[3:11] / 2, rtol=0, atol=1e-11)
    assert found.square_sum() == pytest.approx(np.square(whole / 2).sum(), rel=1e-12)
    np.testing.assert_array_equal(dy, before)  # which may be somebody else's


def test_squares_that_overflow_float32_do_not_overflow():
    large = np.full((2, 3), 1e15, np.float32)
    assert FactoredGradient(large, large).square_sum() == pytest.approx(9 * 4e60, rel=1e-6)


def test_examples_that_cancel_have_no_negative_squares():
    rng = np.random.default_rng(1)
    sums = []
    for _ in range(50):
        inputs = np.repeat(rng.normal(size=(1, 777)), 16, axis=0)
        dy = rng.normal(size=(16, 40))
        sums.append(FactoredGradient(inputs, dy - dy.mean(axis=0)).square_sum())
    assert min(sums) >= 0
    assert max(sums) < 1e-8
