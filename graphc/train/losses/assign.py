"""Which place of a detector learns which object of an image: `ASSIGNERS` is the catalogue.

Objects are taken some at a time, so that memory does not grow with their number; ties go to the first. All is computed
in the predictions' dtype, so that what ties here ties in a training graph as well, which takes all objects at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pydantic import Field

from graphc.errors import SpecError
from graphc.kernels.box_coding import BoxCoder
from graphc.kernels.boxes import pairwise_iou
from graphc.lazy import np
from graphc.settings import Kind
from graphc.training_graph.box_overlap import emit_pairwise_iou
from graphc.training_graph.ranking import first_of, largest_of
from graphc.training_graph.tensor import Tensor, swapped
from graphc.types import Array

AT_ONCE = 64
"""Objects that are compared with all places at a time."""
BACKGROUND, UNDECIDED = -1, -2
"""In place of an object: what learns that there is none, and what learns nothing."""
LEAST_SHARE = 0.01
"""How much a place that learns an object counts at least, however bad its prediction is."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """What each of A places learns."""

    which: Array
    """[A] the object's number, or BACKGROUND or UNDECIDED."""
    share: Array
    """[A] what the object's class should score there, up to 1; 0 where there is none."""


@dataclass(frozen=True, slots=True)
class EmittedAssignment:
    """The same in nodes, of N images with M rows for objects."""

    which: Tensor
    """[N, M, A] 1 where a place learns an object, of at most one a place."""
    share: Tensor
    """[N, A]."""
    undecided: Tensor | None = None
    """[N, A] 1 where a place learns nothing; None: nowhere."""


@dataclass(frozen=True, slots=True)
class EmittedObjects:
    """What there is to learn, in nodes."""

    boxes: Tensor
    """[N, M, 4]."""
    labels: Tensor
    """[N, M, K] 1 at an object's class."""
    there: Tensor
    """[N, M, 1] 1 where a row holds an object, else 0."""


class Assigner(Kind):
    """A rule that gives places their objects."""

    def assign(self, coder: BoxCoder, boxes: Array, scores: Array, objects: Array, labels: Array) -> Assignment:
        """`boxes` [A, 4] and `scores` [A, K] (probabilities) are predicted; `objects` [G, 4] of classes `labels` [G]
        there, of the predictions' dtype."""
        raise NotImplementedError(self.kind)

    def emit(self, coder: BoxCoder, boxes: Tensor, scores: Tensor, objects: EmittedObjects) -> EmittedAssignment:
        """`assign` in nodes: `boxes` [N, A, 4] and `scores` [N, A, K] are predicted."""
        raise NotImplementedError(self.kind)

    def check(self, coder: BoxCoder) -> None:
        """A SpecError where the rule needs what the detector does not have."""


class TaskAligned(Assigner):
    """The places within an object that are best at its class and its box at once: score**alpha * IoU**beta.

    Feng et al. 2021 (TOOD), as in YOLOv8: of a place that is among the best of several objects the one that it overlaps
    most; what a class should score is the alignment, at most the IoU. An object that holds no place has the nearest.
    """

    kind: ClassVar[str] = "task_aligned"

    top_k: int = Field(default=10, gt=0)
    """Places an object has at most."""
    alpha: float = Field(default=0.5, ge=0)
    """Exponent of the class's score."""
    beta: float = Field(default=6.0, ge=0)
    """Exponent of the overlap."""

    def assign(self, coder: BoxCoder, boxes: Array, scores: Array, objects: Array, labels: Array) -> Assignment:
        places = len(boxes)
        which = np.full(places, BACKGROUND)
        overlap, aligned = (np.zeros(places, boxes.dtype) for _ in range(2))
        centers = coder.centers.astype(boxes.dtype)
        for start in range(0, len(objects), AT_ONCE):
            some = slice(start, start + AT_ONCE)
            iou = pairwise_iou(objects[some], boxes)
            inside = _inside(centers, objects[some])
            alignment = np.where(inside, scores[:, labels[some]].T ** self.alpha * iou**self.beta, -1.0)
            numbers, chosen = self._best(alignment)
            found = iou[numbers, chosen]
            better = (which[chosen] == BACKGROUND) | (found > overlap[chosen])
            order = np.flatnonzero(better)[::-1]
            order = order[np.argsort(found[order], kind="stable")]  # the first of the largest is written last
            numbers, chosen = numbers[order], chosen[order]
            which[chosen], overlap[chosen] = numbers + start, iou[numbers, chosen]
            aligned[chosen] = alignment[numbers, chosen]
        return Assignment(which, _shares(which, overlap, aligned, len(objects)))

    def _best(self, alignment: Array) -> tuple[Array, Array]:
        """(object, place) of the best places [g, A] of each object; those below 0 are none."""
        most = min(self.top_k, alignment.shape[1])
        least = -np.partition(-alignment, most - 1, axis=1)[:, most - 1 : most]
        above, equal = alignment > least, alignment == least
        left = most - above.sum(axis=1, keepdims=True)
        numbers, chosen = np.nonzero((above | equal & (equal.cumsum(axis=1) <= left)) & (alignment >= 0))
        return numbers, chosen

    def emit(self, coder: BoxCoder, boxes: Tensor, scores: Tensor, objects: EmittedObjects) -> EmittedAssignment:
        iou = emit_pairwise_iou(objects.boxes, boxes)
        inside = _emit_inside(coder.centers, objects.boxes) * objects.there
        merit = (objects.labels @ swapped(scores)) ** self.alpha * iou**self.beta
        chosen = largest_of(inside * merit + (inside - 1), self.top_k) * inside
        overlap = chosen * iou + (chosen - 1)
        which = first_of(chosen * overlap.equals(overlap.max(1, keep=True)), axis=1)
        aligned = which * merit
        best = aligned.max(2, keep=True)
        part = aligned / (best + best.equals(0)) * (which * iou).max(2, keep=True)
        return EmittedAssignment(which, part.sum(1).clip(least=LEAST_SHARE) * which.sum(1))


