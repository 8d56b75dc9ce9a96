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
    """What attention gives, [N, L, H*K], and the gradients of queries, keys, values and the bias [H, L, M] from its
    own."""

    output: Array
    backward: Callable[[Array], tuple[Array, Array, Array, Array]]


def attention(
    context: Context,
    q: Array,
    k: Array,
    v: Array,
    heads: int,
    factors: Array | None = None,
    hidden: Array | None = None,
    bias: Array | None = None,
) -> Attended:
    """softmax(q @ k.T / sqrt(K) + bias) @ v in each head, of q [N, L, H*K] and k, v [N, M, H*K]; `factors` [N, H, L, M]
    are what the softmax is multiplied by (dropout), `hidden` says which keys a query does not see (bool, of a shape
    that broadcasts to [N, H, L, M]); one that sees none takes the mean of all; `bias` is [H, L, M]."""
    queries, keys, values = (_heads(each, heads) for each in (q, k, v))
    scale = q.dtype.type(1 / math.sqrt(queries.shape[-1]))
    shape = (*queries.shape[:3], keys.shape[2])
    weights = np.matmul(queries, keys.swapaxes(2, 3), out=context.empty(shape, q.dtype))
    weights *= scale
    if bias is not None:
        weights += bias
    if hidden is not None:
        np.copyto(weights, HIDDEN, where=hidden)
    weights -= weights.max(axis=-1, keepdims=True)
    np.exp(weights, out=weights)
    weights /= weights.sum(axis=-1, keepdims=True)
    used = weights if factors is None else weights * factors

    def backward(dy: Array) -> tuple[Array, Array, Array, Array]:
        given = _heads(dy, heads)
        dvalues = np.matmul(used.swapaxes(2, 3), given)
        dweights = np.matmul(given, values.swapaxes(2, 3), out=context.empty(shape, q.dtype))
        if factors is not None:
            dweights *= factors
        dweights -= (dweights * weights).sum(axis=-1, keepdims=True)
        dweights *= weights
        if hidden is not None:
            np.copyto(dweights, 0, where=hidden)
        dbias = dweights.sum(axis=0) if bias is not None else np.zeros(0, q.dtype)
        dweights *= scale
        return (
            _together(context, np.matmul(dweights, keys)),
            _together(context, np.matmul(dweights.swapaxes(2, 3), queries)),
            _together(context, dvalues),
            dbias,
        )

    return Attended(_together(context, np.matmul(used, values)), backward)


def relative_places(sizes: tuple[int, ...]) -> Array:
    """For each pair of positions of a window of these sizes, the number of their offset: int [L, L], from 0 to the
    product of 2*size - 1; offsets are counted with the last axis fastest, as in Swin."""
    grid = np.stack(np.meshgrid(*(np.arange(size) for size in sizes), indexing="ij"), axis=-1).reshape(-1, len(sizes))
    offsets = grid[:, None] - grid[None] + np.array(sizes) - 1
    places: Array = np.ravel_multi_index(tuple(np.moveaxis(offsets, -1, 0)), tuple(2 * size - 1 for size in sizes))
    return places


def offset_sums(dbias: Array, sizes: tuple[int, ...]) -> Array:
    """The gradient [offsets, H] of a bias by offset in windows of these sizes, from that of each pair of positions, [H,
    L, L]."""
    total = np.zeros((math.prod(2 * size - 1 for size in sizes), len(dbias)), dbias.dtype)
    np.add.at(total, relative_places(sizes), np.moveaxis(dbias, 0, -1))
    return total


def _heads(x: Array, heads: int) -> Array:
    """[N, L, H*K] as [N, H, L, K], without a copy."""
    return x.reshape(*x.shape[:2], heads, -1).transpose(0, 2, 1, 3)


def _together(context: Context, x: Array) -> Array:
    """[N, H, L, K] as [N, L, H*K]."""
    count, heads, length, size = x.shape
    y = context.empty((count, length, heads * size), x.dtype)
    y.reshape(count, length, heads, size)[...] = x.transpose(0, 2, 1, 3)
    return y
