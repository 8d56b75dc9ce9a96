"""Dense products: a matrix shared between the parts of a batch is the same matrix."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.kernels import dense as kernel
from graphc.kernels.context import RunContext
from graphc.kernels.outer_product import OuterProduct
from graphc.kernels.team import Member, Team
from graphc.kernels.workspace import Workspace


def products(member: Member, x, w, dy, factors):
    workspace = Workspace()
    context = RunContext(
        workspace=workspace,
        part=member.part,
        factors=factors,
        gather=member.gather,
        shared_empty=lambda shape, dtype: member.common(shape, dtype, workspace),
    )
    x, dy = x[member.examples], dy[member.examples]
    y, kept = kernel.dense(context, x, w)
    return y, *kernel.dense_gradients(context, kept, dy, w)


@pytest.mark.parametrize("count", [1, 3, 10])
@pytest.mark.parametrize("shared_from", [0, 1 << 30])
@pytest.mark.parametrize("factors", [False, True])
@pytest.mark.parametrize("size", [(7, 5), (2, 32)], ids=["more rows than parts", "fewer rows than parts"])
def test_products_do_not_depend_on_how_the_matrix_is_shared(count, shared_from, factors, size, monkeypatch):
    monkeypatch.setattr(kernel, "SHARED_FROM", shared_from)
    monkeypatch.setattr(Workspace, "empty", lambda _, shape, dtype: np.full(shape, np.nan, dtype))
    rng = np.random.default_rng(0)
    rows, columns = size
    x, w, dy = rng.normal(size=(count, rows)), rng.normal(size=size), rng.normal(size=(count, columns))
    found = Team(4, 2).run(lambda member: products(member, x, w, dy, factors), count)
    y, dx, dw = zip(*found, strict=True)
    np.testing.assert_allclose(np.concatenate(y), x @ w, rtol=0, atol=1e-13)
    np.testing.assert_allclose(np.concatenate(dx), dy @ w.T, rtol=0, atol=1e-13)
    there = [np.asarray(part) for part in dw if part is not None]
    np.testing.assert_allclose(sum(there), x.T @ dy, rtol=0, atol=1e-13)
    assert len(there) == (1 if shared_from == 0 else len(dw))
    assert isinstance(dw[0], OuterProduct) == (factors and shared_from == 0)


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
