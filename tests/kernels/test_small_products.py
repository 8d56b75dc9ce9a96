"""Products in pieces are the whole product."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.kernels import small_products
from graphc.kernels.small_products import skinny_matmul, skinny_matmul_t

SIZES = [(64, 256, 5), (67, 130, 64), (7, 96, 3), (40, 33, 9), (33, 64, 65), (8, 1, 1), (0, 32, 4)]
"""rows, columns and how many are the few."""


@pytest.fixture(params=[False, True], ids=["at once", "in pieces"], autouse=True)
def _pieces(request, monkeypatch):
    monkeypatch.setattr(small_products, "has_small_gemm_kernels", lambda: request.param)
    monkeypatch.setattr(small_products, "MOST_MULTIPLICATIONS", 70_000)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("multiply", [skinny_matmul, skinny_matmul_t])
def test_a_matrix_times_few(multiply, size):
    rows, inner, few = size
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(rows, inner))
    operand = matrix if multiply is skinny_matmul else matrix.T
    columns = rng.normal(size=(operand.shape[1], few))
    found = np.full((len(operand), few), np.nan)
    multiply(matrix, columns, out=found)
    np.testing.assert_allclose(found, operand @ columns, rtol=0, atol=1e-12)


def test_pieces_are_small_products(monkeypatch):
    sizes = []
    real = small_products._add_products

    def counted(pieces, few, products, first):
        sizes.append(pieces.shape[1] * few.size)
        real(pieces, few, products, first)

    monkeypatch.setattr(small_products, "_add_products", counted)
    for multiply, shape in ((skinny_matmul, (16, 400)), (skinny_matmul_t, (400, 64))):
        few = np.ones((400, 32))
        multiply(np.ones(shape), few, out=np.empty((shape[0] if multiply is skinny_matmul else shape[1], 32)))
    assert bool(sizes) == small_products.has_small_gemm_kernels()
    assert all(size <= 70_000 for size in sizes)
