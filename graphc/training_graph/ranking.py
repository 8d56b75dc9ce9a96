"""Which of many numbers are first, or largest, as masks: what NumPy finds by sorting. Ties go to the first."""

from __future__ import annotations

from graphc.lazy import np
from graphc.training_graph.tensor import Tensor


def first_of(mask: Tensor, axis: int) -> Tensor:
    """A mask with a 1 at the first 1 along an axis, of a mask of any shape; none where there is none."""
    size = mask.shape[axis]
    places = np.arange(size, dtype=np.float32).reshape(-1, *(1,) * (mask.rank - 1 - axis % mask.rank))
    first = (mask.constant(places) + (1 - mask) * size).min(axis, keep=True)
    return mask.constant(places).equals(first)


def largest_of(values: Tensor, count: int | Tensor) -> Tensor:
    """A mask of the so many largest numbers along the last axis, [..., A] of numbers [..., A]: all where there are no
    more; `count` may be a tensor [..., 1] of whole numbers, at most A."""
    size = values.shape[-1]
    if isinstance(count, int):
        count = min(count, size)
        least = values.largest(count).part((count - 1,), (1,), (1,))
    else:
        places = values.constant(np.arange(1, size + 1, dtype=np.float32))
        least = (values.largest(size) * places.equals(count)).sum(-1, keep=True)
    above, equal = values.above(least), values.equals(least)
    left = count - above.sum(-1, keep=True)
    chosen = above + equal * (1 - equal.cumulative_sum(-1).above(left))
    return chosen if isinstance(count, int) else chosen * count.above(0)
