"""Filters to mean 0 and variance 1."""

from __future__ import annotations

from collections.abc import Callable

from graphc.lazy import np
from graphc.types import Array


def standardize(weights: Array, epsilon: float) -> tuple[Array, Callable[[Array], Array]]:
    """Filters [..., F], each (w - mean)/sqrt(variance + epsilon) over all its numbers, and what takes the gradient
    [..., F] of these back to that of the weights."""
    axes = tuple(range(weights.ndim - 1))
    centered = weights - weights.mean(axis=axes)
    inverse = 1 / np.sqrt(np.square(centered).mean(axis=axes) + weights.dtype.type(epsilon))
    found: Array = centered * inverse

    def backward(gradient: Array) -> Array:
        along = (gradient * found).mean(axis=axes)
        back: Array = (gradient - gradient.mean(axis=axes) - found * along) * inverse
        return back

    return found, backward
