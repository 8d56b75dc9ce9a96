"""How the numbers that a detector predicts stand for boxes, with the way back of their gradients.

A place is where a box is predicted: of a detector without anchors the middle of each cell of a map, else each anchor
around it. Places lie in the order of maps, rows, columns, anchors. All is in pixels of the network's input.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from graphc.lazy import np
from graphc.training_graph.boxes import Decoded, emit_deltas, emit_distances
from graphc.training_graph.tensor import Tensor
from graphc.types import Array

MOST_GROWTH = math.log(1000 / 16)
"""Of the logarithm of a box's side over its anchor's (torchvision's, Detectron's): more would overflow."""
Backward: TypeAlias = Callable[[Array], Array]


class BoxCoder(Protocol):
    """What each place's numbers mean."""

    @property
    def centers(self) -> Array:
        """[A, 2] x and y of each place."""

    @property
    def anchors(self) -> Array | None:
        """[A, 4] the box of each place; None where there are none."""

    @property
    def width(self) -> int:
        """Numbers that stand for a box."""

    def decode(self, raw: Array) -> tuple[Array, Backward]:
        """Boxes [N, A, 4] of numbers [N, A, width], and what makes of their gradients those of the numbers."""

    def emit(self, raw: Tensor) -> Decoded:
        """`decode` in nodes, of numbers [N, A, width]."""


def cells(sizes: Sequence[tuple[int, int]], strides: Sequence[int], each: Sequence[int]) -> tuple[Array, Array]:
    """(middle [A, 2], stride [A]) of the cells of maps of these sizes (height, width), every cell `each` of its map
    times."""
    middles, steps = [], []
    for (height, width), stride, times in zip(sizes, strides, each, strict=True):
        rows, columns = np.mgrid[:height, :width]
        middle = np.stack([columns.ravel() + 0.5, rows.ravel() + 0.5], axis=1) * stride
        middles.append(np.repeat(middle, times, axis=0))
        steps.append(np.full(len(middles[-1]), float(stride)))
    return np.concatenate(middles), np.concatenate(steps)


@dataclass(frozen=True, slots=True)
class DistanceCoder:
    """Distances from a place to left, top, right and bottom, in strides: of each a number, or what a distribution over
    0, 1, … bins - 1 expects (Li et al., "Generalized focal loss", 2020)."""

    centers: Array
    strides: Array
    """[A]."""
    bins: int
    anchors: Array | None = None

    @property
    def width(self) -> int:
        return 4 * self.bins

    @property
    def signed_strides(self) -> Array:
        """[A, 4]: what distances are multiplied with before a place's middle is added."""
        return np.asarray(self.strides[:, None] * np.array([-1.0, -1.0, 1.0, 1.0]))

    def decode(self, raw: Array) -> tuple[Array, Backward]:
        signed = self.signed_strides.astype(raw.dtype)
        middles = np.tile(self.centers, 2).astype(raw.dtype)
        distances, expected_back = self._expected(raw)

        def backward(dy: Array) -> Array:
            return expected_back(dy * signed)

        return distances * signed + middles, backward

    def emit(self, raw: Tensor) -> Decoded:
        return emit_distances(raw, self.signed_strides, np.tile(self.centers, 2), self.bins)

    def _expected(self, raw: Array) -> tuple[Array, Backward]:
        """The distances [N, A, 4] that are predicted."""
        if self.bins == 1:
            return raw, lambda dy: dy
        logits = self.distributions(raw)
        shares = np.exp(logits - logits.max(axis=-1, keepdims=True))
        shares /= shares.sum(axis=-1, keepdims=True)
        places = np.arange(self.bins, dtype=raw.dtype)
        found = shares @ places

        def backward(dy: Array) -> Array:
            slope = places - found[..., None]
            slope *= shares
            slope *= dy[..., None]
            return np.asarray(slope.reshape(raw.shape))

        return found, backward

    def distributions(self, raw: Array) -> Array:
        """The logits of the four distributions [..., 4, bins] of numbers [..., width], as a view."""
        return np.asarray(raw.reshape(*raw.shape[:-1], 4, self.bins))

    def distances(self, boxes: Array, places: Array) -> Array:
        """What would have to be predicted at places ([P] indices) for boxes [P, 4], in strides: [P, 4]."""
        return np.asarray((boxes - np.tile(self.centers[places], 2)) / self.signed_strides[places])


