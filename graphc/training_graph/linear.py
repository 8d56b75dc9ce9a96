"""Linear maps along axes as products with matrices: borders, sizes, blurs, and their transposes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from graphc.training_graph.tensor import Tensor
from graphc.types import Array


def emit_mixed(x: Tensor, matrices: Sequence[Array]) -> Tensor:
    """x [N, C, …] with the positions along each spatial axis mixed by a matrix [new, old] of its own."""
    for axis, matrix in enumerate(matrices, start=2):
        x = along(x, axis, matrix)
    return x


def along(x: Tensor, axis: int, matrix: Array) -> Tensor:
    """x with `matrix` [M, L] applied along an axis of size L, which becomes M."""
    before, after = x.shape[:axis], x.shape[axis + 1 :]
    new, old = matrix.shape
    inner = math.prod(after)
    if inner == 1:
        weights = Tensor(x.graph, x.graph.initializer(matrix.T), (old, new))
        return (x.reshape(math.prod(before), old) @ weights).reshape(*before, new, *after)
    weights = Tensor(x.graph, x.graph.initializer(matrix), (new, old))
    return (weights @ x.reshape(math.prod(before), old, inner)).reshape(*before, new, *after)
