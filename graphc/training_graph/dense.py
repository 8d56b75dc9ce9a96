"""Products with matrices, and weights that are standardized."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from graphc.training_graph.tensor import Tensor


def gemm(a: Tensor, b: Tensor, c: Tensor | None = None, *, a_t: bool = False, b_t: bool = False) -> Tensor:
    """a [M, K] times b [K, N], each of them transposed where asked, plus c [N]."""
    attributes = {name: 1 for name, said in (("transA", a_t), ("transB", b_t)) if said}
    (name,) = a.graph.node("Gemm", a.name, b.name, *([] if c is None else [c.name]), **attributes)
    return Tensor(a.graph, name, (a.shape[1 if a_t else 0], b.shape[0 if b_t else 1]))


def emit_dense(x: Tensor, params: Mapping[str, Tensor], part: str) -> Tensor:
    """x [N, L, C] times `part`_weights [C, F], plus `part`_biases [F] where there are any."""
    weights = params[f"{part}_weights"]
    y = gemm(x.reshape(-1, x.shape[2]), weights, params.get(f"{part}_biases"))
    return y.reshape(*x.shape[:2], weights.shape[1])


def dense_gradients(x: Tensor, dy: Tensor, params: Mapping[str, Tensor], part: str) -> tuple[Tensor, dict[str, Tensor]]:
    """Of `emit_dense`: the gradient of x, and those of the variables by name."""
    weights, rows, given = params[f"{part}_weights"], x.reshape(-1, x.shape[2]), dy.reshape(-1, dy.shape[2])
    found = {f"{part}_weights": gemm(rows, given, a_t=True)}
    if f"{part}_biases" in params:
        found[f"{part}_biases"] = given.sum(0)
    return gemm(given, weights, b_t=True).reshape(*x.shape), found


def standardized(weights: Tensor, epsilon: float) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Filters [..., F] to mean 0 and variance 1, and what takes the gradient [..., F] of these back to the weights'."""
    axes = range(weights.rank - 1)
    centered = weights - weights.mean(*axes, keep=True)
    inverse = 1 / ((centered * centered).mean(*axes, keep=True) + epsilon).sqrt()
    found = centered * inverse

    def backward(gradient: Tensor) -> Tensor:
        along = (gradient * found).mean(*axes, keep=True)
        return (gradient - gradient.mean(*axes, keep=True) - found * along) * inverse

    return found, backward
