"""Scaled dot-product attention with several heads, and its way back."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from graphc.lazy import np
from graphc.types import Array, Context

HIDDEN = -1e30
"""The score of a key that is not seen: far below every other."""


@dataclass(frozen=True, slots=True)
class Attended:
    """What attention gives, [N, L, H*K], and the gradients of queries, keys and values from its own."""

    output: Array
    backward: Callable[[Array], tuple[Array, Array, Array]]


def attention(
    context: Context,
    q: Array,
    k: Array,
    v: Array,
    heads: int,
    factors: Array | None = None,
    hidden: Array | None = None,
) -> Attended:
    """softmax(q @ k.T / sqrt(K)) @ v in each head, of q [N, L, H*K] and k, v [N, M, H*K]; `factors` [N, H, L, M] are
    what the softmax is multiplied by (dropout), `hidden` says which keys a query does not see (bool, of a shape that
    broadcasts to [N, H, L, M]); one that sees none takes the mean of all."""
    queries, keys, values = (_heads(each, heads) for each in (q, k, v))
    scale = q.dtype.type(1 / math.sqrt(queries.shape[-1]))
    shape = (*queries.shape[:3], keys.shape[2])
    weights = np.matmul(queries, keys.swapaxes(2, 3), out=context.empty(shape, q.dtype))
    weights *= scale
    if hidden is not None:
        np.copyto(weights, HIDDEN, where=hidden)
    weights -= weights.max(axis=-1, keepdims=True)
    np.exp(weights, out=weights)
    weights /= weights.sum(axis=-1, keepdims=True)
    used = weights if factors is None else weights * factors

    def backward(dy: Array) -> tuple[Array, Array, Array]:
        given = _heads(dy, heads)
        dvalues = np.matmul(used.swapaxes(2, 3), given)
        dweights = np.matmul(given, values.swapaxes(2, 3), out=context.empty(shape, q.dtype))
        if factors is not None:
            dweights *= factors
        dweights -= (dweights * weights).sum(axis=-1, keepdims=True)
        dweights *= weights
        if hidden is not None:
            np.copyto(dweights, 0, where=hidden)
        dweights *= scale
        return (
            _together(context, np.matmul(dweights, keys)),
            _together(context, np.matmul(dweights.swapaxes(2, 3), queries)),
            _together(context, dvalues),
        )

    return Attended(_together(context, np.matmul(used, values)), backward)


def _heads(x: Array, heads: int) -> Array:
    """[N, L, H*K] as [N, H, L, K], without a copy."""
    return x.reshape(*x.shape[:2], heads, -1).transpose(0, 2, 1, 3)


def _together(context: Context, x: Array) -> Array:
    """[N, H, L, K] as [N, L, H*K]."""
    count, heads, length, size = x.shape
    y = context.empty((count, length, heads * size), x.dtype)
    y.reshape(count, length, heads, size)[...] = x.transpose(0, 2, 1, 3)
    return y