@dataclass(frozen=True, slots=True)
class DeltaCoder:
    """Shifts of an anchor's middle in shares of its sides, and logarithms of how its sides grow, each times a variance
    (Girshick 2015; SSD, RetinaNet)."""

    anchors: Array
    """[A, 4]."""
    variances: tuple[float, float, float, float]
    """Of x, y, width and height."""
    width: int = 4

    @property
    def centers(self) -> Array:
        """[A, 2]."""
        return np.asarray(self.anchors[:, :2] + self.anchors[:, 2:]) / 2

    @property
    def sides(self) -> Array:
        """[A, 2] width and height."""
        return np.asarray(self.anchors[:, 2:] - self.anchors[:, :2])

    def decode(self, raw: Array) -> tuple[Array, Backward]:
        sides, centers = self.sides.astype(raw.dtype), self.centers.astype(raw.dtype)
        shift, growth = (np.array(each, raw.dtype) for each in (self.variances[:2], self.variances[2:]))
        middles = raw[..., :2] * (shift * sides) + centers
        logarithms = raw[..., 2:] * growth
        halves = np.exp(np.minimum(logarithms, MOST_GROWTH)) * (sides / 2)

        def backward(dy: Array) -> Array:
            dx = np.empty_like(raw)
            np.multiply(dy[..., :2] + dy[..., 2:], shift * sides, out=dx[..., :2])
            np.multiply(dy[..., 2:] - dy[..., :2], halves * growth, out=dx[..., 2:])
            dx[..., 2:] *= logarithms < MOST_GROWTH
            return dx

        return np.concatenate([middles - halves, middles + halves], axis=-1), backward

    def emit(self, raw: Tensor) -> Decoded:
        return emit_deltas(raw, self.sides, self.centers, self.variances, MOST_GROWTH)

    def deltas(self, boxes: Array, places: Array) -> Array:
        """What would have to be predicted at places ([P] indices) for boxes [P, 4] that have an area: [P, 4]."""
        sides, centers = self.sides[places], self.centers[places]
        shift = ((boxes[:, :2] + boxes[:, 2:]) / 2 - centers) / sides
        growth = np.log((boxes[:, 2:] - boxes[:, :2]) / sides)
        return np.asarray(np.concatenate([shift, growth], axis=1) / np.array(self.variances))


def anchors_at(sizes: Sequence[tuple[int, int]], strides: Sequence[int], anchors: Sequence[Array]) -> Array:
    """The boxes [A, 4] of anchors, for each map a list [n, 2] of width and height, in the middle of its cells."""
    each = [len(some) for some in anchors]
    middles, _ = cells(sizes, strides, each)
    halves = [
        np.tile(np.asarray(some, np.float64) / 2, (h * w, 1)) for some, (h, w) in zip(anchors, sizes, strict=True)
    ]
    around = np.concatenate(halves)
    return np.concatenate([middles - around, middles + around], axis=1)


def class_probabilities(scores: Array, background: bool) -> tuple[Array, Backward]:
    """The probability of each class [..., K] of the scores [..., K], each for itself, or with the background's before
    them [..., 1 + K] of all together; and what makes of their gradients those of the scores."""
    if not background:
        alone = 0.5 * np.tanh(0.5 * scores) + 0.5  # the sigmoid, without overflow
        return alone, lambda dy: dy * alone * (1 - alone)
    exponents = np.exp(scores - scores.max(axis=-1, keepdims=True))
    shares = exponents / exponents.sum(axis=-1, keepdims=True)
    found: Array = shares[..., 1:]

    def backward(dy: Array) -> Array:
        weighted = np.zeros_like(shares)
        weighted[..., 1:] = dy * found
        dx: Array = weighted - shares * weighted.sum(axis=-1, keepdims=True)
        return dx

    return found, backward
