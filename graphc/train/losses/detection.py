"""The loss of a detector: of its classes at every place, and of its boxes at those that learn an object.

Each image's sums are divided by how much its places with objects count together, at least 1, and the loss is the mean
over images (as RetinaNet's in torchvision), so that it does not depend on how a batch is cut. Which place learns what,
and how much it counts, are constants in the gradient.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import Field

from graphc.data.target_kind import TargetKind
from graphc.errors import SpecError
from graphc.kernels.box_coding import BoxCoder, DeltaCoder, DistanceCoder, class_probabilities
from graphc.lazy import np
from graphc.probabilities import sigmoid
from graphc.settings import OneOf
from graphc.train.losses.assign import (
    ASSIGNERS,
    BACKGROUND,
    UNDECIDED,
    Assigner,
    Assignment,
    EmittedAssignment,
    EmittedObjects,
    TaskAligned,
)
from graphc.train.losses.base import Loss, Mean
from graphc.train.losses.boxes import box_losses
from graphc.training_graph.box_overlap import emit_box_losses
from graphc.training_graph.boxes import Decoded, emit_probabilities
from graphc.training_graph.ranking import largest_of
from graphc.training_graph.tensor import Tensor, concat, swapped
from graphc.types import Array

AnyAssigner: TypeAlias = Annotated[Assigner, OneOf(ASSIGNERS)]


class Detection(Loss):
    """Boxes with classes, of differing number an image: class_weight * cross-entropy or focal loss of all places, and
    for places that learn an object box_weight * a loss of boxes + distribution_weight * distribution focal loss.

    It is put on the output of `non_max_suppression`, and reads what comes into the decoding before it. Where that has a
    background (SSD), classes are told apart by softmax cross-entropy, and there is no focal loss.
    """

    kind: ClassVar[str] = "detection"
    target_kinds = frozenset({TargetKind.BOXES})
    says = "boxes"

    assign: AnyAssigner = TaskAligned()
    """Which places learn an object."""
    boxes: Literal["smooth_l1", "iou", "giou", "diou", "ciou"] = "ciou"
    """What is compared: the overlap of boxes, or with anchors their numbers (smooth_l1)."""
    beta: float = Field(default=1 / 9, gt=0)
    """Of smooth_l1: where it turns from a square into a line; 1/9 in Detectron and torchvision's RetinaNet, 1 in
    SSD."""
    negatives: float | None = Field(default=None, gt=0, le=1_000_000)
    """Hard negative mining: of the places without an object count so many for each with one, those whose loss is
    greatest; 3 in SSD. None: all count."""
    gamma: float = Field(default=0.0, ge=0)
    """Of the focal loss: how much less classes count that are already right; 2 in RetinaNet, 0 in YOLOv8."""
    alpha: float | None = Field(default=None, ge=0, le=1)
    """What classes that are there weigh, against 1 - alpha of those that are not; none: both 1."""
    box_weight: float = Field(default=7.5, ge=0)
    """Factor of the boxes' loss."""
    class_weight: float = Field(default=0.5, ge=0)
    """Factor of the classes' loss."""
    distribution_weight: float = Field(default=1.5, ge=0)
    """Factor of the loss of distributions of distances (`bins`), where there are any."""

    @property
    def has_nodes(self) -> bool:
        return type(self.assign).emit is not Assigner.emit

    def kinds(self, shape: tuple[int, ...]) -> frozenset[TargetKind]:
        return self.target_kinds

    def kind_of(self, shape: tuple[int, ...], target: tuple[int, ...], whole: bool) -> TargetKind | None:
        return TargetKind.BOXES if len(target) == 2 and target[-1] in (5, 6) else None

    def on(self, coder: BoxCoder, background: bool = False) -> PlacedDetection:
        """The loss on a detector whose numbers mean what the coder says, with or without a score of the background; a
        SpecError where they do not fit."""
        self.assign.check(coder)
        if self.boxes == "smooth_l1" and not isinstance(coder, DeltaCoder):
            raise SpecError("G606", "boxes: smooth_l1 expects anchors (decode_deltas), found a detector without")
        if background and (self.gamma or self.alpha is not None):
            raise SpecError("G606", "gamma and alpha are of classes each for itself, found a decoding with background")
        return PlacedDetection(self, coder, background)

    def classes(self, scores: Array, wanted: Array) -> tuple[Array, Array]:
        """Loss and gradient of logits [A, K] that should score `wanted` [A, K], from 0 to 1: cross-entropy times
        |wanted - p|**gamma (Li et al. 2020; the focal loss where wanted is 0 or 1)."""
        p = sigmoid(scores)
        losses = np.maximum(scores, 0) - scores * wanted + np.log1p(np.exp(-np.abs(scores)))
        slope = p - wanted
        if self.gamma:
            far = np.maximum(np.abs(slope), np.finfo(p.dtype).tiny)
            factor = far**self.gamma
            turn = self.gamma * factor / far * np.sign(slope) * p * (1 - p)
            losses, slope = losses * factor, slope * factor + losses * turn
        if self.alpha is not None:
            weight = self.alpha * wanted + (1 - self.alpha) * (1 - wanted)
            losses, slope = losses * weight, slope * weight
        return losses, slope

    def emit_classes(self, scores: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
        """`classes` in nodes, of logits [N, A, K]."""
        p = scores.sigmoid()
        losses, slope = scores.softplus() - scores * wanted, p - wanted
        if self.gamma:
            far = slope.abs().clip(float(np.finfo(np.float32).tiny))
            factor = far**self.gamma
            turn = self.gamma * factor / far * slope.sign() * p * (1 - p)
            losses, slope = losses * factor, slope * factor + losses * turn
        if self.alpha is not None:
            weight = self.alpha * wanted + (1 - self.alpha) * (1 - wanted)
            losses, slope = losses * weight, slope * weight
        return losses, slope


@dataclass(frozen=True, slots=True)
class PlacedDetection:
    """A detection loss on a detector."""

    loss: Detection
    coder: BoxCoder
    background: bool = False
    """Whether the first of the scores is that of no class."""

    def mean(self, rows: Array, target: Array, weights: Array | None = None) -> Mean:
        """Over a batch: `rows` [N, A, width + K] are what the detector gives, box first (with a background width + 1 +
        K); `target` [N, M, 5 or 6] the boxes, in pixels, and the classes of objects, -1 where there is none, and
        whether one is a crowd, which nothing learns; `weights` [N]."""
        width, losses, target = self.coder.width, np.zeros(len(rows)), target.astype(rows.dtype, copy=False)
        gradient, box_gradient = np.zeros_like(rows), np.zeros((*rows.shape[:2], 4), rows.dtype)
        boxes, back = self.coder.decode(rows[..., :width])
        for image, objects in enumerate(target):
            there = objects[(objects[:, 4] >= 0) & ~objects[:, 5:].any(axis=1)]
            found = self._assigned(boxes[image], rows[image, :, width:], there)
            losses[image] = self._image(rows[image], boxes[image], there, found, gradient[image], box_gradient[image])
        gradient[..., :width] += back(box_gradient)
        counts = np.ones(len(rows)) if weights is None else np.asarray(weights, np.float64)
        count = int(np.count_nonzero(counts))
        factor = counts / max(count, 1)
        gradient *= factor[:, None, None].astype(rows.dtype)
        return Mean(float(losses @ factor), count, gradient)

    def _assigned(self, boxes: Array, scores: Array, objects: Array) -> Assignment:
        """What the places [A] of an image learn of its objects [G, 5]."""
        labels = objects[:, 4].astype(np.intp)
        probabilities, _ = class_probabilities(scores, self.background)
        return self.loss.assign.assign(self.coder, boxes, probabilities, objects[:, :4], labels)

    def _classes(self, scores: Array, objects: Array, found: Assignment) -> tuple[Array, Array]:
        """The loss [A] of the classes at each place and its gradient [A, K] (with a background [A, 1 + K]), 0 where
        a place does not count."""
        places, first = np.flatnonzero(found.which >= 0), int(self.background)
        share = found.share[places].astype(scores.dtype)
        wanted = np.zeros_like(scores)
        wanted[places, first + objects[found.which[places], 4].astype(np.intp)] = share
        if self.background:
            wanted[:, 0] = 1 - wanted[:, 1:].sum(axis=1)
            losses, slope = softmax_cross_entropy(scores, wanted)
        else:
            each, slope = self.loss.classes(scores, wanted)
            losses = each.sum(axis=1)
        counts = found.which != UNDECIDED
        if self.loss.negatives is not None:
            empty = np.flatnonzero(found.which == BACKGROUND)
            most = int(self.loss.negatives * len(places))
            counts[empty[np.argsort(-losses[empty], kind="stable")[most:]]] = False
        return losses * counts, slope * counts[:, None]

    def _image(
        self, rows: Array, boxes: Array, objects: Array, found: Assignment, gradient: Array, box_gradient: Array
    ) -> float:
        """The loss of one image; its gradients are written into those of numbers [A, width + K] and boxes [A, 4]."""
        loss, width = self.loss, self.coder.width
        places = np.flatnonzero(found.which >= 0)
        which, share = found.which[places], found.share[places].astype(rows.dtype)
        scale = 1 / max(float(share.sum()), 1.0)
        classes, slope = self._classes(rows[:, width:], objects, found)
        gradient[:, width:] = slope * rows.dtype.type(loss.class_weight * scale)
        total = float(np.sum(classes, dtype=np.float64)) * loss.class_weight * scale
        if not len(places):
            return total
        true = objects[which, :4].astype(rows.dtype)
        share *= scale
        if isinstance(self.coder, DeltaCoder) and loss.boxes == "smooth_l1":
            each, slope = smooth_l1(rows[places, :width], self.coder.deltas(true, places).astype(rows.dtype), loss.beta)
            gradient[places, :width] += slope * (loss.box_weight * share)[:, None]
        elif loss.boxes != "smooth_l1":
            each, slope = box_losses(loss.boxes, boxes[places], true)
            box_gradient[places] += slope * (loss.box_weight * share)[:, None]
        total += float(np.sum(each * share, dtype=np.float64)) * loss.box_weight
        if isinstance(self.coder, DistanceCoder) and self.coder.bins > 1:
            distances = self.coder.distances(true, places)
            each, slope = distribution_focal(self.coder.distributions(rows[places, :width]), distances)
            gradient[places, :width] += (slope * (loss.distribution_weight * share)[:, None, None]).reshape(-1, width)
            total += float(np.sum(each * share, dtype=np.float64)) * loss.distribution_weight
        return total

    def emit(self, rows: Tensor, target: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor]:
        """`mean` in nodes: the value, and the gradient of the rows; `target` [N, M, 5], where crowds have no class, and
        `weights` [N]."""
        width = self.coder.width
        raw, scores = rows.split([width, rows.shape[2] - width], 2)
        objects = _emit_objects(target, scores.shape[2] - self.background)
        boxes, back = self.coder.emit(raw)
        found = self.loss.assign.emit(self.coder, boxes, emit_probabilities(scores, self.background)[0], objects)
        scale = 1 / found.share.sum(1, keep=True).clip(least=1)
        classes, slopes = self._emit_classes(scores, objects, found)
        share = found.share * scale
        losses, raw_slopes = self._emit_boxes(raw, (boxes, back), objects, found.which, share)
        total = (classes * (scale * self.loss.class_weight) + losses).sum(1, keep=True)
        gradient = concat([raw_slopes, slopes * (scale * self.loss.class_weight).reshape(-1, 1, 1)], axis=2)
        if weights is None:
            return total.sum() / rows.shape[0], gradient / rows.shape[0]
        factor = weights / (1 - weights.equals(0)).sum().clip(1)
        return (total.reshape(-1) * factor).sum(), gradient * factor.reshape(-1, 1, 1)

    def _emit_classes(self, scores: Tensor, objects: EmittedObjects, found: EmittedAssignment) -> tuple[Tensor, Tensor]:
        """`_classes` in nodes: [N, A] and [N, A, K]."""
        wanted = swapped(found.which) @ objects.labels * found.share.reshape(*found.share.shape, 1)
        if self.background:
            wanted = concat([1 - wanted.sum(2, keep=True), wanted], axis=2)
            logarithms = scores.log_softmax(2)
            losses, slope = -(wanted * logarithms).sum(2), logarithms.exp() - wanted
        else:
            each, slope = self.loss.emit_classes(scores, wanted)
            losses = each.sum(2)
        learn = found.which.sum(1)
        counts = empty = 1 - learn if found.undecided is None else 1 - learn - found.undecided
        if self.loss.negatives is not None:
            counts = self._emit_hardest(losses, learn.sum(1, keep=True), empty)
        counts = counts + learn
        return losses * counts, slope * counts.reshape(*counts.shape, 1)

    def _emit_hardest(self, losses: Tensor, learn: Tensor, empty: Tensor) -> Tensor:
        """Of the empty places [N, A] a mask of the `negatives` with the greatest losses, as many times as places learn
        an object [N, 1]."""
        assert self.loss.negatives is not None
        places = losses.shape[1]
        numbers = np.arange(places + 1)
        most = np.minimum((self.loss.negatives * numbers).astype(int), places)
        chosen = learn.equals(losses.constant(numbers.astype(np.float32)))
        count = (chosen * losses.constant(most.astype(np.float32))).sum(1, keep=True)
        return largest_of(losses * empty - (1 - empty), count) * empty

    def _emit_boxes(
        self, raw: Tensor, decoded: Decoded, objects: EmittedObjects, which: Tensor, share: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The losses [N, A] of the boxes, times how much places count [N, A], and the gradient of numbers
        [N, A, width]."""
        loss, coder, (boxes, back) = self.loss, self.coder, decoded
        learn = which.sum(1).reshape(*share.shape, 1)
        true, factor = swapped(which) @ objects.boxes, share.reshape(*share.shape, 1)
        if isinstance(coder, DeltaCoder) and loss.boxes == "smooth_l1":
            anchors = raw.constant(coder.anchors.astype(np.float32))
            error = raw - emit_wanted_deltas(coder, true + (1 - learn) * anchors)
            inside = error.clip(-loss.beta, loss.beta)
            each = (inside * (error - inside / 2) / loss.beta).sum(2)
            losses, gradient = each * share * loss.box_weight, inside / loss.beta * factor * loss.box_weight
        else:
            unit = raw.constant(np.array([0, 0, 1, 1], np.float32)) * (1 - learn)  # where nothing is compared
            pair = (boxes * learn + unit).reshape(-1, 4), (true + unit).reshape(-1, 4)
            each, slope = emit_box_losses(loss.boxes, *pair)
            losses = each.reshape(*share.shape) * share * loss.box_weight
            gradient = back(slope.reshape(*boxes.shape) * factor * loss.box_weight)
        if isinstance(coder, DistanceCoder) and coder.bins > 1:
            each, slope = emit_distribution_focal(coder, raw, true)
            losses = losses + each * share * loss.distribution_weight
            gradient = gradient + slope * factor * loss.distribution_weight
        return losses, gradient


def _emit_objects(target: Tensor, classes: int) -> EmittedObjects:
    """Rows [N, M, 5]; one without a class or an area holds nothing."""
    corners, label = target.split([4, 1], 2)
    left, top, right, bottom = corners.split([1] * 4, 2)
    there = (1 - label.below(0)) * right.above(left) * bottom.above(top)
    known = target.constant(np.arange(classes, dtype=np.float32))
    return EmittedObjects(corners, label.equals(known) * there, there)


def emit_wanted_deltas(coder: DeltaCoder, boxes: Tensor) -> Tensor:
    """`deltas` of a coder in nodes, of boxes [N, A, 4] that have an area, one for each place."""
    low, high = boxes.split([2, 2], 2)
    sides, centers = (boxes.constant(each.astype(np.float32)) for each in (coder.sides, coder.centers))
    found = concat([((low + high) / 2 - centers) / sides, ((high - low) / sides).log()], axis=2)
    return found / boxes.constant(np.array(coder.variances, np.float32))


def emit_distribution_focal(coder: DistanceCoder, raw: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """`distribution_focal` in nodes, of the distances to boxes [N, A, 4]: [N, A], and the gradient of numbers
    [N, A, width]."""
    bins, sides = coder.bins, (*raw.shape[:2], 4)
    centers = raw.constant(np.tile(coder.centers, 2).astype(np.float32))
    distances = (boxes - centers) / raw.constant(coder.signed_strides.astype(np.float32))
    near = distances.clip(0, bins - 1 - 0.01).reshape(*sides, 1)
    wanted = (1 - (near - raw.constant(np.arange(bins, dtype=np.float32))).abs()).relu()
    logarithms = raw.reshape(*sides, bins).log_softmax(3)
    each = -(wanted * logarithms).sum(3).mean(2)
    return each, ((logarithms.exp() - wanted) / 4).reshape(*raw.shape)


def smooth_l1(predicted: Array, target: Array, beta: float) -> tuple[Array, Array]:
    """The sum [P] over numbers [P, 4] of error**2 / (2 * beta) up to beta, then |error| - beta / 2; its gradient."""
    error = predicted - target
    inside = np.clip(error, -beta, beta)
    return (inside * (error - inside / 2) / beta).sum(axis=1), inside / beta


def softmax_cross_entropy(scores: Array, wanted: Array) -> tuple[Array, Array]:
    """The cross-entropy [A] of logits [A, K] with what they should be [A, K], which sums to 1, and its gradient."""
    shifted = scores - scores.max(axis=1, keepdims=True)
    exponents = np.exp(shifted)
    sums = exponents.sum(axis=1, keepdims=True)
    return np.log(sums[:, 0]) - (wanted * shifted).sum(axis=1), exponents / sums - wanted


def distribution_focal(logits: Array, distances: Array) -> tuple[Array, Array]:
    """The mean [P] over the sides of the cross-entropy of distributions [P, 4, bins] with the two bins beside each of
    the distances [P, 4], by how near these are (Li et al. 2020), and its gradient; what is farther than the last bin is
    taken to be just before it, as in YOLOv8."""
    bins = logits.shape[-1]
    near = np.clip(distances, 0, bins - 1 - 0.01)
    low = near.astype(np.intp)
    part = (near - low).astype(logits.dtype)
    wanted = np.zeros_like(logits)
    np.put_along_axis(wanted, low[..., None], (1 - part)[..., None], axis=-1)
    np.put_along_axis(wanted, low[..., None] + 1, part[..., None], axis=-1)
    shifted = logits - logits.max(axis=-1, keepdims=True)
    exponents = np.exp(shifted)
    sums = exponents.sum(axis=-1, keepdims=True)
    each = np.log(sums[..., 0]) - (wanted * shifted).sum(axis=-1)
    return each.mean(axis=-1), (exponents / sums - wanted) / logits.shape[-2]
