"""Sums and affine maps a channel, against the plain formulas."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.kernels import channels as kernel
from graphc.kernels.context import RunContext
from graphc.parallel.communicator import Shard
from graphc.parallel.threads import ThreadGroup

SHAPES = [(5, 3), (6, 4, 4, 3), (2, 7, 5, 16), (3, 8, 8, 600)]


@pytest.fixture(params=[1 << 20, 256], ids=["one chunk", "many chunks"])
def _chunk_bytes(request, monkeypatch):
    monkeypatch.setattr(kernel, "CHUNK_BYTES", request.param)


@pytest.mark.usefixtures("_chunk_bytes")
@pytest.mark.parametrize("shape", SHAPES)
def test_channel_kernels_are_their_formulas(shape):
    rng = np.random.default_rng(0)
    x, dy = rng.normal(3, 2, size=shape), rng.normal(size=shape)
    a, b, c = rng.normal(size=(3, shape[-1]))
    axes = tuple(range(len(shape) - 1))
    context = RunContext()
    count, mean, variance = kernel.moments(context, x)
    assert count == x.size // shape[-1]
    np.testing.assert_allclose(mean, x.mean(axis=axes), rtol=1e-13)
    np.testing.assert_allclose(variance, x.var(axis=axes), rtol=1e-12)
    np.testing.assert_allclose(kernel.scale_and_shift(context, x, a, b), x * a + b, rtol=0, atol=1e-14)
    np.testing.assert_allclose(kernel.combine(context, dy, a, x, b, c), dy * a + x * b + c, rtol=0, atol=1e-13)
    y = kernel.scale_and_shift(context, x, a, b, with_relu=True)
    np.testing.assert_array_equal(y, np.maximum(kernel.scale_and_shift(context, x, a, b), 0))
    for inverse in (np.ones(shape[-1]), np.full(shape[-1], 1e3)):  # the mean near, the mean far away
        total, along, given = kernel.backward_sums(context, dy, x, mean, inverse, y)
        np.testing.assert_array_equal(given, dy * (y > 0))
        np.testing.assert_allclose(total, given.sum(axis=axes), rtol=0, atol=1e-11)
        np.testing.assert_allclose(along, (given * (x - mean)).sum(axis=axes), rtol=0, atol=1e-11)
    total, along = kernel.product_sums(context, dy, x)
    np.testing.assert_allclose(total, dy.sum(axis=axes), rtol=0, atol=1e-11)
    np.testing.assert_allclose(along, (dy * x).sum(axis=axes), rtol=0, atol=1e-11)
    np.testing.assert_allclose(kernel.bias_gradient(dy), dy.sum(axis=axes), rtol=0, atol=1e-11)
    kernel.add_bias(dy, a, out=given)
    np.testing.assert_array_equal(given, dy + a)


def test_variance_of_float32_survives_a_large_mean():
    x = (1e4 + np.random.default_rng(0).normal(size=(64, 8, 8, 4))).astype(np.float32)
    _, _, variance = kernel.moments(RunContext(), x)
    np.testing.assert_allclose(variance, x.astype(np.float64).var(axis=(0, 1, 2)), rtol=1e-3)


def test_moments_are_the_whole_batchs_in_every_rank():
    x = np.random.default_rng(0).normal(size=(7, 3, 3, 4))

    def work(shard: Shard):
        return kernel.moments(RunContext(communicator=shard.communicator), x[shard.examples])

    for count, mean, variance in ThreadGroup(3, 2).world(len(x)).run(work):
        assert count == 63
        np.testing.assert_allclose(mean, x.mean(axis=(0, 1, 2)), rtol=0, atol=1e-14)
        np.testing.assert_allclose(variance, x.var(axis=(0, 1, 2)), rtol=1e-13)
