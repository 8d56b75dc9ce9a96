"""Losses of boxes that are compared as boxes: one minus how far they overlap, and what the three later forms add.

Yu et al. 2016 (IoU), Rezatofighi et al. 2019 (generalized), Zheng et al. 2020 (distance and complete): the numbers of
torchvision's `generalized_box_iou_loss`, `distance_box_iou_loss` and `complete_box_iou_loss`, without their epsilon, so
that boxes may be in pixels or in shares of the image. Boxes are left, top, right, bottom.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal, TypeAlias

from graphc.errors import SpecError
from graphc.lazy import np
from graphc.train.losses.base import Loss, like
from graphc.training_graph.box_overlap import emit_box_losses
from graphc.training_graph.tensor import Tensor
from graphc.types import Array

Form: TypeAlias = Literal["iou", "giou", "diou", "ciou"]


class BoxIou(Loss):
    """1 - intersection over union of boxes, left, top, right, bottom, with what the form adds."""

    kind: ClassVar[str] = "box_iou"

    form: Form = "giou"
    """iou: nothing, and no gradient where boxes do not touch; giou: the part of the box around both that neither fills;
    diou: how far apart their middles are; ciou: and how their aspects differ."""

    def elements(self, prediction: Array, target: Array) -> tuple[Array, Array, Array | None]:
        boxes = like(target, prediction, self.kind)
        losses, gradient = box_losses(self.form, prediction.reshape(-1, 4), boxes.reshape(-1, 4))
        return losses.reshape(prediction.shape[:-1]), gradient.reshape(prediction.shape), None

    def emit_elements(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        losses, gradient = emit_box_losses(self.form, prediction.reshape(-1, 4), target.reshape(-1, 4))
        return losses.reshape(*prediction.shape[:-1]), gradient.reshape(*prediction.shape), None

    def check(self, shape: tuple[int, ...], name: str) -> None:
        if shape[-1:] != (4,):
            found = "×".join(map(str, shape))
            raise SpecError("G607", f"box_iou expects left, top, right, bottom of each box, {name} gives {found}")


def box_losses(form: Form, predicted: Array, target: Array) -> tuple[Array, Array]:
    """The loss [P] of each of boxes [P, 4], and its gradient [P, 4]. As in torchvision, the weight that the complete
    form gives to aspects counts as a constant in the gradient."""
    pair = _Pair(predicted, target)
    iou, slope = pair.iou()
    losses, gradient = 1 - iou, -slope
    if form == "giou":
        more, more_slope = pair.unfilled()
    elif form in ("diou", "ciou"):
        more, more_slope = pair.distance()
    else:
        return losses, gradient
    if form == "ciou":
        aspects, aspect_slope = pair.aspects()
        away = 1 - iou + aspects
        weight = np.divide(aspects, away, out=np.zeros_like(away), where=away > 0)
        more, more_slope = more + weight * aspects, more_slope + weight[:, None] * aspect_slope
    return losses + more, gradient + more_slope


class _Pair:
    """Boxes [P, 4] beside others [P, 4]; every number [P] comes with its gradient [P, 4] for the first ones."""

    def __init__(self, boxes: Array, others: Array) -> None:
        self._low, self._high = boxes[:, :2], boxes[:, 2:]
        self._other_low, self._other_high = others[:, :2], others[:, 2:]
        self._sides = self._high - self._low
        self._other_sides = self._other_high - self._other_low
        self._least = float(np.finfo(boxes.dtype).tiny)
        both = np.minimum(self._high, self._other_high) - np.maximum(self._low, self._other_low)
        both = np.where((both > 0).all(axis=1, keepdims=True), both, 0)
        ends = self._low > self._other_low, self._high < self._other_high
        self._shared, shared_slope = both.prod(axis=1), _slope(both[:, ::-1], *ends)
        areas = self._sides.prod(axis=1) + self._other_sides.prod(axis=1)
        self._union = np.maximum(areas - self._shared, self._least)
        self._shared_slope = shared_slope
        self._union_slope = _slope(self._sides[:, ::-1], True, True) - shared_slope
        self._around = np.maximum(self._high, self._other_high) - np.minimum(self._low, self._other_low)
        self._outer = self._low < self._other_low, self._high > self._other_high

    def iou(self) -> tuple[Array, Array]:
        return _ratio(self._shared, self._shared_slope, self._union, self._union_slope)

    def unfilled(self) -> tuple[Array, Array]:
        """The share of the box around both that neither fills."""
        area = np.maximum(self._around.prod(axis=1), self._least)
        filled, slope = _ratio(self._union, self._union_slope, area, _slope(self._around[:, ::-1], *self._outer))
        return 1 - filled, -slope

    def distance(self) -> tuple[Array, Array]:
        """The squared distance of the middles over the squared diagonal of the box around both."""
        between = (self._low + self._high - self._other_low - self._other_high) / 2
        diagonal = np.maximum(np.square(self._around).sum(axis=1), self._least)
        diagonal_slope = _slope(2 * self._around, *self._outer)
        return _ratio(np.square(between).sum(axis=1), np.tile(between, 2), diagonal, diagonal_slope)

    def aspects(self) -> tuple[Array, Array]:
        """How far apart the angles of the diagonals are, squared: from 0 to 1."""
        own, others = (np.arctan2(sides[:, 0], sides[:, 1]) for sides in (self._sides, self._other_sides))
        length = np.maximum(np.square(self._sides).sum(axis=1), self._least)
        turn = (8 / math.pi**2 * (own - others) / length)[:, None] * self._sides[:, ::-1] * np.array([1, -1])
        return 4 / math.pi**2 * np.square(own - others), np.concatenate([-turn, turn], axis=1).astype(own.dtype)


def _slope(by_side: Array, low: Array | bool, high: Array | bool) -> Array:
    """The gradient [P, 4] of what grows by so much, [P, 2], with its sides: where they end at the box's own corners."""
    return np.concatenate([-by_side * low, by_side * high], axis=1)


def _ratio(part: Array, part_slope: Array, whole: Array, whole_slope: Array) -> tuple[Array, Array]:
    """part / whole [P] and its gradient [P, 4]."""
    share = part / whole
    return share, (part_slope - share[:, None] * whole_slope) / whole[:, None]
