"""How far boxes overlap, as `graphc.train.losses.boxes` says it: every number [P, 1] with its gradient [P, 4]; and of
all pairs, as `graphc.kernels.boxes` says it."""

from __future__ import annotations

import math
from typing import TypeAlias

from graphc.lazy import np
from graphc.training_graph.tensor import Tensor, concat

Sloped: TypeAlias = tuple[Tensor, Tensor]
"""Numbers [P, 1] and their gradients [P, 4]."""
TINY = float(np.finfo(np.float32).tiny)
MOST = 1e30
"""Of a tangent: an angle of pi / 2 but for rounding."""


def emit_box_losses(form: str, predicted: Tensor, target: Tensor) -> Sloped:
    """`box_losses` in nodes, of boxes [P, 4]."""
    pair = _Pair(predicted, target)
    iou, slope = pair.iou()
    losses, gradient = 1 - iou, -slope
    if form == "iou":
        return losses, gradient
    more, more_slope = pair.unfilled() if form == "giou" else pair.distance()
    if form == "ciou":
        aspects, aspect_slope = pair.aspects()
        away = losses + aspects
        weight = aspects / (away + away.equals(0))
        more, more_slope = more + weight * aspects, more_slope + weight * aspect_slope
    return losses + more, gradient + more_slope


def emit_pairwise_iou(a: Tensor, b: Tensor) -> Tensor:
    """`pairwise_iou` in nodes, to the bit: [N, M, A] of boxes [N, M, 4] with boxes [N, A, 4] or [1, A, 4]."""
    one, other = a.split([1] * 4, 2), b.transpose(0, 2, 1).split([1] * 4, 1)
    shared = _area(*map(_most, one[:2], other[:2]), *map(_least, one[2:], other[2:]))
    union = _area(*one) + _area(*other) - shared
    return shared / (union + union.equals(0))


def _area(left: Tensor, top: Tensor, right: Tensor, bottom: Tensor) -> Tensor:
    """0 where right is not above left, or bottom not above top."""
    return (right - left).relu() * (bottom - top).relu()


class _Pair:
    """Boxes [P, 4] beside others [P, 4]."""

    def __init__(self, boxes: Tensor, others: Tensor) -> None:
        self._low, self._high = boxes.split([2, 2], 1)
        self._other_low, self._other_high = others.split([2, 2], 1)
        self._sides = self._high - self._low
        self._other_sides = self._other_high - self._other_low
        both = _least(self._high, self._other_high) - _most(self._low, self._other_low)
        both = both * _product(both.above(0))
        self._shared = _product(both)
        shared_slope = _slope(_flipped(both), self._low.above(self._other_low), self._high.below(self._other_high))
        areas = _product(self._sides) + _product(self._other_sides)
        self._union = (areas - self._shared).clip(TINY)
        self._shared_slope = shared_slope
        self._union_slope = _slope(_flipped(self._sides), None, None) - shared_slope
        self._around = _most(self._high, self._other_high) - _least(self._low, self._other_low)
        self._outer = self._low.below(self._other_low), self._high.above(self._other_high)

    def iou(self) -> Sloped:
        return _ratio(self._shared, self._shared_slope, self._union, self._union_slope)

    def unfilled(self) -> Sloped:
        """The share of the box around both that neither fills."""
        area = _product(self._around).clip(TINY)
        filled, slope = _ratio(self._union, self._union_slope, area, _slope(_flipped(self._around), *self._outer))
        return 1 - filled, -slope

    def distance(self) -> Sloped:
        """The squared distance of the middles over the squared diagonal of the box around both."""
        between = (self._low + self._high - self._other_low - self._other_high) / 2
        diagonal = self._around.square_sum(1, keep=True).clip(TINY)
        diagonal_slope = _slope(2 * self._around, *self._outer)
        return _ratio(between.square_sum(1, keep=True), concat([between, between], 1), diagonal, diagonal_slope)

    def aspects(self) -> Sloped:
        """How far apart the angles of the diagonals are, squared: from 0 to 1."""
        apart = _angle(self._sides) - _angle(self._other_sides)
        length = self._sides.square_sum(1, keep=True).clip(TINY)
        signs = self._sides.constant(np.array([1, -1], np.float32))
        turn = apart / length * (8 / math.pi**2) * _flipped(self._sides) * signs
        return apart * apart * (4 / math.pi**2), concat([-turn, turn], 1)


def _angle(sides: Tensor) -> Tensor:
    """[P, 1]: the angle of [width, height], from -pi to pi, as arctan2 gives it."""
    width, height = sides.split([1, 1], 1)
    within = _arctan((width / (height + height.equals(0) * TINY)).clip(-MOST, MOST))
    return within + height.below(0) * (1 - 2 * width.below(0)) * math.pi


def _arctan(x: Tensor) -> Tensor:
    """Of finite numbers, within 2e-7: the operator Atan has kernels on a CPU alone. By the angles at which the tangent
    is 1 and sqrt(2) - 1, and a polynomial between them (Moshier's Cephes)."""
    size = x.abs()
    large = size.above(1)
    part = (large + (1 - large) * size) / (large * size + (1 - large))
    middle = part.above(math.sqrt(2) - 1)
    rest = middle * (part - 1) / (part + 1) + (1 - middle) * part
    square = rest * rest
    found = 8.05374449538e-2 * square - 1.38776856032e-1
    for coefficient in (1.99777106478e-1, -3.33329491539e-1):
        found = found * square + coefficient
    angle = middle * (math.pi / 4) + (found * square * rest + rest)
    return x.sign() * (large * (math.pi / 2) + (1 - 2 * large) * angle)


def _least(a: Tensor, b: Tensor) -> Tensor:
    mask = a.below(b)
    return a * mask + b * (1 - mask)


def _most(a: Tensor, b: Tensor) -> Tensor:
    mask = a.above(b)
    return a * mask + b * (1 - mask)


def _product(pair: Tensor) -> Tensor:
    """[P, 1] of [P, 2]."""
    first, second = pair.split([1, 1], 1)
    return first * second


def _flipped(pair: Tensor) -> Tensor:
    """[P, 2], the second number first."""
    first, second = pair.split([1, 1], 1)
    return concat([second, first], 1)


def _slope(by_side: Tensor, low: Tensor | None, high: Tensor | None) -> Tensor:
    """The gradient [P, 4] of what grows by so much, [P, 2], with its sides: where they end at the box's own corners;
    None: everywhere."""
    first, last = (by_side if mask is None else by_side * mask for mask in (low, high))
    return concat([-first, last], 1)


def _ratio(part: Tensor, part_slope: Tensor, whole: Tensor, whole_slope: Tensor) -> Sloped:
    share = part / whole
    return share, (part_slope - share * whole_slope) / whole
