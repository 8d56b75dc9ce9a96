"""From what a network gives to probabilities, as losses mean it and files say it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

from graphc.lazy import np
from graphc.types import Array

Activation: TypeAlias = Literal["softmax", "sigmoid", "none"]


def softmax(logits: Array) -> Array:
    """exp(x) / sum(exp(x)) of [..., K] over the last axis, in float64."""
    exponents = np.exp(logits - logits.max(axis=-1, keepdims=True), dtype=np.float64)
    return np.asarray(exponents / exponents.sum(axis=-1, keepdims=True))


def sigmoid(logits: Array) -> Array:
    """1 / (1 + exp(-x)) of any shape, without overflow, in the logits' dtype."""
    small = np.exp(-np.abs(logits))
    return np.asarray(np.where(logits >= 0, 1, small) / (1 + small), logits.dtype)


def largest_first(values: Array) -> Array:
    """The indices of numbers [..., K] along the last axis, of the largest first and of NaN last; equal ones stay in
    their order. Of any type of numbers: what has no negative is not negated."""
    if values.dtype.kind == "f":
        return np.argsort(-values, axis=-1, kind="stable")
    backwards = np.argsort(values[..., ::-1], axis=-1, kind="stable")
    return np.asarray(values.shape[-1] - 1 - backwards[..., ::-1])


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "softmax": softmax,
    "sigmoid": lambda logits: sigmoid(logits.astype(np.float64)),
    "none": lambda values: values,
}