class IouThresholds(Assigner):
    """Anchors that overlap an object enough learn the one that they overlap most, those that overlap none the
    background, those between nothing; the anchor that overlaps an object most always learns it (of several such objects
    the last). As in RetinaNet."""

    kind: ClassVar[str] = "iou_thresholds"

    foreground: float = Field(default=0.5, gt=0, le=1)
    """Least overlap with an object."""
    background: float = Field(default=0.4, ge=0, le=1)
    """Below it there is none."""

    def check(self, coder: BoxCoder) -> None:
        if coder.anchors is None:
            raise SpecError("G606", "iou_thresholds expects anchors (decode_deltas), found a detector without")

    def assign(self, coder: BoxCoder, boxes: Array, scores: Array, objects: Array, labels: Array) -> Assignment:
        assert coder.anchors is not None
        anchors = coder.anchors.astype(boxes.dtype)
        which, overlap = np.full(len(anchors), BACKGROUND), np.zeros(len(anchors), boxes.dtype)
        best, touched = np.zeros(len(objects), np.intp), np.zeros(len(objects), bool)
        for start in range(0, len(objects), AT_ONCE):
            iou = pairwise_iou(objects[start : start + AT_ONCE], anchors)
            best[start : start + AT_ONCE] = iou.argmax(axis=1)
            touched[start : start + AT_ONCE] = iou.max(axis=1) > 0
            most = iou.max(axis=0)
            better = most > overlap
            which[better], overlap[better] = iou.argmax(axis=0)[better] + start, most[better]
        which[overlap < self.foreground] = UNDECIDED
        which[overlap < self.background] = BACKGROUND
        which[best[touched]] = np.flatnonzero(touched)
        return Assignment(which, (which >= 0).astype(np.float64))

    def emit(self, coder: BoxCoder, boxes: Tensor, scores: Tensor, objects: EmittedObjects) -> EmittedAssignment:
        assert coder.anchors is not None
        iou = emit_pairwise_iou(objects.boxes, boxes.constant(coder.anchors[None].astype(np.float32))) * objects.there
        overlap, most = iou.max(1, keep=True), iou.max(2, keep=True)
        near, far = 1 - overlap.below(self.foreground), overlap.below(self.background)
        own = first_of(iou.equals(overlap) * overlap.above(0), axis=1) * near * (1 - far)
        claims = first_of(iou.equals(most) * most.above(0), axis=2)
        numbers = np.arange(1, iou.shape[1] + 1, dtype=np.float32)[:, None]
        last = (claims * iou.constant(numbers)).max(1, keep=True)  # of several objects with this anchor
        which = claims * iou.constant(numbers).equals(last) + own * last.equals(0)
        undecided = (1 - near) * (1 - far) * last.equals(0)
        return EmittedAssignment(which, which.sum(1), undecided.reshape(undecided.shape[0], undecided.shape[2]))


ASSIGNERS: tuple[type[Assigner], ...] = (TaskAligned, IouThresholds)


def _inside(centers: Array, objects: Array) -> Array:
    """Whether places with these middles [A, 2] lie in objects [g, 4]: [g, A]; each object holds one at least."""
    low, high = objects[:, None, :2], objects[:, None, 2:]
    found: Array = np.asarray(((centers > low) & (centers < high)).all(axis=2))
    (empty,) = np.nonzero(~found.any(axis=1))
    middles = (objects[empty, :2] + objects[empty, 2:]) / 2
    nearest = np.square(middles[:, None] - centers).sum(axis=2).argmin(axis=1)
    found[empty, nearest] = True
    return found


def _emit_inside(centers: Array, objects: Tensor) -> Tensor:
    """`_inside` in nodes: [N, M, A] of objects [N, M, 4]."""
    left, top, right, bottom = objects.split([1] * 4, 2)
    x, y = (objects.constant(each[None, None].astype(np.float32)) for each in centers.T)
    found = left.below(x) * right.above(x) * top.below(y) * bottom.above(y)
    across, down = (left + right) / 2 - x, (top + bottom) / 2 - y
    away = across * across + down * down
    nearest = first_of(away.equals(away.min(2, keep=True)), axis=2)
    return found + (1 - found.max(2, keep=True)) * nearest


def _shares(which: Array, overlap: Array, aligned: Array, objects: int) -> Array:
    """How much each place [A] counts: its alignment, of which the best of an object becomes the object's best IoU."""
    most_aligned, most_overlap = (np.zeros(objects, overlap.dtype) for _ in range(2))
    there = np.flatnonzero(which >= 0)
    np.maximum.at(most_aligned, which[there], aligned[there])
    np.maximum.at(most_overlap, which[there], overlap[there])
    share = np.zeros(len(which), overlap.dtype)
    best = most_aligned[which[there]]
    part = np.divide(aligned[there], best, out=np.zeros(len(there), overlap.dtype), where=best > 0)
    share[there] = np.maximum(part * most_overlap[which[there]], LEAST_SHARE)
    return share
