"""Dense products: a matrix shared between ranks is the same matrix."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.kernels import dense as kernel
from graphc.kernels.context import RunContext
from graphc.kernels.factored_gradient import FactoredGradient
from graphc.parallel.communicator import Shard
from graphc.parallel.threads import ThreadGroup
from graphc.workspace import Workspace


def products(shard: Shard, x, w, dy, factors):
    context = RunContext(factored=factors, communicator=shard.communicator)
    x, dy = x[shard.examples], dy[shard.examples]
    y, kept = kernel.dense(context, x, w)
    return y, *kernel.dense_gradients(context, kept, dy, w)


@pytest.mark.parametrize("count", [1, 3, 10])
@pytest.mark.parametrize("shared_from", [0, 1 << 30])
@pytest.mark.parametrize("factors", [False, True])
@pytest.mark.parametrize("size", [(7, 5), (2, 32)], ids=["more rows than ranks", "fewer rows than ranks"])
def test_products_do_not_depend_on_how_the_matrix_is_shared(count, shared_from, factors, size, monkeypatch):
    monkeypatch.setattr(kernel, "SHARED_FROM", shared_from)
    monkeypatch.setattr(Workspace, "empty", lambda _, shape, dtype: np.full(shape, np.nan, dtype))
    rng = np.random.default_rng(0)
    rows, columns = size
    x, w, dy = rng.normal(size=(count, rows)), rng.normal(size=size), rng.normal(size=(count, columns))
    found = ThreadGroup(4, 2).world(count).run(lambda shard: products(shard, x, w, dy, factors))
    y, dx, dw = zip(*found, strict=True)
    np.testing.assert_allclose(np.concatenate(y), x @ w, rtol=0, atol=1e-13)
    np.testing.assert_allclose(np.concatenate(dx), dy @ w.T, rtol=0, atol=1e-13)
    there = [np.asarray(own) for own in dw if own is not None]
    np.testing.assert_allclose(sum(there), x.T @ dy, rtol=0, atol=1e-13)
    assert len(there) == (1 if shared_from == 0 else len(dw))
    assert isinstance(dw[0], FactoredGradient) == (factors and shared_from == 0)


@pytest.mark.parametrize("shared_from", [0, 1 << 30])
def test_gradients_that_nobody_wants_are_left_out(shared_from, monkeypatch):
    monkeypatch.setattr(kernel, "SHARED_FROM", shared_from)
    x, w, dy = np.ones((3, 7)), np.ones((7, 5)), np.ones((3, 5))
    _, kept = kernel.dense(RunContext(), x, w)
    dx, dw = kernel.dense_gradients(RunContext(input_gradient=False), kept, dy, w)
    assert dx is None
    assert dw is not None
    dx, dw = kernel.dense_gradients(RunContext(), kept, dy, w, of_weights=False)
    assert dx is not None
    assert dw is None
