"""What a detector's numbers stand for, and the way back, as `graphc.kernels.box_coding` says it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from graphc.lazy import np
from graphc.training_graph.tensor import Tensor, concat
from graphc.types import Array

Decoded: TypeAlias = tuple[Tensor, Callable[[Tensor], Tensor]]
"""Values, and what makes of their gradients those of the numbers that they were decoded from."""


def emit_distances(raw: Tensor, signed: Array, middles: Array, bins: int) -> Decoded:
    """Boxes [N, A, 4] of distances [N, A, 4*bins] from the middles [A, 4] times the signed strides [A, 4]."""
    strides = raw.constant(signed.astype(np.float32))
    found, back = _expected(raw, bins)
    return found * strides + raw.constant(middles.astype(np.float32)), lambda dy: back(dy * strides)


def _expected(raw: Tensor, bins: int) -> Decoded:
    """The means of distributions, [N, A, 4]."""
    if bins == 1:
        return raw, lambda dy: dy
    logits = raw.reshape(*raw.shape[:2], 4, bins)
    shares, places = logits.apply("Softmax", axis=3), raw.constant(np.arange(bins, dtype=np.float32))
    means = (shares * places).sum(3, keep=True)

    def backward(dy: Tensor) -> Tensor:
        return ((places - means) * shares * dy.reshape(*dy.shape, 1)).reshape(*raw.shape)

    return means.reshape(*raw.shape[:2], 4), backward


def emit_deltas(raw: Tensor, sides: Array, middles: Array, variances: Sequence[float], most: float) -> Decoded:
    """Boxes [N, A, 4] of shifts and growths [N, A, 4] of anchors with these sides and middles [A, 2]; no growth counts
    beyond `most`."""
    shifts = raw.constant((np.asarray(variances[:2]) * sides).astype(np.float32))
    growth = raw.constant(np.asarray(variances[2:], np.float32))
    moved, grown = raw.split([2, 2], 2)
    centers, logarithms = moved * shifts + raw.constant(middles.astype(np.float32)), grown * growth
    halves = logarithms.clip(most=most).exp() * raw.constant((sides / 2).astype(np.float32))

    def backward(dy: Tensor) -> Tensor:
        first, last = dy.split([2, 2], 2)
        slopes = (last - first) * (halves * growth) * logarithms.below(most)
        return concat([(first + last) * shifts, slopes], axis=2)

    return concat([centers - halves, centers + halves], axis=2), backward


def emit_probabilities(scores: Tensor, background: bool) -> Decoded:
    """The probability of every class, [N, A, K], of scores [N, A, K], or with the background's before them."""
    if not background:
        alone = scores.sigmoid()
        return alone, lambda dy: dy * alone * (1 - alone)
    shares = scores.apply("Softmax", axis=2)
    found = shares.part((1,), (scores.shape[2] - 1,), (1,))

    def backward(dy: Tensor) -> Tensor:
        weighted = (dy * found).pad([(0, 0), (0, 0), (1, 0)])
        return weighted - shares * weighted.sum(2, keep=True)

    return found, backward
